/*
 * A job is a process (keeper.c) and a slot here that waits for its end. At most
 * JOBS_RUNNING_MAX run; the others wait in the order they came. Removing is one more
 * process: what is forgotten is first renamed into tmp, so that its name is free at once,
 * and whatever has such a name is trash, also for the next start.
 */
#include "warden/code.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/fd.h"
#include "warden/child.h"
#include "warden/keeper.h"
#include "warden/tree.h"
#include "warden/warden.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	JOB_MEMORY_MB = 512,
	JOB_PIDS_MAX = 8,
	JOB_CPU_MB = 1769,
	REAP_AGAIN_MS = 2,
	ENTRIES_MAX = 1'000'000
};

static const unsigned may_follow[JOB_STATES] = {
	[JOB_FREE] = BIT(JOB_WAITING),
	[JOB_WAITING] = BIT(JOB_RUNNING) | BIT(JOB_FREE),
	[JOB_RUNNING] = BIT(JOB_REAPING),
	[JOB_REAPING] = BIT(JOB_FREE),
};

/* The only place that writes the state, and counts. */
static void job_enter(struct jobs *jobs, struct job *job, enum job_state next)
{
	assert(next < JOB_STATES);
	assert(may_follow[job->state] & BIT(next));
	jobs->running += next == JOB_RUNNING;
	jobs->running -= next == JOB_FREE && job->state == JOB_REAPING;
	job->state = next;
}

void code_init(struct jobs *jobs)
{
	for (int i = 0; i < JOBS_MAX; i++)
		jobs->slots[i] = (struct job){ .process.fd = -1, .zip = -1, .report = -1 };
	jobs->remover.fd = -1;
}

static void job_cgroup_name(const struct job *job, char to[static CGROUP_NAME_MAX])
{
	(void)snprintf(to, CGROUP_NAME_MAX, "j%u", job->number);
}

static void job_tell(
	struct warden *w, const struct unpack_frame *ask, const struct unpack_report *report)
{
	struct unpacked_frame frame = { .head = { FRAME_UNPACKED, 0, ask->head.ticket },
		.answer = report->answer,
		.error = report->error,
		.bytes = report->bytes };

	outbox_tell(w, &frame, sizeof(frame), NULL, 0);
}

/* ---- trash ---- */

static int remover_entry([[maybe_unused]] void *context, int dir, const char *name,
	[[maybe_unused]] unsigned char type)
{
	return name[0] == 't' ? tree_remove(dir, name) : 0;
}

static void remover_start(struct warden *w);

static void remover_on_death(struct warden *w, struct source *process)
{
	int status;

	if (child_reap(process->fd, &status) == -EAGAIN)
		return;
	source_close(w->epoll, process);
	if (w->jobs.has_trash)
		remover_start(w);
}

/* One at a time; what is renamed while it runs is for the next. */
static void remover_start(struct warden *w)
{
	int pidfd;

	if (w->jobs.remover.fd >= 0) {
		w->jobs.has_trash = true;
		return;
	}
	w->jobs.has_trash = false;
	int r = child_start(&(struct child_how){ .cgroup = -1, .name = "mayfly-remover" }, &pidfd);
	if (r == 0) {
		r = tree_each(w->places.tmp, remover_entry, NULL);
		if (r < 0)
			err_log(r, "removing forgotten code");
		_exit(0);
	}
	if (r > 0)
		r = source_open(w->epoll, &w->jobs.remover, pidfd, remover_on_death);
	if (r < 0)
		err_log(r, "starting the remover"); /* the next one, or the next start, does it */
}

/* Rename into trash: 0 also when there is nothing of that name. */
static int code_discard(struct warden *w, int dir, const char *name)
{
	char trash[CGROUP_NAME_MAX];

	(void)snprintf(trash, sizeof(trash), "t%u", ++w->jobs.number);
	if (renameat(dir, name, w->places.tmp, trash) < 0)
		return errno == ENOENT ? 0 : err_raise(-errno);
	remover_start(w);
	return 0;
}

const char *code_forget(struct warden *w, const union frame *frame, [[maybe_unused]] int fds[])
{
	char hex[DIGEST_HEX_SIZE];

	if (sandbox_uses(w, frame->forget.digest))
		return "forgets code that is in use";
	places_hex(frame->forget.digest, hex);
	int r = code_discard(w, w->places.code, hex);
	if (r < 0)
		err_log(r, "forgetting code");
	return NULL;
}

/* ---- jobs ---- */

static void code_start_waiting(struct warden *w);

/* Its cgroup is removed, or is said to be busy: then again later. */
static void job_finish(struct warden *w, struct job *job)
{
	struct unpack_report report = { UNPACK_FAULT, ECHILD, 0 };
	char name[CGROUP_NAME_MAX];

	assert(job->state == JOB_REAPING);
	job_cgroup_name(job, name);
	int r = cgroup_remove(&w->cgroups, name);
	if (r == -EBUSY)
		return;
	if (r < 0)
		err_log(r, "removing a job's cgroup");
	keeper_name(job->number, name);
	r = code_discard(w, w->places.tmp, name); /* it is there only if the keeper was killed */
	if (r < 0)
		err_log(r, "discarding what was half unpacked");

	/* The keeper wrote all of it or was killed before: the pipe holds far more. */
	if (read(job->report, &report, sizeof(report)) != (ssize_t)sizeof(report))
		log_error("unpack_keeper_died", LOG_U64("job", job->number));
	fd_close(&job->report);
	job_enter(&w->jobs, job, JOB_FREE);
	if (!job->is_forgotten)
		job_tell(w, &job->ask, &report);
	code_start_waiting(w);
}

