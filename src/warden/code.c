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
#include "os/child.h"
#include "os/fd.h"
#include "warden/warden.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JOB_MEMORY_MB = 512, JOB_PIDS_MAX = 8, JOB_CPU_MB = 1769, ENTRIES_MAX = 1'000'000 };

static const unsigned may_follow[JOB_STATES] = {
	[JOB_FREE] = BIT(JOB_WAITING),
	[JOB_WAITING] = BIT(JOB_RUNNING) | BIT(JOB_FREE),
	[JOB_RUNNING] = BIT(JOB_FREE),
};

/* The only place that writes the state, and counts. */
static void job_enter(struct jobs *jobs, struct job *job, enum job_state next)
{
	assert(next < JOB_STATES);
	assert(may_follow[job->state] & BIT(next));
	jobs->running += next == JOB_RUNNING;
	jobs->running -= job->state == JOB_RUNNING;
	job->state = next;
}

void code_init(struct jobs *jobs)
{
	jobs->remover.fd = -1;
	for (int i = 0; i < JOBS_MAX; i++) {
		jobs->slots[i] = (struct job){ .zip = -1, .report = -1 };
		cell_init(&jobs->slots[i].cell);
	}
}

static void job_tell(struct warden *w, const struct unpack_frame *ask, struct unpack_report report)
{
	struct unpacked_frame frame = { { FRAME_UNPACKED, 0, ask->head.ticket }, report.answer,
		report.error, report.bytes };

	gate_tell(w, &frame, sizeof(frame), NULL, 0);
}

/* ---- trash ---- */

static void remover_start(struct warden *w);

static void remover_on_death(struct warden *w, struct source *process)
{
	int status;

	if (child_reap(process->fd, &status) == -EAGAIN)
		return;
	source_close(w, process);
	if (w->jobs.has_trash)
		remover_start(w);
}

/* One at a time; what becomes trash while it runs is for the next. */
static void remover_start(struct warden *w)
{
	int pidfd;

	w->jobs.has_trash = w->jobs.remover.fd >= 0;
	if (w->jobs.has_trash)
		return;
	int r = child_start(&(struct child_how){ .cgroup = -1, .name = "mayfly-remover" }, &pidfd);
	if (r == 0) {
		r = places_sweep(&w->places, "t");
		if (r < 0)
			err_log(r, "removing forgotten code");
		_exit(0);
	}
	if (r > 0)
		r = source_open(w, &w->jobs.remover, pidfd, remover_on_death);
	if (r < 0)
		err_log(r, "starting the remover"); /* the next one, or the next start, does it */
}

/* Make trash of a directory, if it is there. */
static void code_discard(struct warden *w, int dir, const char *name)
{
	char trash[CGROUP_NAME_MAX];

	(void)snprintf(trash, sizeof(trash), "t%u", ++w->jobs.number);
	if (renameat(dir, name, w->places.tmp, trash) == 0)
		remover_start(w);
	else if (errno != ENOENT)
		err_log(err_raise(-errno), "discarding code");
}

const char *code_forget(struct warden *w, const union frame *frame, [[maybe_unused]] int fds[])
{
	char hex[DIGEST_HEX_SIZE];

	if (sandbox_uses(w, frame->forget.digest))
		return "forgets code that is in use";
	places_hex(frame->forget.digest, hex);
	code_discard(w, w->places.code, hex);
	return NULL;
}

/* ---- jobs ---- */

static void code_start_waiting(struct warden *w);

static void job_on_gone(struct warden *w, struct cell *cell)
{
	struct job *job = list_entry(cell, struct job, cell);
	struct unpack_report report = { UNPACK_FAULT, ECHILD, 0 };
	char name[CGROUP_NAME_MAX];

	/* The keeper wrote all of it or was killed before: the pipe holds far more. */
	if (read(job->report, &report, sizeof(report)) != (ssize_t)sizeof(report)) {
		log_error("unpack_keeper_died", LOG_U64("status", (unsigned)cell->status));
		keeper_name(job, name);
		code_discard(w, w->places.tmp, name);
	}
	fd_close(&job->report);
	fd_close(&job->zip);
	job_enter(&w->jobs, job, JOB_FREE);
	if (!job->is_forgotten)
		job_tell(w, &job->ask, report);
	code_start_waiting(w);
}

static int job_start(struct warden *w, struct job *job)
{
	static const struct cgroup_limits limits = {
		.memory_bytes = JOB_MEMORY_MB * MIB, .pids_max = JOB_PIDS_MAX, .cpu_mb = JOB_CPU_MB
	};
	struct cell_how how = {
		.limits = &limits, .process = "mayfly-keeper", .gone = job_on_gone
	};
	char name[CGROUP_NAME_MAX];
	int pipe[2], joins[CGROUP_TREES];

	if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_raise(-errno);
	scoped_fd reading = pipe[0], writing = pipe[1];
	(void)snprintf(name, sizeof(name), "j%u", job->number);
	how.cgroup = name;
	int r = cell_start(w, &job->cell, &how, joins);
	if (r == 0) {
		struct unpack_report report = keeper_run(w, job, joins);
		(void)!write(writing, &report, sizeof(report));
		_exit(0);
	}
	if (r > 0)
		job->report = fd_take(&reading);
	return r < 0 ? err_pass(r) : 0;
}

/* The one that came first. */
static struct job *job_next(struct jobs *jobs)
{
	struct job *first = NULL;

	for (struct job *job = jobs->slots; job < jobs->slots + JOBS_MAX; job++)
		if (job->state == JOB_WAITING && (!first || job->number < first->number))
			first = job;
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
		job_tell(w, &job->ask, (struct unpack_report){ UNPACK_FAULT, (uint32_t)-r, 0 });
	}
}

const char *code_unpack(struct warden *w, const union frame *frame, int fds[])
{
	const struct unpack_frame *ask = &frame->unpack;
	struct job *job = w->jobs.slots;
	struct stat st;

	int flags = fcntl(fds[0], F_GETFL);
	if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY ||
		fstat(fds[0], &st) < 0 || !S_ISREG(st.st_mode))
		return "a ZIP that is no file to read";
	if (ask->reserved || ask->entries_max > ENTRIES_MAX || ask->bytes_max > INT64_MAX / 2)
		return "an unpacking with impossible limits";
	while (job < w->jobs.slots + JOBS_MAX && job->state != JOB_FREE)
		job++;
	if (job == w->jobs.slots + JOBS_MAX) {
		job_tell(w, ask, (struct unpack_report){ UNPACK_FAULT, EAGAIN, 0 });
		return NULL;
	}
	job->ask = *ask;
	job->zip = fd_take(&fds[0]);
	job->number = ++w->jobs.number;
	job->is_forgotten = false;
	job_enter(&w->jobs, job, JOB_WAITING);
	code_start_waiting(w);
	return NULL;
}

void code_forget_router(struct warden *w)
{
	for (struct job *job = w->jobs.slots; job < w->jobs.slots + JOBS_MAX; job++) {
		job->is_forgotten = true;
		cell_kill(w, &job->cell);
		if (job->state == JOB_WAITING) {
			fd_close(&job->zip);
			job_enter(&w->jobs, job, JOB_FREE);
		}
	}
}
