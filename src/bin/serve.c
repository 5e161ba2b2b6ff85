/*
 * From the command line to the warden.
 *
 * Everything that needs parsing — flags, files, manifests, the answers of interpreters — is parsed here, once,
 * before anything listens; the warden gets one fixed-size struct and the router lines that it only passes on.
 */
#include "bin/serve.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "bin/packs.h"
#include "bin/settings.h"
#include "bin/tls_files.h"
#include "os/fd.h"
#include "os/handover.h"
#include "os/socket.h"
#include "tls/identity.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, LINES_MAX = 1024 * 1024 };

static void serve_help(void)
{
	printf("Usage: mayfly serve [--listen ADDR:PORT] [--data DIR] [--config FILE] [SETTING…]\n\n"
	       "Runs the daemon in the foreground, as root. It prints one line beginning with Ready. and the\n"
	       "endpoint on standard output when it can serve. SIGTERM lets what is in flight finish, SIGHUP\n"
	       "reads the file again, SIGUSR2 lets the program that is installed now take over the socket\n"
	       "when what is in flight has finished. With --check the settings are only looked at.\n\n"
	       "Each setting can also stand in the file (name = value) and in the environment (MAYFLY_NAME):\n\n");
	settings_help(stdout);
}

int serve_program_folder(char *to, size_t size)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (len < 0)
		return err_raise(-errno);

	path[len] = '\0';
	char *slash = strrchr(path, '/');
	if (!slash)
		return err_raise(-EINVAL);
	*slash = '\0';
	return err_pass(str_to_array(str_of(path), to, size));
}

int serve_packs_folder(char *to, size_t size)
{
	char folder[PACK_PATH_MAX], path[PACK_PATH_MAX + 16];

	int r = serve_program_folder(folder, sizeof(folder));
	if (r < 0)
		return err_pass(r);
	snprintf(path, sizeof(path), "%s/runtimes", folder);
	return err_pass(str_to_array(str_of(path), to, size));
}

/* Flags are read twice: --config names the file, which flags then win over. */
static int serve_settings(struct settings *settings, int argc, char **argv, struct buf *error)
{
	struct settings first;
	char **words = mem_new((size_t)argc + 1, sizeof(*words));
	int count = argc, r = words ? settings_init(&first) : -ENOMEM;

	if (r == 0) {
		memcpy(words, argv, (size_t)argc * sizeof(*words));
		r = settings_from_environment(&first, error);
		if (r == 0)
			r = settings_from_flags(&first, &count, words, error);
		if (r == 0 && first.values[SET_CONFIG][0])
			r = settings_from_file(settings, first.values[SET_CONFIG], error);
		settings_done(&first);
	}
	mem_free(words);
	if (r == 0)
		r = settings_from_environment(settings, error);
	if (r == 0)
		r = settings_from_flags(settings, &argc, argv, error);
	if (r == 0 && argc > 0) {
		buf_put(error, S("what is "));
		buf_put_json(error, str_of(argv[0]));
		buf_put(error, S("? 'mayfly serve --help' lists the settings"));
		r = SETTINGS_BAD;
	}
	return r;
}

/* Absolute, for who reads it again; links are followed then, not now. */
static int path_whole(str path, char *to, size_t size)
{
	char folder[PATH_MAX], whole[2 * PATH_MAX];

	if (!path.len || path.at[0] == '/')
		return err_pass(str_to_array(path, to, size));
	if (!getcwd(folder, sizeof(folder)))
		return err_raise(-errno);
	snprintf(whole, sizeof(whole), "%s/" STR_FMT, folder, STR_ARG(path));
	return err_pass(str_to_array(str_of(whole), to, size));
}

/* --- TLS --- */

