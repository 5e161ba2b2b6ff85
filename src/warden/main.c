/*
 * mayfly-warden: one thread, one epoll, tables of fixed size. It starts the router and waits;
 * all that happens later is a descriptor that became readable or a deadline that passed.
 */
#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/handover.h"
#include "os/rights.h"
#include "os/socket.h"
#include "os/tree.h"
#include "warden/warden.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 4096, FILES_WANTED = 65'536, END_MS_MAX = 5000 };

static struct outbox_message messages[OUTBOX_MAX];
static struct warden warden = { .outbox = { .ring = messages, .size = OUTBOX_MAX } };

void warden_forget_router(struct warden *w)
{
	outbox_clear(&w->outbox);
	sandboxes_forget_router(w);
	code_forget_router(w);
}

static void on_signal(void *context, struct source *signals)
{
	struct warden *w = context;
	struct signalfd_siginfo info;

	if (read(signals->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	log_info("signal", LOG_U64("signal", info.ssi_signo));
	if (info.ssi_signo == SIGHUP && info.ssi_code != SI_KERNEL) { /* not the terminal's end */
		if (w->boot->config[0] || !w->boot->tls_cert[0])
			router_reread(w);
		router_renew(w);
		return;
	}
	if (w->is_draining) { /* asked twice: now */
		w->is_over |= info.ssi_signo != SIGUSR2;
		w->is_replaced &= !w->is_over;
		return;
	}
	w->is_draining = true;
	w->is_replaced = info.ssi_signo == SIGUSR2;
	w->drain_until_ms = clock_mono_ms() + w->boot->drain_ms_max;
	router_drain(w);
}

static int start_boot(struct warden *w)
{
	const char *reason = "it is for root";

	int r = geteuid() != 0 ? err_raise(-EPERM) : boot_open(WARDEN_FD_BOOT, &w->boot, &reason);
	if (r < 0) {
		log_error("cannot_start", LOG_TEXT("reason", reason),
			LOG_TEXT("hint", "it is started by `mayfly serve`, as root"));
		return err_pass(r);
	}
	log_setup((enum log_level)w->boot->log_level, w->boot->log_json, "warden");
	sandboxes_init(&w->sandboxes, w->boot->sandboxes_max);
	code_init(&w->jobs);
	return 0;
}

static int start_descriptors(struct warden *w)
{
	w->settings = WARDEN_FD_SETTINGS;
	w->epoll = w->cells.epoll = epoll_create1(EPOLL_CLOEXEC);
	w->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (w->epoll < 0 || w->null < 0 || fcntl(w->settings, F_SETFD, FD_CLOEXEC) < 0 ||
		fcntl(WARDEN_FD_BOOT, F_SETFD, FD_CLOEXEC) < 0)
		return err_raise(-errno);
	for (int i = 0; i < TLS_FILES; i++) {
		w->tls[i] = w->boot->tls_cert[0] ? WARDEN_FD_TLS + i : w->null;
		if (fcntl(w->tls[i], F_SETFD, FD_CLOEXEC) < 0)
			return err_raise(-errno);
	}
	int r = child_self(&w->self);
	if (r == 0)
		r = rights_raise_files(FILES_WANTED);
	return err_pass(r);
}

static int start_signals(struct warden *w)
{
	sigset_t asked;

	sigemptyset(&asked);
	sigaddset(&asked, SIGTERM);
	sigaddset(&asked, SIGINT);
	sigaddset(&asked, SIGHUP);
	sigaddset(&asked, SIGUSR2);
	(void)signal(SIGPIPE, SIG_IGN);
	int fd = sigprocmask(SIG_SETMASK, &asked, NULL) < 0
		? -1
		: signalfd(-1, &asked, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_raise(-errno)
		      : err_pass(source_open(w->epoll, &w->signals, fd, on_signal));
}

/* The programs beside us, opened now, as root: whom they are for could not find them. */
static int start_programs(struct warden *w)
{
	const struct {
		const char *name;
		int *fd;
	} programs[] = { { "mayfly", &w->router_program }, { "mayfly-unpack", &w->unpack_program },
		{ "mayfly-restore", &w->restore_program } };
	char path[PACK_PATH_MAX + 32];

	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", w->boot->libexec_dir, programs[i].name);
		*programs[i].fd = open(path, O_PATH | O_CLOEXEC);
		int fault = *programs[i].fd < 0 ? err_raise(-errno) : 0;
		if (fault < 0) {
			log_error("program_missing", LOG_TEXT("path", path));
			return fault;
		}
	}
	return 0;
}

static int start_filters(struct warden *w)
{
	int r = 0;

	for (int kind = 0; r == 0 && kind < FILTER_KINDS; kind++)
		r = filter_compile((enum filter_kind)kind, &w->filters[kind]);
	if (r == 0)
		r = zygotes_init(w);
	return err_pass(r);
}

static int start_places(struct warden *w)
{
	int r = places_open(w->boot, &w->places);
	if (r != PLACES_TAKEN)
		return err_pass(r);
	log_error("data_directory_in_use", LOG_TEXT("path", w->boot->data_dir),
		LOG_TEXT("hint", "another mayfly serves it: stop that, or choose another --data"));
	return err_raise(-EBUSY);
}

static int start_listener(struct warden *w)
{
	w->listener = WARDEN_FD_LISTENER;
	if (w->boot->has_listener && fcntl(w->listener, F_SETFD, FD_CLOEXEC) == 0)
		return err_pass(fd_set_nonblock(w->listener, true));
	int r = socket_listen(str_of(w->boot->listen), BACKLOG, &w->listener);
	if (r < 0)
		log_error("listen_failed", LOG_TEXT("address", w->boot->listen),
			LOG_ERRNO("error", r),
			LOG_TEXT("hint", "stop what listens there, or choose another --listen"));
	return err_pass(r);
}

/* The janitor is there before there is anything for it to remove. */
static int start_cgroups(struct warden *w)
{
	int r = cgroups_find(&w->cgroups, w->places.name);
	if (r < 0)
		return err_pass(r);
	(void)janitor_tick(w, clock_mono_ms());
	return err_pass(cgroups_make(&w->cgroups));
}

static int start_mould(struct warden *w)
{
	cradles_init(&w->cradles, w->null);
	return err_pass(jail_make_mould(w->boot, w->self, w->null, &w->mould));
}

/* First everything that can be wrong. The router is due when the loop begins. */
static const struct {
	int (*run)(struct warden *w);
	const char *what;
} starts[] = {
	{ start_boot, "reading what mayfly serve says" },
	{ start_descriptors, "preparing descriptors" },
	{ start_signals, "preparing for signals" },
	{ start_programs, "opening the programs beside it" },
	{ start_filters, "compiling the system call filters" },
	{ start_places, "taking the data directory" },
	{ start_listener, "binding the address" },
	{ start_mould, "making the root of sandboxes (mayfly doctor may know more)" },
	{ start_cgroups, "setting up cgroups (mayfly doctor may know more)" },
};

static void loop_run(struct warden *w)
{
	for (;;) {
		uint64_t now = clock_mono_ms(), due = UINT64_MAX;
		due = MIN(due, cells_tick(&w->cells, w, now));
		due = MIN(due, zygotes_tick(w, now));
		due = MIN(due, sandboxes_tick(w, now));
		due = MIN(due, janitor_tick(w, now));
		due = MIN(due, router_tick(w, now));
		if (w->is_draining) {
			due = MIN(due, w->drain_until_ms);
			w->is_over |= now >= w->drain_until_ms;
		}
		if (w->is_over)
			return;
		int r = source_wait(w->epoll, due, w);
		if (r < 0) {
			err_log(r, "waiting for events");
			return;
		}
	}
}

/* Kill everything and leave nothing. The janitor goes last: until then it would do the same. */
static void end_all(struct warden *w)
{
	cgroups_sweep(&w->cgroups);
	if (w->router.cell.process.fd >= 0)
		(void)child_wait(w->router.cell.process.fd, END_MS_MAX);
	int r = tree_clear(w->places.tmp);
	if (r < 0)
		err_log(r, "sweeping unfinished code");
	janitor_stop(w);
	log_info("ended");
}

/* Become `mayfly serve` again, the one that lies there now. Nothing else of us is left by then. */
static void replace(const struct warden *w)
{
	char program[PACK_PATH_MAX + 32];

	(void)snprintf(program, sizeof(program), "%s/mayfly", w->boot->libexec_dir);
	(void)!fchdir(w->start_dir);
	err_log(handover_exec(program, w->null, w->listener), "starting the next version");
}

int main(int argc, char **argv)
{
	struct warden *w = &warden;

	(void)umask(022);
	w->start_dir = open(".", O_PATH | O_CLOEXEC);
	(void)!chdir("/");
	w->signals.fd = w->janitor.process.fd = w->router.socket.fd = -1;
	w->router.offered[TLS_CERT] = w->router.offered[TLS_KEY] = -1;
	w->router.phase = ROUTER_DOWN;
	cell_init(&w->router.cell);
	list_init(&w->cells.busy);
	w->cells.cgroups = &w->cgroups;
	int r = handover_keep_words(argc, argv);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(starts); i++) {
		r = starts[i].run(w);
		if (r < 0)
			err_log(r, starts[i].what);
	}
	if (r < 0)
		return 1;
	loop_run(w);
	end_all(w);
	if (w->is_replaced)
		replace(w);
	return w->is_replaced;
}
