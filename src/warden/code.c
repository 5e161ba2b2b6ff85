/*
 *   warden ──clone──▶ keeper (root, our code only) ──clone──▶ mayfly-unpack (jailed)
 *
 * The unpacker has the ZIP and a directory to write and nothing else; it may be taken over
 * by what it reads. So the keeper believes nothing of what it says or did: when it is dead,
 * the keeper walks through the result, refuses whatever is not a plain file, directory or
 * link of that user or carries special bits, counts again, and only then gives it to root.
 * The rename at the end makes it visible, all at once, after it is on the disk.
 *
 * A job is a keeper and a slot in the warden that waits for its end. At most
 * JOBS_RUNNING_MAX run; the others wait in the order they came. What is forgotten is first
 * renamed into tmp, so that its name is free at once, and then removed by a job; so is what
 * a killed job left.
 */
#include "warden/code.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "init/init.h"
#include "jail/jail.h"
#include "os/child.h"
#include "os/fd.h"
#include "os/tree.h"
#include "warden/warden.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	JOB_MEMORY_MB = 512,
	JOB_PIDS_MAX = 8,
	JOB_CPU_MB = 1769,
	ENTRIES_MAX = 1'000'000,
	KEEPER_SYNC_MAX = 32
};

/* The name of a job's directory in tmp. */
static void keeper_name(uint32_t number, char to[static CGROUP_NAME_MAX])
{
	(void)snprintf(to, CGROUP_NAME_MAX, "%u", number);
}

static struct unpack_report keeper_fault(int fault, const char *what)
{
	err_log(fault, what);
	return (struct unpack_report){ UNPACK_FAULT, (uint32_t)-fault, 0 };
}

/* ---- the jailed process ---- */

/* Returns only if it fails. */
static void keeper_exec_unpacker(const struct job *job)
{
	char bytes[24], entries[16];

	(void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)job->ask.bytes_max);
	(void)snprintf(entries, sizeof(entries), "%u", job->ask.entries_max);
	char *argv[] = { (char *)"mayfly-unpack", bytes, entries, NULL };
	/* The tests' sanitizer looks for leaks with ptrace, which is not there. */
	char *envp[] = { (char *)"ASAN_OPTIONS=detect_leaks=0", NULL };
	execveat(JAIL_FD_ENV, "", argv, envp, AT_EMPTY_PATH); /* where `program` is now */
}

static _Noreturn void keeper_become_unpacker(
	const struct warden *w, const struct job *job, int report, int parent)
{
	char name[CGROUP_NAME_MAX];
	struct jail jail = {
		.kind = JAIL_UNPACK,
		.uid = w->boot->unpack_uid,
		.parent = parent,
		.joins = job->cell.leaf.joins,
		.filter = &w->filters[FILTER_UNPACK],
		.data_dir = w->boot->data_dir,
		.null = w->null,
		.report = report,
		.zip = job->zip,
		.out = name,
		.program = w->unpack_program,
		.bytes_max = job->ask.bytes_max,
		.entries_max = job->ask.entries_max,
	};

	keeper_name(job->number, name);
	if (jail_enter(&jail) < 0)
		_exit(127);
	keeper_exec_unpacker(job);
	note_failure(jail.report, "exec", errno);
	_exit(127);
}

/* Its message: a report, or the note of a jail that failed. Without one: how it died. */
static struct unpack_report keeper_read_report(int socket, int status)
{
	union {
		struct unpack_report report;
		struct note note;
	} said = {};
	size_t len = 0, fd_count;

	int r = fd_receive(socket, &said, sizeof(said), &len, NULL, 0, &fd_count);
	if (r == 0 && len == sizeof(said.report) && said.report.answer <= UNPACK_FAULT)
		return said.report;
	if (r == 0 && len == sizeof(said.note)) {
		said.note.step[sizeof(said.note.step) - 1] = '\0';
		log_error("unpack_jail_failed", LOG_TEXT("step", said.note.step),
			LOG_ERRNO("error", said.note.value));
		return (struct unpack_report){ UNPACK_FAULT, (uint32_t)said.note.value, 0 };
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ) /* one file alone was too long */
		return (struct unpack_report){ UNPACK_TOO_LARGE, 0, 0 };
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) /* made to be slow */
		return (struct unpack_report){ UNPACK_NOT_A_ZIP, 0, 0 };
	log_error("unpack_died", LOG_U64("status", (unsigned)status));
	return (struct unpack_report){ UNPACK_FAULT, ECHILD, 0 };
}

/* It ends by itself, or after a while by us. */
static struct unpack_report keeper_unpack(const struct warden *w, const struct job *job)
{
	static const struct child_how how = { CLONE_NEWPID, -1, "mayfly-jail" };
	scoped_fd ours = -1, theirs = -1, self = -1, pidfd = -1;
	int status = 0;

