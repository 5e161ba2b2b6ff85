/*
 *           start                FRAME_READY            SIGTERM
 *   DOWN ──────────▶ STARTING ──────────────▶ SERVING ──────────▶ DRAINING
 *    ▲                  │                        │
 *    └──── back-off ◀───┴──── death, condemned ──┘
 *
 * The listening socket is ours and is handed to each router, so that while one is dead
 * clients queue instead of being refused. The router's death takes its sandboxes with it:
 * nobody else knows what they were doing.
 */
#include "warden/router.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/rights.h"
#include "os/socket.h"
#include "warden/warden.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	BACKOFF_MS_MIN = 100,
	BACKOFF_MS_MAX = 5000,
	HEALTHY_MS = 10'000, /* who served this long starts at the least back-off again */
	SEND_BUFFER = 4 * 1024 * 1024,
	ROUTER_NICE = -10,
};

/* The descriptors it is born with (frames.h), and two that exec closes. */
static int router_set_fds(const struct warden *w, int socket, int *ret_program, int *ret_parent)
{
	const int fds[] = { w->null, STDERR_FILENO, STDERR_FILENO, socket, w->listener, w->settings,
		w->tls[TLS_CERT], w->tls[TLS_KEY], w->router_program, w->self };
	static_assert(ROUTER_FD_WARDEN == 3 && ROUTER_FD_LISTEN == 4 && ROUTER_FD_SETTINGS == 5 &&
		ROUTER_FD_TLS == 6);

	int r = child_set_fds(fds, ARRAY_LEN(fds));
	if (r == 0 && (fcntl(8, F_SETFD, FD_CLOEXEC) < 0 || fcntl(9, F_SETFD, FD_CLOEXEC) < 0))
		r = -errno;
	*ret_program = 8;
	*ret_parent = 9;
	return r;
}

/* In the child: give up everything, become the router. Returns a fault. */
static int router_exec(const struct warden *w, int socket)
{
	/* Nothing of root's environment, which may hold secrets. */
	static const char *const envp[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8",
		NULL };
	static const char *const argv[] = { "mayfly", "router", NULL };
	int program, parent;

	int r = fchdir(w->places.router) < 0 ? -errno
					     : router_set_fds(w, socket, &program, &parent);
	if (r == 0)
		r = rights_limit(RLIMIT_CORE, 0); /* its memory has customers' data in it */
	/* Each invocation passes through it: it goes before the starts of sandboxes. No right, no harm. */
	(void)setpriority(PRIO_PROCESS, 0, ROUTER_NICE);
	if (r == 0)
		r = rights_drop(w->boot->router_uid);
	if (r == 0)
		r = child_die_with_parent(parent);
	if (r < 0)
		return r;
	execveat(program, "", (char **)argv, (char **)envp, AT_EMPTY_PATH);
	return -errno;
}

static void router_on_gone(void *context, struct cell *cell)
{
	struct warden *w = context;
	uint64_t now = clock_mono_ms();
	struct router *router = &w->router;

	log_line(w->is_draining ? LOG_INFO : LOG_ERROR, "router_ended",
		LOG_I64("status", WIFEXITED(cell->status) ? WEXITSTATUS(cell->status) : -1),
		LOG_U64("signal",
			WIFSIGNALED(cell->status) ? (unsigned)WTERMSIG(cell->status) : 0));
	source_close(w->epoll, &router->socket);
	warden_forget_router(w);
	if (router->ready_ms && now - router->ready_ms >= HEALTHY_MS)
		router->backoff_ms = 0;
	router->phase = ROUTER_DOWN;
	router->ready_ms = 0;
	router->is_rereading = false;
	router->is_renew_due |= router->offered[TLS_KEY] >= 0;
	fd_close_all(router->offered, TLS_FILES);
	router->backoff_ms = MIN(
		MAX(2 * router->backoff_ms, (uint32_t)BACKOFF_MS_MIN), (uint32_t)BACKOFF_MS_MAX);
	router->restart_ms = now + router->backoff_ms;
	w->is_over |= w->is_draining; /* it will not say FRAME_DRAINED any more */
}

