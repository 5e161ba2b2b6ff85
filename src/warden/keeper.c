/*
 *   warden ──clone──▶ keeper (root, our code only) ──clone──▶ mayfly-unpack (jailed)
 *
 * The unpacker has the ZIP and a directory to write and nothing else; it may be taken over
 * by what it reads. So the keeper believes nothing of what it says or did: when it is dead,
 * the keeper walks through the result, refuses whatever is not a plain file, directory or
 * link of that user or carries special bits, counts again, and only then gives it to root.
 * The rename at the end makes it visible, all at once, after it is on the disk.
 */
#include "base/err.h"
#include "base/log.h"
#include "os/child.h"
#include "os/fd.h"
#include "os/tree.h"
#include "warden/jail.h"
#include "warden/warden.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void keeper_name(const struct job *job, char to[static CGROUP_NAME_MAX])
{
	(void)snprintf(to, CGROUP_NAME_MAX, "u%u", job->number);
}

static struct unpack_report keeper_fault(int fault, const char *what)
{
	err_log(fault, what);
	return (struct unpack_report){ UNPACK_FAULT, (uint32_t)-fault, 0 };
}

/* ---- the jailed process ---- */

static _Noreturn void keeper_become_unpacker(const struct warden *w, const struct job *job,
	const int joins[static CGROUP_TREES], int report, int parent)
{
	char name[CGROUP_NAME_MAX];
	struct jail jail = {
		.kind = JAIL_UNPACK,
		.uid = w->boot->unpack_uid,
		.parent = parent,
		.joins = joins,
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

	keeper_name(job, name);
	jail_enter(&jail);
}

/* Its message: a report, or the note of a jail that failed. Without one: how it died. */
static struct unpack_report keeper_read_report(int socket, int status)
{
	union {
		struct unpack_report report;
		struct jail_note note;
	} said = {};
	size_t len = 0, fd_count;

	int r = fd_receive(socket, &said, sizeof(said), &len, NULL, 0, &fd_count);
	if (r == 0 && len == sizeof(said.report) && said.report.answer <= UNPACK_FAULT)
		return said.report;
	if (r == 0 && len == sizeof(said.note)) {
		said.note.step[sizeof(said.note.step) - 1] = '\0';
		log_error("unpack_jail_failed", LOG_TEXT("step", said.note.step));
		return keeper_fault(-said.note.value, "jailing an unpacker");
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ) /* one file alone was too long */
		return (struct unpack_report){ UNPACK_TOO_LARGE, 0, 0 };
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) /* made to be slow */
		return (struct unpack_report){ UNPACK_NOT_A_ZIP, 0, 0 };
	log_error("unpack_died", LOG_U64("status", (unsigned)status));
	return (struct unpack_report){ UNPACK_FAULT, ECHILD, 0 };
}

/* Start it: 0 and its pidfd, or a fault. */
static int keeper_start(const struct warden *w, const struct job *job, const int joins[],
	int report, int *ret_pidfd)
{
	int self;

	int r = child_self(&self);
	if (r < 0)
		return err_pass(r);
	r = child_start(&(struct child_how){ CLONE_NEWPID, -1, "mayfly-jail" }, ret_pidfd);
	if (r == 0)
		keeper_become_unpacker(w, job, joins, report, self);
	return r < 0 ? err_pass(r) : 0;
}

/* It ends by itself, or after a while by us. */
static struct unpack_report keeper_unpack(
	const struct warden *w, const struct job *job, const int joins[])
{
	int pair[2], pidfd, status = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return keeper_fault(err_raise(-errno), "making a socket for the unpacker");
	int r = keeper_start(w, job, joins, pair[1], &pidfd);
	if (r < 0)
		return keeper_fault(r, "starting the unpacker");
	if (child_wait(pidfd, UNPACK_SECONDS_MAX * 1000) < 0) {
		child_kill(pidfd);
		(void)child_wait(pidfd, -1);
		return keeper_fault(err_raise(-ETIMEDOUT), "unpacking");
	}
	r = child_reap(pidfd, &status);
	return r < 0 ? keeper_fault(r, "collecting the unpacker")
		     : keeper_read_report(pair[0], status);
}

/* ---- what came out ---- */

/* What a walk through an unpacked tree finds. */
struct keeper_sum {
	uint64_t bytes;
	uint32_t owner; /* who must own all of it */
	bool is_to_chown;
};

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
	return sum->is_to_chown && lchown(name, 0, 0) < 0 ? err_raise(-errno) : 0;
}

/* Check and own the tree, have it on the disk, and give it its name. */
static int keeper_publish(
	const struct warden *w, const struct job *job, const char *name, uint64_t *ret_bytes)
{
	struct keeper_sum sum = { .owner = w->boot->unpack_uid, .is_to_chown = true };
	char hex[DIGEST_HEX_SIZE];

	int r = tree_walk(w->places.tmp, name, keeper_take, &sum);
	if (r < 0)
		return err_pass(r);
	if (sum.bytes > job->ask.bytes_max) /* it counted too, and otherwise */
		return err_raise(-EPROTO);
	if (chown(name, 0, 0) < 0 || chmod(name, 0755) < 0 || syncfs(w->places.tmp) < 0)
		return err_raise(-errno);
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
	const struct warden *w, const struct job *job, const int joins[], const char *name)
{
	uint32_t uid = w->boot->unpack_uid;

	if (mkdirat(w->places.tmp, name, 0755) < 0 ||
		fchownat(w->places.tmp, name, uid, uid, AT_SYMLINK_NOFOLLOW) < 0)
		return keeper_fault(err_raise(-errno), "making a directory to unpack to");
	struct unpack_report report = keeper_unpack(w, job, joins);
	if (report.answer != UNPACK_DONE)
		return report;
	int r = keeper_publish(w, job, name, &report.bytes);
	return r < 0 ? keeper_fault(r, "publishing unpacked code") : report;
}

struct unpack_report keeper_run(
	const struct warden *w, const struct job *job, const int joins[static CGROUP_TREES])
{
	struct keeper_sum sum = { .owner = 0 };
	char name[CGROUP_NAME_MAX], hex[DIGEST_HEX_SIZE];

	places_hex(job->ask.digest, hex);
	if (faccessat(w->places.code, hex, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		int r = tree_walk(
			w->places.code, hex, keeper_take, &sum); /* counts it for the answer */
		return r < 0 ? keeper_fault(r, "counting unpacked code")
			     : (struct unpack_report){ UNPACK_DONE, 0, sum.bytes };
	}
	keeper_name(job, name);
	struct unpack_report report = keeper_make(w, job, joins, name);
	int r = tree_remove(w->places.tmp, name); /* published, it has another name by now */
	if (r < 0)
		err_log(r, "removing what was unpacked in vain");
	return report;
}