	int r = child_channel(&ours, &theirs);
	if (r == 0)
		r = child_self(&self);
	if (r < 0)
		return keeper_fault(r, "preparing for an unpacker");
	r = child_start(&how, &pidfd);
	if (r == 0)
		keeper_become_unpacker(w, job, theirs, self);
	if (r < 0)
		return keeper_fault(r, "starting an unpacker");
	if (child_wait(pidfd, UNPACK_SECONDS_MAX * 1000) < 0) {
		child_kill(pidfd);
		(void)child_wait(pidfd, -1);
		return keeper_fault(err_raise(-ETIMEDOUT), "unpacking");
	}
	r = child_reap(pidfd, &status);
	return r < 0 ? keeper_fault(r, "collecting an unpacker") : keeper_read_report(ours, status);
}

/* ---- what came out ---- */

/* What a walk through an unpacked tree finds. */
struct keeper_sum {
	uint64_t bytes;
	uint32_t entries;
	uint32_t owner; /* who must own all of it */
	bool is_new;	/* not ours yet, nor on the disk */
};

/*
 * A few entries are synced one by one: syncfs() waits for all that anybody has written to the file system. It is for
 * many.
 */
static int keeper_sync(const char *name, mode_t mode)
{
	if (S_ISLNK(mode))
		return 0; /* with its directory */
	scoped_fd fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? err_raise(-errno) : 0;
}

static int keeper_take(void *context, const char *name, const struct stat *st)
{
	const mode_t bad_bits = S_ISUID | S_ISGID | S_IWGRP | S_IWOTH;
	struct keeper_sum *sum = context;

	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode))
		return err_raise(-EPERM);
	if (st->st_uid != sum->owner || (!S_ISDIR(st->st_mode) && st->st_nlink != 1))
		return err_raise(-EPERM);
	if (!S_ISLNK(st->st_mode) && (st->st_mode & bad_bits))
		return err_raise(-EPERM);
	if (S_ISREG(st->st_mode))
		sum->bytes += (uint64_t)st->st_size;
	if (!sum->is_new)
		return 0;
	if (lchown(name, 0, 0) < 0)
		return err_raise(-errno);
	return ++sum->entries <= KEEPER_SYNC_MAX ? keeper_sync(name, st->st_mode) : 0;
}

/* Check and own the tree, have it on the disk, and give it its name. */
static int keeper_publish(
	const struct warden *w, const struct job *job, const char *name, uint64_t *ret_bytes)
{
	struct keeper_sum sum = { .owner = w->boot->unpack_uid, .is_new = true };
	char hex[DIGEST_HEX_SIZE];

	int r = tree_walk(w->places.tmp, name, keeper_take, &sum);
	if (r < 0)
		return err_pass(r);
	if (sum.bytes > job->ask.bytes_max) /* it counted too, and otherwise */
		return err_raise(-EPROTO);
	if (chown(name, 0, 0) < 0 || chmod(name, 0755) < 0)
		return err_raise(-errno);
	if (sum.entries > KEEPER_SYNC_MAX && syncfs(w->places.tmp) < 0)
		return err_raise(-errno);
	r = keeper_sync(name, S_IFDIR);
	if (r < 0)
		return err_pass(r);
	places_hex(job->ask.digest, hex);
	/* EEXIST: another job had the same; ours is removed below. */
	if (renameat2(w->places.tmp, name, w->places.code, hex, RENAME_NOREPLACE) < 0 &&
		errno != EEXIST)
		return err_raise(-errno);
	if (fsync(w->places.code) < 0)
		return err_raise(-errno);
	*ret_bytes = sum.bytes;
	return 0;
}

static struct unpack_report keeper_make(
	const struct warden *w, const struct job *job, const char *name)
{
	uint32_t uid = w->boot->unpack_uid;

	if (mkdirat(w->places.tmp, name, 0755) < 0 ||
		fchownat(w->places.tmp, name, uid, uid, AT_SYMLINK_NOFOLLOW) < 0)
		return keeper_fault(err_raise(-errno), "making a directory to unpack to");
	struct unpack_report report = keeper_unpack(w, job);
	if (report.answer != UNPACK_DONE)
		return report;
	int r = keeper_publish(w, job, name, &report.bytes);
	return r < 0 ? keeper_fault(r, "publishing unpacked code") : report;
}