static void job_on_death(struct warden *w, struct source *process)
{
	struct job *job = list_entry(process, struct job, process);
	char name[CGROUP_NAME_MAX];
	int status;

	if (child_reap(process->fd, &status) == -EAGAIN)
		return;
	source_close(w->epoll, process);
	fd_close(&job->zip);
	job_cgroup_name(job, name);
	cgroup_kill(&w->cgroups, name); /* if the keeper was killed, its unpacker is dying */
	job_enter(&w->jobs, job, JOB_REAPING);
	job_finish(w, job);
}

/* Clone the keeper into the job's cgroup. */
static int job_clone(struct warden *w, struct job *job, const struct cgroup_leaf *leaf)
{
	int pipe[2], pidfd;

	if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_raise(-errno);
	scoped_fd reading = pipe[0], writing = pipe[1];
	int r = child_start(&(struct child_how){ 0, leaf->unified, "mayfly-keeper" }, &pidfd);
	if (r == 0) {
		struct unpack_report report = keeper_run(w, job, leaf);
		(void)!write(writing, &report, sizeof(report));
		_exit(0);
	}
	if (r > 0)
		r = source_open(w->epoll, &job->process, pidfd, job_on_death);
	if (r < 0)
		return err_pass(r);
	job->report = fd_take(&reading);
	return 0;
}

static int job_start(struct warden *w, struct job *job)
{
	static const struct cgroup_limits limits = {
		.memory_bytes = JOB_MEMORY_MB * MIB, .pids_max = JOB_PIDS_MAX, .cpu_mb = JOB_CPU_MB
	};
	struct cgroup_leaf leaf;
	char name[CGROUP_NAME_MAX];

	job_cgroup_name(job, name);
	int r = cgroup_make(&w->cgroups, name, &limits, &leaf);
	if (r < 0)
		return err_pass(r);
	r = job_clone(w, job, &leaf);
	cgroup_leaf_close(&leaf);
	if (r < 0) {
		cgroup_kill(&w->cgroups, name);
		(void)cgroup_remove(&w->cgroups, name);
	}
	return err_pass(r);
}

/* The one that came first. */
static struct job *job_next(struct jobs *jobs)
{
	struct job *first = NULL;

	for (int i = 0; i < JOBS_MAX; i++) {
		struct job *job = &jobs->slots[i];
		if (job->state == JOB_WAITING && (!first || job->number < first->number))
			first = job;
	}
	return first;
}

static void code_start_waiting(struct warden *w)
{
	struct job *job;

	while (w->jobs.running < JOBS_RUNNING_MAX && (job = job_next(&w->jobs))) {
		int r = job_start(w, job);
		if (r == 0) {
			job_enter(&w->jobs, job, JOB_RUNNING);
			continue;
		}
		err_log(r, "starting an unpacker");
		fd_close(&job->zip);
		job_enter(&w->jobs, job, JOB_FREE);
		job_tell(w, &job->ask, &(struct unpack_report){ UNPACK_FAULT, (uint32_t)-r, 0 });
	}
}

const char *code_unpack(struct warden *w, const union frame *frame, int fds[])
{
	const struct unpack_frame *ask = &frame->unpack;
	struct stat st;

	int flags = fcntl(fds[0], F_GETFL);
	if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY ||
		fstat(fds[0], &st) < 0 || !S_ISREG(st.st_mode))
		return "a ZIP that is no file to read";
	if (ask->reserved || ask->entries_max > ENTRIES_MAX || ask->bytes_max > INT64_MAX / 2)
		return "an unpacking with impossible limits";
	for (int i = 0; i < JOBS_MAX; i++) {
		struct job *job = &w->jobs.slots[i];
		if (job->state != JOB_FREE)
			continue;
		job->ask = *ask;
		job->zip = fd_take(&fds[0]);
		job->number = ++w->jobs.number;
		job->is_forgotten = false;
		job_enter(&w->jobs, job, JOB_WAITING);
		code_start_waiting(w);
		return NULL;
	}
	job_tell(w, ask, &(struct unpack_report){ UNPACK_FAULT, EAGAIN, 0 });
	return NULL;
}

void code_forget_router(struct warden *w)
{
	for (int i = 0; i < JOBS_MAX; i++) {
		struct job *job = &w->jobs.slots[i];
		job->is_forgotten = true;
		if (job->state == JOB_WAITING) {
			fd_close(&job->zip);
			job_enter(&w->jobs, job, JOB_FREE);
		} else if (job->state == JOB_RUNNING) {
			char name[CGROUP_NAME_MAX];
			job_cgroup_name(job, name);
			cgroup_kill(&w->cgroups, name);
		}
	}
}

void code_tick(struct warden *w)
{
	for (int i = 0; w->jobs.running && i < JOBS_MAX; i++)
		if (w->jobs.slots[i].state == JOB_REAPING)
			job_finish(w, &w->jobs.slots[i]);
}

uint64_t code_deadline(const struct warden *w)
{
	for (int i = 0; w->jobs.running && i < JOBS_MAX; i++)
		if (w->jobs.slots[i].state == JOB_REAPING)
			return clock_mono_ms() + REAP_AGAIN_MS;
	return UINT64_MAX;
}