static int router_start(struct warden *w)
{
	static const struct cell_how how = {
		.cgroup = "router", .process = "mayfly-router", .gone = router_on_gone
	};
	int size = SEND_BUFFER;
	scoped_fd ours = -1, theirs = -1;

	int r = child_channel(&ours, &theirs);
	if (r < 0)
		return err_pass(r);
	(void)setsockopt(ours, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	r = source_open(w->epoll, &w->router.socket, fd_take(&ours), gate_ready);
	if (r == 0)
		r = cell_start(&w->cells, &w->router.cell, &how);
	if (r == 0) {
		log_error("router_exec_failed", LOG_ERRNO("error", router_exec(w, theirs)));
		_exit(127);
	}
	if (r < 0)
		source_close(w->epoll, &w->router.socket);
	return r < 0 ? err_pass(r) : 0;
}

uint64_t router_tick(struct warden *w, uint64_t now_ms)
{
	struct router *router = &w->router;

	if (router->phase != ROUTER_DOWN || w->is_draining)
		return UINT64_MAX;
	if (now_ms < router->restart_ms)
		return router->restart_ms;
	int r = router_start(w);
	if (r < 0) {
		err_log(r, "starting the router");
		router->restart_ms = now_ms + BACKOFF_MS_MAX;
		return router->restart_ms;
	}
	router->phase = ROUTER_STARTING;
	router->started_ms = now_ms;
	return UINT64_MAX;
}

/* The one line that people and scripts wait for. */
static void router_print_ready(const struct warden *w)
{
	char name[64] = "";
	const char *more = w->boot->tls_cert[0] ? name : "";

	(void)!socket_name(w->listener, name, sizeof(name));
	dprintf(STDOUT_FILENO, "Ready. http://%s%s%s\n", name, more[0] ? " https://" : "", more);
}

const char *router_on_ready(
	struct warden *w, [[maybe_unused]] const union frame *frame, [[maybe_unused]] int fds[])
{
	struct router *router = &w->router;

	if (router->ready_ms)
		return "ready twice";
	router->ready_ms = clock_mono_ms();
	if (router->phase == ROUTER_STARTING)
		router->phase = ROUTER_SERVING;
	log_info("router_ready", LOG_U64("ms", router->ready_ms - router->started_ms));
	if (!router->was_ready)
		router_print_ready(w);
	router->was_ready = true;
	if (router->was_reread)
		router_reread(w);
	if (router->is_renew_due)
		router_renew(w);
	return NULL;
}

const char *router_on_drained(
	struct warden *w, [[maybe_unused]] const union frame *frame, [[maybe_unused]] int fds[])
{
	w->is_over = true;
	return NULL;
}

void router_drain(struct warden *w)
{
	static const struct ready_frame drain = { .head.op = FRAME_DRAIN };

	if (w->router.phase == ROUTER_DOWN) {
		w->is_over = true;
		return;
	}
	w->router.phase = ROUTER_DRAINING;
	gate_tell(w, &drain, sizeof(drain), NULL, 0);
}

/* Opened by us, parsed by the router: what is wrong with the file can harm only what has no rights. */
void router_reread(struct warden *w)
{
	static const struct ready_frame reread = { .head.op = FRAME_REREAD };
	struct router *router = &w->router;
	const char *path = w->boot->config;

	router->was_reread = path[0] != 0;
	router->is_reread_due = router->is_rereading;
	if (router->phase != ROUTER_SERVING || router->is_rereading)
		return;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		log_error("settings_kept", LOG_TEXT("file", path), LOG_ERRNO("error", errno),
			LOG_TEXT("hint", "--config names it"));
		return;
	}
	router->is_rereading = true;
	gate_tell(w, &reread, sizeof(reread), &fd, 1);
}

const char *router_on_reread_done(
	struct warden *w, const union frame *frame, [[maybe_unused]] int fds[])
{
	const struct reread_done_frame *done = &frame->reread_done;

	if (!w->router.is_rereading || done->log_level > LOG_ERROR || done->log_json > 1)
		return "impossible settings";
	w->router.is_rereading = false;
	log_setup((enum log_level)done->log_level, done->log_json, "warden");
	if (w->router.is_reread_due)
		router_reread(w);
	return NULL;
}

void router_renew(struct warden *w)
{
	static const struct ready_frame renew = { .head.op = FRAME_RENEW };
	const char *const paths[] = { w->boot->tls_cert, w->boot->tls_key };
	struct router *router = &w->router;
	int fds[TLS_FILES] = { -1, -1 }, r = 0;

	router->is_renew_due = paths[TLS_CERT][0];
	if (!paths[TLS_CERT][0] || router->phase != ROUTER_SERVING || router->offered[TLS_KEY] >= 0)
		return;
	router->is_renew_due = false;
	for (int i = 0; r == 0 && i < TLS_FILES; i++) {
		r = fd_sealed_file(paths[i], TLS_FILE_MAX, &router->offered[i], &fds[i]);
		if (r < 0)
			log_error("certificate_kept", LOG_TEXT("file", paths[i]),
				LOG_ERRNO("error", r));
	}
	if (r == 0) {
		gate_tell(w, &renew, sizeof(renew), fds, TLS_FILES);
		return;
	}
	fd_close_all(router->offered, TLS_FILES);
	fd_close_all(fds, TLS_FILES);
}

const char *router_on_renewed(
	struct warden *w, const union frame *frame, [[maybe_unused]] int fds[])
{
	struct router *router = &w->router;

	if (router->offered[TLS_KEY] < 0 || frame->renewed.is_taken > 1)
		return "impossible renewal";
	for (int i = 0; frame->renewed.is_taken && i < TLS_FILES; i++) {
		fd_close(&w->tls[i]);
		w->tls[i] = fd_take(&router->offered[i]);
	}
	fd_close_all(router->offered, TLS_FILES);
	if (router->is_renew_due)
		router_renew(w);
	return NULL;
}

void router_condemn(struct warden *w, const char *reason)
{
	log_error("router_condemned", LOG_TEXT("reason", reason));
	/* Nothing more is read from it; its end, which follows, does the rest. */
	source_close(w->epoll, &w->router.socket);
	cell_kill(&w->router.cell);
}
