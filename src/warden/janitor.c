/*
 * It waits on a pidfd, not on a pipe: the writing end of a pipe would live on in any child
 * of the warden that is between clone and exec. It holds its lock for as long as it lives,
 * so that the next warden of this directory starts only when it is done.
 */
#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "os/child.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/tree.h"
#include "warden/warden.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum { AGAIN_MS = 1000 };

static _Noreturn void janitor_run(const struct warden *w, int lock)
{
	int fds[CGROUP_TREES + 3] = { w->self, w->places.tmp, lock };

	/* Above all not the public socket: the next warden must be able to bind its address. */
	for (int tree = 0; tree < CGROUP_TREES; tree++)
		fds[3 + tree] = w->cgroups.parents[tree];
	child_keep_fds(fds, ARRAY_LEN(fds));
	/* It outlives whoever asks everybody to end. */
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);

	while (child_wait(w->self, -1) < 0)
		continue;
	log_warn("warden_died", LOG_TEXT("janitor", "cleaning up"));
	cgroups_sweep(&w->cgroups);
	int r = tree_clear(w->places.tmp);
	if (r < 0)
		err_log(r, "sweeping unfinished code");
	_exit(0);
}

static void janitor_on_death(void *context, struct source *process)
{
	struct warden *w = context;
	int status;

	if (child_reap(process->fd, &status) == -EAGAIN)
		return;
	source_close(w->epoll, process);
	log_warn("janitor_died", LOG_U64("status", (unsigned)status));
}

static int janitor_start(struct warden *w)
{
	static const struct child_how how = {
		.cgroup = -1, .name = "mayfly-janitor", .is_survivor = true
	};
	scoped_fd lock = -1; /* it keeps its copy: there is no moment without the lock */
	int pidfd;

	int r = file_open_lock_to_pass(w->places.data, JANITOR_LOCK, &lock);
	if (r < 0)
		return err_pass(r);
	r = child_start(&how, &pidfd);
	if (r == 0)
		janitor_run(w, lock);
	if (r < 0)
		return err_pass(r);
	return err_pass(source_open(w->epoll, &w->janitor.process, pidfd, janitor_on_death));
}

uint64_t janitor_tick(struct warden *w, uint64_t now_ms)
{
	struct janitor *janitor = &w->janitor;

	if (janitor->process.fd >= 0)
		return UINT64_MAX;
	if (janitor->started_ms && now_ms < janitor->started_ms + AGAIN_MS)
		return janitor->started_ms + AGAIN_MS;
	janitor->started_ms = now_ms;
	int r = janitor_start(w);
	if (r < 0)
		err_log(r, "starting the janitor");
	return r < 0 ? now_ms + AGAIN_MS : UINT64_MAX;
}

void janitor_stop(struct warden *w)
{
	if (w->janitor.process.fd < 0)
		return;
	child_kill(w->janitor.process.fd);
	(void)child_wait(w->janitor.process.fd, -1);
	source_close(w->epoll, &w->janitor.process);
}