/* The two files are opened as whoever we are, root if this is to serve, and read no further than the boot needs. */
static int serve_open_tls(
	const struct settings *settings, int ret_files[static TLS_FILES], struct buf *error)
{
	static const enum setting rows[] = { SET_TLS_CERT, SET_TLS_KEY };
	static const char *const names[] = { "tls-cert", "tls-key" };

	for (int i = 0; i < TLS_FILES; i++) {
		const char *path = settings->values[rows[i]];
		int copy = -1;
		int r = fd_sealed_file(path, TLS_FILE_MAX, &ret_files[i], &copy);
		fd_close(&copy);
		if (r == 0)
			continue;
		buf_putf(error, "%s: cannot read ", names[i]);
		buf_put(error, str_of(path));
		buf_putf(error, ": %s. It must be a file in PEM form, of no more than %d KB",
			r == -EINVAL ? "it is no regular file" : strerror(-r), TLS_FILE_MAX / 1024);
		return SETTINGS_BAD;
	}
	return 0;
}

/* Are the files of TLS good ones? Then they go to the warden as they are now; -1: there is no TLS. */
static int serve_tls(
	const struct settings *settings, int ret_files[static TLS_FILES], struct buf *error)
{
	bool has_cert = settings->values[SET_TLS_CERT][0],
	     has_key = settings->values[SET_TLS_KEY][0];
	struct tls_identity *identity = NULL;

	if (!has_cert && !has_key)
		return 0;
	if (!has_cert || !has_key) {
		buf_putf(error,
			"tls-cert and tls-key belong together, and %s is not set: name the two files, or "
			"neither to serve HTTP only",
			has_cert ? "tls-key" : "tls-cert");
		return SETTINGS_BAD;
	}
	int r = serve_open_tls(settings, ret_files, error);
	if (r == 0)
		r = tls_files_read(ret_files, settings, error, &identity);
	if (r == 0 && !identity) {
		buf_put(error, S("the files of tls-cert and tls-key are empty"));
		r = SETTINGS_BAD;
	}
	tls_identity_free(identity);
	return r < 0 ? err_pass(r) : r ? SETTINGS_BAD : 0;
}

static int boot_fill(
	struct warden_boot *boot, const struct settings *settings, const struct packs *packs)
{
	static const char *const levels[LOG_LEVELS] = { "debug", "info", "warn", "error" };

	boot->magic = BOOT_MAGIC;
	boot->version = BOOT_VERSION;
	int r = str_to_array(
		settings_text(settings, SET_LISTEN), boot->listen, sizeof(boot->listen));
	if (r == 0)
		r = str_to_array(
			settings_text(settings, SET_DATA), boot->data_dir, sizeof(boot->data_dir));
	if (r < 0)
		return err_pass(r);
	r = path_whole(settings_text(settings, SET_CONFIG), boot->config, sizeof(boot->config));
	if (r == 0)
		r = path_whole(settings_text(settings, SET_TLS_CERT), boot->tls_cert,
			sizeof(boot->tls_cert));
	if (r == 0)
		r = path_whole(
			settings_text(settings, SET_TLS_KEY), boot->tls_key, sizeof(boot->tls_key));
	if (r < 0)
		return err_pass(r);
	boot->router_uid = (uint32_t)settings_number(settings, SET_ROUTER_UID);
	boot->unpack_uid = (uint32_t)settings_number(settings, SET_UNPACK_UID);
	boot->sandbox_uid = (uint32_t)settings_number(settings, SET_SANDBOX_UID);
	boot->sandboxes_max = (uint32_t)settings_number(settings, SET_ENVIRONMENTS);
	boot->prepared = (uint32_t)settings_number(settings, SET_PREPARED);
	boot->drain_ms_max = (uint32_t)settings_number(settings, SET_DRAIN) * 1000;
	boot->log_json = settings_is(settings, SET_LOG_FORMAT, S("json"));
	for (uint32_t i = 0; i < LOG_LEVELS; i++) {
		if (settings_is(settings, SET_LOG_LEVEL, str_of(levels[i])))
			boot->log_level = i;
	}
	boot->pack_count = (uint32_t)packs->count;
	for (size_t i = 0; i < packs->count; i++)
		boot->packs[i] = packs->found[i].spec;
	return 0;
}

/* What the router must know of the packs: see router_settings.c for the reader. */
static void packs_put(const struct packs *packs, struct buf *out)
{
	for (size_t i = 0; i < packs->count; i++) {
		const struct pack_found *found = &packs->found[i];
		buf_putf(out,
			"pack=%s\npack.version=%s\npack.language=%s\npack.runtimes=%s\npack.env=%s\n"
			"pack.start=%s\npack.start_env=%s\npack.is_incomplete=%s\n",
			found->spec.name, found->spec.version, found->language, found->runtimes,
			found->env, found->start, found->start_env,
			found->is_incomplete ? "yes" : "no");
	}
}

