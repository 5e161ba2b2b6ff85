/*
 * mayfly-warden: one thread, one epoll, tables of fixed size. It starts the router and waits;
 * all that happens later is a descriptor that became readable or a deadline that passed.
 *
 * The order at start: first everything that can be wrong and said to a person (settings,
 * directory, address, programs, cgroups), then the janitor, and the router last.
 */
#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/socket.h"
#include "warden/boot.h"
#include "warden/warden.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 4096, FILES_WANTED = 65'536, END_MS_MAX = 5000 };

static struct warden warden;

void warden_forget_router(struct warden *w)
{
	gate_clear(&w->outbox);
	sandboxes_forget_router(w);
	code_forget_router(w);
}

/* One line for the person who started us, with what to do. */
static int start_fail(int fault, const char *what)
{
	err_log(fault, what);
	return 1;
}

static int start_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_raise(-errno);
	/* Three for each sandbox here, more in the router. Without the right to raise: what there is. */
	struct rlimit more = { MAX(files.rlim_max, FILES_WANTED),
		MAX(files.rlim_max, FILES_WANTED) };
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return 0;
	files.rlim_cur = files.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) < 0 ? err_raise(-errno) : 0;
}

static void on_signal(struct warden *w, struct source *signals)
{
	struct signalfd_siginfo info;

	if (read(signals->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	log_info("signal", LOG_U64("signal", info.ssi_signo));
	if (w->is_draining) { /* asked twice: now */
		w->is_over = true;
		return;
	}
	w->is_draining = true;
	w->drain_until_ms = clock_mono_ms() + w->boot->drain_ms_max;
	router_drain(w);
}

static int start_signals(struct warden *w)
{
	sigset_t asked;

	sigemptyset(&asked);
	sigaddset(&asked, SIGTERM);
	sigaddset(&asked, SIGINT);
	sigaddset(&asked, SIGHUP); /* the terminal is gone */
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_SETMASK, &asked, NULL) < 0)
		return err_raise(-errno);
	int fd = signalfd(-1, &asked, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_raise(-errno) : err_pass(source_open(w, &w->signals, fd, on_signal));
}

/* A program beside us, opened now, as root: the jailed ones could not find it. */
static int start_program(const struct warden *w, const char *name, int *ret_fd)
{
	char path[PACK_PATH_MAX + 32];

	(void)snprintf(path, sizeof(path), "%s/%s", w->boot->libexec_dir, name);
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0) {
		log_error("program_missing", LOG_TEXT("path", path));
		return err_raise(-errno);
	}
	*ret_fd = fd;
	return 0;
}

static int start_descriptors(struct warden *w)
{
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (w->epoll < 0 || w->null < 0)
		return err_raise(-errno);
	if (fcntl(WARDEN_FD_SETTINGS, F_SETFD, FD_CLOEXEC) < 0 ||
		fcntl(WARDEN_FD_BOOT, F_SETFD, FD_CLOEXEC) < 0)
		return err_raise(-errno);
	w->settings = WARDEN_FD_SETTINGS;
	int r = child_self(&w->self);
	if (r == 0)
		r = start_program(w, "mayfly", &w->router_program);
	if (r == 0)
		r = start_program(w, "mayfly-unpack", &w->unpack_program);
	if (r == 0)
		r = start_signals(w);
	for (int kind = 0; r == 0 && kind < FILTER_KINDS; kind++)
		r = filter_compile((enum filter_kind)kind, &w->filters[kind]);
	return err_pass(r);
}

/* 0, or the exit status. */
static int start_boot(struct warden *w)
{
	const char *reason;

	if (geteuid() != 0) {
		(void)fprintf(
			stderr, "mayfly-warden: it must be started by root (try: mayfly doctor)\n");
		return 1;
	}
	int r = boot_open(WARDEN_FD_BOOT, &w->boot, &reason);
	if (r < 0) {
		(void)fprintf(stderr,
			"mayfly-warden: cannot start: %s. It is started by `mayfly serve`.\n",
			reason ? reason : "no settings");
		return 1;
	}
	log_setup((enum log_level)w->boot->log_level, w->boot->log_json, "warden");
	return 0;
}

static int start_place(struct warden *w)
{
	int r = places_open(w->boot, &w->places);
	if (r == PLACES_TAKEN) {
		log_error("data_directory_in_use", LOG_TEXT("path", w->boot->data_dir),
			LOG_TEXT("hint",
				"another mayfly serves it: stop that one, or choose another --data"));
		return 1;
	}
	if (r < 0)
		return start_fail(r, "opening the data directory");
	r = socket_listen(str_of(w->boot->listen), BACKLOG, &w->listener);
	if (r < 0) {
		log_error("cannot_listen", LOG_TEXT("address", w->boot->listen),
			LOG_ERRNO("error", r));
		return start_fail(r, "binding the public address");
	}
	r = cgroups_open(&w->cgroups, w->places.name);
	return r < 0 ? start_fail(r, "setting up cgroups (try: mayfly doctor)") : 0;
}

static void loop_run(struct warden *w)
{
	for (;;) {
		uint64_t now = clock_mono_ms(), due = UINT64_MAX;
		due = MIN(due, cells_tick(w, now));
		due = MIN(due, sandboxes_tick(w, now));
		due = MIN(due, janitor_tick(w, now));
		due = MIN(due, router_tick(w, now));
		if (w->is_draining) {
			due = MIN(due, w->drain_until_ms);
			w->is_over |= now >= w->drain_until_ms;
		}
		if (w->is_over)
			return;
		int r = source_wait(w, due);
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
	const int left[] = { w->router.cell.process.fd, w->jobs.remover.fd };
	for (size_t i = 0; i < ARRAY_LEN(left); i++)
		if (left[i] >= 0) {
			child_kill(left[i]);
			(void)child_wait(left[i], END_MS_MAX);
		}
	int r = places_sweep(&w->places, "");
	if (r < 0)
		err_log(r, "sweeping unfinished code");
	janitor_stop(w);
	log_info("ended");
}

int main(void)
{
	struct warden *w = &warden;

	(void)umask(022);
	if (chdir("/") < 0 || start_boot(w) != 0)
		return 1;
	w->signals.fd = w->janitor.process.fd = w->router.socket.fd = -1;
	w->router.phase = ROUTER_DOWN;
	cell_init(&w->router.cell);
	list_init(&w->busy_cells);
	sandboxes_init(&w->sandboxes, w->boot->sandboxes_max);
	code_init(&w->jobs);

	int r = start_limits();
	if (r == 0)
		r = start_descriptors(w);
	if (r < 0)
		return start_fail(r, "starting");
	if (start_place(w) != 0)
		return 1;
	loop_run(w); /* the janitor and the router are due at once */
	end_all(w);
	return 0;
}
