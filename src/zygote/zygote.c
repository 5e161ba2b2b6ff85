/*
 *   warden ── ask + descriptors ──▶ zygote ── clone3, into pid namespace and cgroup ──▶ child
 *      ▲◀── report: pidfd ────────────┘                                               │
 *      └◀── report: how it goes ──────────────────────────────────────────────────────┘
 *
 * CLONE_PARENT makes the child the warden's: the warden learns how it ended, and a zygote that
 * dies takes nobody with it. Each question brings a channel of its own for what there is to say to
 * it: if nobody holds that any more and no pidfd has come, the zygote died with the question.
 */
#include "zygote/zygote.h"

#include "base/err.h"
#include "init/init.h"
#include "os/child.h"
#include "os/fd.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A question with its descriptors. */
struct zygote_question {
	struct zygote_ask ask;
	int fds[FD_PASS_MAX];
	size_t fd_count;
};

static bool question_is_right(const struct zygote_question *question, size_t len)
{
	const struct zygote_ask *ask = &question->ask;

	return len >= offsetof(struct zygote_ask, graft_paths) &&
		ask->join_count <= ZYGOTE_JOINS_MAX && ask->graft_count <= GRAFTS_MAX &&
		len ==
		offsetof(struct zygote_ask, graft_paths) + ask->graft_count * PACK_PATH_MAX &&
		ask->bind_count <= ask->graft_count &&
		question->fd_count == ZYGOTE_ASK_REST + ask->join_count + ask->graft_count;
}

static void question_close(struct zygote_question *question)
{
	for (size_t i = 0; i < question->fd_count; i++)
		fd_close(&question->fds[i]);
}

/* The child: into the jail. */
static int zygote_jail(const struct zygote *zygote, struct zygote_question *question)
{
	struct zygote_ask *ask = &question->ask;
	const int *fds = question->fds;
	int joins[CGROUP_TREES] = { -1, -1, -1, -1 };
	struct graft grafts[GRAFTS_MAX];
	struct jail jail = {
		.kind = ask->work == ZYGOTE_MOUNTER ? JAIL_MOUNTER : JAIL_RUNTIME,
		.uid = ask->uid,
		.parent = zygote->parent,
		.joins = joins,
		.filter = zygote->filter,
		.null = zygote->null,
		.report = fds[ZYGOTE_ASK_REPORT],
		.target = fds[ZYGOTE_ASK_TARGET],
		.grafts = grafts,
		.graft_count = ask->graft_count,
		.bind_count = ask->bind_count,
		.tmp_mb = ask->tmp_mb,
		.env = fds[ZYGOTE_ASK_ENV],
		.log = fds[ZYGOTE_ASK_LOG],
		.image = ask->has_image ? fds[ZYGOTE_ASK_IMAGE] : -1,
		.program = zygote->restore >= 0 ? zygote->restore : zygote->null,
	};

	for (uint32_t i = 0; i < ask->join_count; i++)
		joins[i] = fds[ZYGOTE_ASK_REST + i];
	for (uint32_t i = 0; i < ask->graft_count; i++) {
		ask->graft_paths[i][PACK_PATH_MAX - 1] = '\0';
		grafts[i] = (struct graft){ fds[ZYGOTE_ASK_REST + ask->join_count + i],
			ask->graft_paths[i] };
	}
	int r = jail_enter(&jail);
	if (r == 0)
		note_send(jail.report, &(struct note){ .kind = NOTE_STARTED }, NULL, 0);
	return r;
}

/* Fork into the sandbox: 0 in the child, 1 in the parent with *ret_pidfd, or a fault. */
static int zygote_fork(const struct zygote_question *question, int *ret_pidfd)
{
	const struct zygote_ask *ask = &question->ask;
	const bool is_runtime = ask->work != ZYGOTE_MOUNTER;
	const struct child_how how = {
		.cgroup = is_runtime ? question->fds[ZYGOTE_ASK_CGROUP] : -1,
		.name = NULL,
		.is_sibling = true,
	};

	/* Its children's pid namespace, not its own. */
	if (setns(question->fds[ZYGOTE_ASK_TARGET], CLONE_NEWPID) < 0)
		return -errno;
	return child_start(&how, ret_pidfd);
}

int zygote_next(const struct zygote *zygote, struct zygote_birth *ret_birth)
{
	static struct zygote_question question;
	size_t len = 0;
	scoped_fd pidfd = -1;

	int r = fd_receive(zygote->socket, &question.ask, sizeof(question.ask), &len, question.fds,
		FD_PASS_MAX, &question.fd_count);
	if (r < 0)
		return r;
	if (!question_is_right(&question, len)) {
		question_close(&question);
		return -EPROTO;
	}
	r = zygote_fork(&question, &pidfd);
	if (r == 0) {
		if (zygote_jail(zygote, &question) < 0)
			_exit(127);
		(void)lseek(JAIL_FD_ENV, 0, SEEK_SET); /* one that was lost may have read it */
		*ret_birth = (struct zygote_birth){ question.ask.work, question.ask.pack };
		return 0;
	}
	const int report = question.fds[ZYGOTE_ASK_REPORT];
	if (r < 0)
		note_failure(report, "fork", -r);
	else
		note_send(report, &(struct note){ .kind = NOTE_BORN }, &pidfd, 1);
	question_close(&question);
	return 1;
}
