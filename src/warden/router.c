/*
 *           start                FRAME_READY            SIGTERM
 *   DOWN ──────────▶ STARTING ──────────────▶ SERVING ──────────▶ DRAINING
 *    ▲                  │                        │
 *    └──── back-off ◀───┴──── death, condemned ──┘
 *
 * The listening socket is ours and is handed to each router, so that while one is dead
 * clients queue instead of being refused. The router's death takes its sandboxes with it:
 * nobody else knows what they were doing. It is in a cgroup of its own, so that children
 * it might have had go too.
 */
#include "warden/router.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/socket.h"
#include "warden/child.h"
#include "warden/gate.h"
#include "warden/rights.h"
#include "warden/warden.h"

#include <assert.h>
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
	HEALTHY_MS = 10'000,
	SEND_BUFFER = 4 * 1024 * 1024
};

static const char router_cgroup[] = "router";

/* In the child: give up everything, become the router. Returns an errno. */
static int router_exec(const struct warden *w, int socket)
{
	/* Nothing of root's environment, which may hold secrets. */
	static const char *const envp[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8",
		NULL };
	static const char *const argv[] = { "mayfly", "router", NULL };
	const int fds[] = { w->null, STDERR_FILENO, STDERR_FILENO, socket, w->listener, w->settings,
		w->router_program, w->self };
	static_assert(ROUTER_FD_WARDEN == 3 && ROUTER_FD_LISTEN == 4 && ROUTER_FD_SETTINGS == 5);

	int r = fchdir(w->places.router) < 0 ? -errno : 0;
	if (r == 0)
		r = child_set_fds(fds, ARRAY_LEN(fds));
	int program = 6, self = 7;
	if (r == 0 &&
		(fcntl(program, F_SETFD, FD_CLOEXEC) < 0 || fcntl(self, F_SETFD, FD_CLOEXEC) < 0))
		r = -errno;
	if (r == 0)
		r = setrlimit(RLIMIT_CORE, &(struct rlimit){}) < 0 ? -errno : 0;
	if (r == 0)
		r = rights_drop_bounding();
	if (r == 0)
		r = rights_change_user(w->boot->router_uid);
	if (r == 0)
		r = rights_drop_capabilities();
	if (r == 0)
		r = rights_no_new_privs();
	if (r == 0)
		r = child_die_with_parent(self);
	if (r < 0)
		return r;
	execveat(program, "", (char **)argv, (char **)envp, AT_EMPTY_PATH);
	return -errno;
}

static void router_on_death(struct warden *w, [[maybe_unused]] struct source *process)
{
	int status = 0;
	uint64_t now = clock_mono_ms();
	struct router *router = &w->router;

	int r = child_reap(router->process.fd, &status);
	if (r == -EAGAIN)
		return;
	log_line(w->is_draining ? LOG_INFO : LOG_ERROR, "router_ended",
		LOG_I64("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
		LOG_U64("signal", WIFSIGNALED(status) ? (unsigned)WTERMSIG(status) : 0));
	cgroup_kill(&w->cgroups, router_cgroup);
	warden_forget_router(w);
	source_close(w->epoll, &router->socket);
	source_close(w->epoll, &router->process);

	if (router->ready_ms && now - router->ready_ms >= HEALTHY_MS)
		router->backoff_ms = 0;
	router->phase = ROUTER_DOWN;
	router->ready_ms = 0;
	if (w->is_draining) { /* it will not say FRAME_DRAINED any more */
		w->is_over = true;
		return;
	}
	router->restart_ms = now + MAX(router->backoff_ms, (uint32_t)BACKOFF_MS_MIN);
	router->backoff_ms = MIN(
		MAX(2 * router->backoff_ms, 2U * BACKOFF_MS_MIN), (uint32_t)BACKOFF_MS_MAX);
}

/* The socket pair; our end takes many events before it is full. */
static int router_make_socket(int *ret_ours, int *ret_theirs)
{
	int pair[2], size = SEND_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_raise(-errno);
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	*ret_ours = pair[0];
	*ret_theirs = pair[1];
	return err_pass(fd_set_nonblock(pair[0], true));
}

static int router_try_start(struct warden *w)
{
	scoped_fd ours = -1, theirs = -1, cgroup = -1;
	int pidfd;

	int r = router_make_socket(&ours, &theirs);
	if (r == 0)
		r = cgroup_make_bare(&w->cgroups, router_cgroup, &cgroup);
	if (r < 0)
		return err_pass(r);
	r = child_start(&(struct child_how){ .cgroup = cgroup, .name = "mayfly-router" }, &pidfd);
	if (r < 0)
		return err_pass(r);
	if (r == 0) {
		log_error("router_exec_failed", LOG_ERRNO("error", router_exec(w, theirs)));
		_exit(127);
	}
	r = source_open(w->epoll, &w->router.process, pidfd, router_on_death);
	if (r == 0)
		r = source_open(w->epoll, &w->router.socket, fd_take(&ours), gate_ready);
	return err_pass(r);
}

void router_start(struct warden *w)
{
	assert(w->router.phase == ROUTER_DOWN);
	uint64_t now = clock_mono_ms();

	int r = router_try_start(w);
	if (r < 0) {
		err_log(r, "starting the router");
		cgroup_kill(&w->cgroups, router_cgroup);
		source_close(w->epoll, &w->router.socket);
		source_close(w->epoll, &w->router.process);
		w->router.restart_ms = now + BACKOFF_MS_MAX;
		return;
	}
	w->router.phase = ROUTER_STARTING;
	w->router.started_ms = now;
	log_info("router_started");
}

void router_tick(struct warden *w, uint64_t now_ms)
{
	if (w->router.phase == ROUTER_DOWN && !w->is_draining && now_ms >= w->router.restart_ms)
		router_start(w);
}

uint64_t router_deadline(const struct warden *w)
{
	return w->router.phase == ROUTER_DOWN && !w->is_draining ? w->router.restart_ms
								 : UINT64_MAX;
}

/* The one line that people and scripts wait for. */
static void router_print_ready(const struct warden *w)
{
	char line[192];
	int port = socket_port(w->listener);
	const char *colon = strrchr(w->boot->listen, ':');

	int len = snprintf(line, sizeof(line), "Ready. http://%.*s:%d\n",
		(int)(colon ? colon - w->boot->listen : 0), w->boot->listen, port);
	if (len > 0)
		(void)!write(STDOUT_FILENO, line, MIN((size_t)len, sizeof(line) - 1));
}

void router_became_ready(struct warden *w)
{
	w->router.ready_ms = clock_mono_ms();
	if (w->router.phase == ROUTER_STARTING)
		w->router.phase = ROUTER_SERVING;
	log_info("router_ready", LOG_U64("ms", w->router.ready_ms - w->router.started_ms));
	if (!w->router.was_ready)
		router_print_ready(w);
	w->router.was_ready = true;
}

void router_drain(struct warden *w)
{
	if (w->router.phase == ROUTER_DOWN) {
		w->is_over = true;
		return;
	}
	w->router.phase = ROUTER_DRAINING;
	outbox_tell(w, &(struct drain_frame){ .head.op = FRAME_DRAIN }, sizeof(struct drain_frame),
		NULL, 0);
}

void router_condemn(struct warden *w, const char *reason)
{
	log_error("router_condemned", LOG_TEXT("reason", reason));
	/* Nothing more is read from it; its death, which follows, does the rest. */
	source_close(w->epoll, &w->router.socket);
	cgroup_kill(&w->cgroups, router_cgroup);
	child_kill(w->router.process.fd);
}