/* Of layers: will there be processes to start? */
static uint32_t keeper_traits(const struct warden *w, const char *hex)
{
	char path[DIGEST_HEX_SIZE + 16];

	(void)snprintf(path, sizeof(path), "%s/extensions", hex);
	return faccessat(w->places.code, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? UNPACK_EXTENSIONS
									       : 0;
}

/* All of the job; it blocks. */
static struct unpack_report keeper_run(const struct warden *w, const struct job *job)
{
	struct unpack_report report = {};
	struct keeper_sum sum = { .owner = 0 };
	char name[CGROUP_NAME_MAX], hex[DIGEST_HEX_SIZE];

	places_hex(job->ask.digest, hex);
	keeper_name(job->number, name);
	if (job->zip >= 0 && faccessat(w->places.code, hex, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		int r = tree_walk(
			w->places.code, hex, keeper_take, &sum); /* counts it for the answer */
		return r < 0
			? keeper_fault(r, "counting unpacked code")
			: (struct unpack_report){ UNPACK_DONE, keeper_traits(w, hex), sum.bytes };
	}
	if (job->zip >= 0)
		report = keeper_make(w, job, name);
	if (report.answer == UNPACK_DONE)
		report.detail = keeper_traits(w, hex);
	int r = tree_remove(w->places.tmp, name); /* what was published has another name by now */
	if (r < 0)
		err_log(r, "removing code");
	return report;
}

/* ---- in the warden ---- */

static const unsigned may_follow[JOB_STATES] = {
	[JOB_FREE] = BIT(JOB_WAITING),
	[JOB_WAITING] = BIT(JOB_RUNNING) | BIT(JOB_FREE),
	[JOB_RUNNING] = BIT(JOB_FREE) | BIT(JOB_WAITING),
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
	for (int i = 0; i < JOBS_MAX; i++) {
		jobs->slots[i] = (struct job){ .zip = -1, .report = -1 };
		cell_init(&jobs->slots[i].cell);
	}
}

static void job_tell(struct warden *w, const struct unpack_frame *ask, struct unpack_report report)
{
	struct unpacked_frame frame = { { FRAME_UNPACKED, 0, ask->head.ticket }, report.answer,
		report.detail, report.bytes };

	gate_tell(w, &frame, sizeof(frame), NULL, 0);
}

static void code_start_waiting(struct warden *w);

static void job_on_gone(void *context, struct cell *cell)
{
	struct warden *w = context;
	struct job *job = list_entry(cell, struct job, cell);
	struct unpack_report report = { UNPACK_FAULT, ECHILD, 0 };

	/* The keeper wrote all of it or was killed before: the pipe holds far more. */
	bool was_killed = read(job->report, &report, sizeof(report)) != (ssize_t)sizeof(report);
	bool is_unpack = job->zip >= 0;
	fd_close(&job->report);
	fd_close(&job->zip);
	job_enter(&w->jobs, job, was_killed ? JOB_WAITING : JOB_FREE); /* to remove what it left */
	if (is_unpack && !job->is_forgotten)
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
	int pipe[2];

	if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_raise(-errno);
	scoped_fd reading = pipe[0], writing = pipe[1];
	(void)snprintf(name, sizeof(name), "j%u", job->number);
	how.cgroup = name;
	int r = cell_start(&w->cells, &job->cell, &how);
	if (r == 0) {
		struct unpack_report report = keeper_run(w, job);
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
		bool is_unpack = job->zip >= 0;
		int r = job_start(w, job);
		if (r == 0) {
			job_enter(&w->jobs, job, JOB_RUNNING);
			continue;
		}
		err_log(r, "starting a job"); /* what is to be removed is, at the next start */
		fd_close(&job->zip);
		job_enter(&w->jobs, job, JOB_FREE);
		if (is_unpack)
			job_tell(w, &job->ask,
				(struct unpack_report){ UNPACK_FAULT, (uint32_t)-r, 0 });
	}
}

/* A job of the next number, or NULL: there are too many. */
static struct job *job_new(struct warden *w)
{
	for (struct job *job = w->jobs.slots; job < w->jobs.slots + JOBS_MAX; job++) {
		if (job->state != JOB_FREE)
			continue;
		job->number = ++w->jobs.number;
		job->is_forgotten = false;
		job_enter(&w->jobs, job, JOB_WAITING);
		return job;
	}
	return NULL;
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
	struct job *job = job_new(w);
	if (!job) {
		job_tell(w, ask, (struct unpack_report){ UNPACK_FAULT, EAGAIN, 0 });
		return NULL;
	}
	job->ask = *ask;
	job->zip = fd_take(&fds[0]);
	code_start_waiting(w);
	return NULL;
}

const char *code_forget(struct warden *w, const union frame *frame, [[maybe_unused]] int fds[])
{
	char hex[DIGEST_HEX_SIZE], name[CGROUP_NAME_MAX];

	if (sandbox_uses(w, frame->forget.digest))
		return "forgets code that is in use";
	places_hex(frame->forget.digest, hex);
	/* With too many jobs already: it is in nobody's way in tmp until the next start. */
	struct job *job = job_new(w);
	keeper_name(job ? job->number : ++w->jobs.number, name);
	if (renameat(w->places.code, hex, w->places.tmp, name) < 0 && errno != ENOENT)
		err_log(err_raise(-errno), "forgetting code");
	code_start_waiting(w);
	return NULL;
}

void code_forget_router(struct warden *w)
{
	for (struct job *job = w->jobs.slots; job < w->jobs.slots + JOBS_MAX; job++) {
		job->is_forgotten = true;
		cell_kill(&job->cell);
		if (job->state == JOB_WAITING && job->zip >= 0) {
			fd_close(&job->zip);
			job_enter(&w->jobs, job, JOB_FREE);
		}
	}
}