/* How we were started, for the next time. */
struct start {
	int argc;
	char **argv;
	int listener;	    /* passed on to us, or -1 */
	int tls[TLS_FILES]; /* sealed copies of the files, or -1 */
};

/* The socket of whoever started us has been bound already: it decides where we listen. */
static int serve_listener(struct settings *settings, struct start *start, struct buf *error)
{
	char name[64];

	int r = handover_take(&start->listener);
	if (r == -EINVAL) {
		buf_put(error,
			S("what was passed on (LISTEN_FDS) must be one listening TCP socket"));
		return SETTINGS_BAD;
	}
	if (r < 0 || start->listener < 0)
		return err_pass(r);
	r = socket_name(start->listener, name, sizeof(name));
	if (r < 0)
		return err_pass(r);
	if (!settings_is(settings, SET_LISTEN, str_of(name)))
		log_warn("listen_kept", LOG_TEXT("address", name),
			LOG_STR("listen", settings_text(settings, SET_LISTEN)),
			LOG_TEXT("effect", "the socket that was passed on is served"));
	return settings_set(settings, S("listen"), str_of(name), "flag", error);
}

/* A descriptor under the number that it is expected under, or nothing there. */
static int place(int fd, int number)
{
	if (fd >= 0)
		return dup2(fd, number) < 0 ? -errno : 0;
	(void)close(number);
	return 0;
}

/* Hand over sealed memfds, and the socket, under the numbers of wire/boot.h, and become the warden. */
static int warden_exec(
	const struct warden_boot *boot, str lines, const struct start *start, const char *folder)
{
	char program[PATH_MAX];
	int boot_fd, lines_fd;

	snprintf(program, sizeof(program), "%s/mayfly-warden", folder);
	int r = fd_sealed("boot", (str){ (const char *)boot, sizeof(*boot) }, &boot_fd);
	if (r == 0)
		r = fd_sealed("settings", lines, &lines_fd);
	if (r < 0)
		return err_pass(r);
	/* Out of the way of each other first, whichever numbers they got. */
	const int fds[] = { boot_fd, lines_fd, start->listener, start->tls[TLS_CERT],
		start->tls[TLS_KEY] };
	static_assert(WARDEN_FD_BOOT == 3 && WARDEN_FD_TLS + TLS_KEY == 7);
	int high[ARRAY_LEN(fds)];
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 10);
		if (fds[i] >= 0 && high[i] < 0)
			return err_raise(-errno);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(fds); i++)
		r = place(high[i], WARDEN_FD_BOOT + (int)i);
	if (r < 0)
		return err_raise(r);
	if (close_range(WARDEN_FD_BOOT + ARRAY_LEN(fds), ~0U, 0) < 0)
		return err_raise(-errno);
	/* SIGUSR2 makes it `mayfly serve` once more, with the same words. */
	char **words = mem_new((size_t)start->argc + 3, sizeof(*words));
	if (!words)
		return err_raise(-ENOMEM);
	words[0] = (char *)"mayfly-warden";
	words[1] = (char *)"serve";
	memcpy(words + 2, start->argv, (size_t)start->argc * sizeof(*words));
	execv(program, words);
	return err_raise(-errno);
}

/* What is only read later, by somebody who can tell nobody, is looked at now. */
static int serve_check(const struct settings *settings, struct buf *error)
{
	const char *ca = settings->values[SET_DESTINATIONS_CA];

	if (!ca[0] || (ca[0] == '/' && access(ca, R_OK) == 0))
		return 0;
	if (ca[0] == '/')
		buf_putf(error, "destinations-ca: %s cannot be read: %s", ca, strerror(errno));
	else
		buf_putf(error, "destinations-ca: %s is no absolute path: write it from / on", ca);
	return SETTINGS_BAD;
}

static int serve_start(
	const struct settings *settings, const struct start *start, struct buf *error)
{
	char folder[PACK_PATH_MAX], packs_folder[PATH_MAX], cache[PATH_MAX];
	struct packs packs = {};
	struct buf lines, problems;
	struct warden_boot *boot = mem_one(struct warden_boot);

	buf_init(&lines, LINES_MAX);
	buf_init(&problems, LINES_MAX);
	int r = boot ? serve_program_folder(folder, sizeof(folder)) : -ENOMEM;
	if (r < 0)
		return err_pass(r);
	if (settings->values[SET_RUNTIMES_DIR][0])
		r = str_to_array(settings_text(settings, SET_RUNTIMES_DIR), packs_folder,
			sizeof(packs_folder));
	else
		r = serve_packs_folder(packs_folder, sizeof(packs_folder));
	if (r < 0)
		return err_pass(r);
	if (mkdir(settings->values[SET_DATA], 0711) < 0 && errno != EEXIST) {
		buf_putf(error, "cannot make the data directory %s: %s", settings->values[SET_DATA],
			strerror(errno));
		return SETTINGS_BAD;
	}
	snprintf(cache, sizeof(cache), "%s/runtimes.cache", settings->values[SET_DATA]);
	r = packs_find(packs_folder, cache, &packs, &problems);
	if (r == 0)
		r = boot_fill(boot, settings, &packs);
	boot->has_listener = start->listener >= 0;
	if (r == 0)
		r = str_to_array(str_of(folder), boot->libexec_dir, sizeof(boot->libexec_dir));
	if (r < 0)
		return err_pass(r);
	str rest = buf_str(&problems), line;
	while (str_cut(&rest, '\n', &line))
		log_warn("runtime_left_out", LOG_STR("why", line));
	settings_put(settings, &lines);
	settings_put_pinned(settings, &lines);
	packs_put(&packs, &lines);
	if (lines.err)
		return err_raise(lines.err);
	return err_pass(warden_exec(boot, buf_str(&lines), start, folder));
}

/* The whole of it, once the words about words are dealt with. Returns only for a failure, or a check. */
static int serve_run(
	struct start *start, bool is_check, struct settings *settings, struct buf *error)
{
	int r = serve_settings(settings, start->argc, start->argv, error);
	if (r == 0)
		r = serve_check(settings, error);
	if (r == 0)
		r = serve_tls(settings, start->tls, error);
	if (r || is_check)
		return r < 0 ? err_pass(r) : r;
	if (geteuid() != 0) {
		buf_put(error,
			S("must be started as root: it makes sandboxes, and gives up its rights "
			  "in every process that reads the network"));
		return SETTINGS_BAD;
	}
	log_setup(LOG_INFO, settings_is(settings, SET_LOG_FORMAT, S("json")), "serve");
	r = serve_listener(settings, start, error);
	if (r == 0)
		r = serve_start(settings, start, error);
	return r < 0 ? err_pass(r) : r;
}

/* Is the word there? Then take it out. */
static bool word_take(int *argc, char **argv, const char *word)
{
	for (int i = 0; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], word) != 0)
			continue;
		memmove(argv + i, argv + i + 1, (size_t)(*argc - i) * sizeof(*argv));
		--*argc;
		return true;
	}
	return false;
}

int serve_main(int argc, char **argv)
{
	struct settings settings;
	struct buf error;

	if (word_take(&argc, argv, "--help") || word_take(&argc, argv, "-h")) {
		serve_help();
		return 0;
	}
	bool is_check = word_take(&argc, argv, "--check");
	struct start start = { .argc = argc, .argv = argv, .listener = -1, .tls = { -1, -1 } };
	buf_init(&error, 64 * KIB);
	log_setup(LOG_INFO, false, "serve");
	int r = settings_init(&settings);
	if (r == 0)
		r = serve_run(&start, is_check, &settings, &error);
	if (r < 0) {
		err_log(r, "start the daemon");
	} else if (r > 0) {
		const char *text = buf_cstr(&error);
		fprintf(stderr, "mayfly serve: %s\n", text ? text : "out of memory");
	} else {
		printf("The settings are fine.\n");
	}
	settings_done(&settings);
	buf_done(&error);
	return r < 0 ? 1 : r > 0 ? EXIT_USAGE : 0;
}
