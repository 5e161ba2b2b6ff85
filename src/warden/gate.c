/*
 * One table of everything. A frame that is unknown, misshapen or out of season is never
 * answered with an error: a router that works does not send such a thing, so this one is
 * not the program that we started any more. It is killed with its sandboxes.
 *
 * What it may ask while it drains is what it may ask while it serves: its requests and our
 * FRAME_DRAIN cross on their way.
 */
#include "warden/gate.h"

#include "base/err.h"
#include "base/log.h"
#include "os/fd.h"
#include "warden/warden.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum { LATER = ROUTER_SERVING | ROUTER_DRAINING, GATE_FDS_MAX = 3 };

/*
 * A handler may take descriptors by setting them to -1. It returns why the router is to be
 * condemned, or NULL.
 */
struct gate_row {
	size_t size;
	size_t fds;
	unsigned phases;
	const char *(*run)(struct warden *w, const union frame *frame, int fds[]);
};

/* Everything the router may ask of root. What is not in this table does not exist. */
static const struct gate_row gate[FRAME_OPS] = {
	[FRAME_READY] = { sizeof(struct ready_frame), 0, ROUTER_STARTING | ROUTER_DRAINING,
		router_on_ready },
	[FRAME_UNPACK] = { sizeof(struct unpack_frame), 1, LATER, code_unpack },
	[FRAME_FORGET] = { sizeof(struct forget_frame), 0, LATER, code_forget },
	[FRAME_SPAWN] = { sizeof(struct spawn_frame), 2, LATER, sandbox_spawn },
	[FRAME_SPAWN_IMAGE] = { sizeof(struct spawn_frame), 3, LATER, sandbox_spawn },
	[FRAME_WARM] = { sizeof(struct warm_frame), 0, LATER, zygote_warm },
	[FRAME_GRAFT] = { sizeof(struct graft_frame), 0, LATER, sandbox_graft },
	[FRAME_KILL] = { sizeof(struct sandbox_frame), 0, LATER, sandbox_ask },
	[FRAME_TERMINATE] = { sizeof(struct sandbox_frame), 0, LATER, sandbox_ask },
	[FRAME_FREEZE] = { sizeof(struct sandbox_frame), 0, LATER, sandbox_ask },
	[FRAME_THAW] = { sizeof(struct sandbox_frame), 0, LATER, sandbox_ask },
	[FRAME_HOLD] = { sizeof(struct sandbox_frame), 0, LATER, sandbox_ask },
	[FRAME_RENEWED] = { sizeof(struct renewed_frame), 0, LATER, router_on_renewed },
	[FRAME_REREAD_DONE] = { sizeof(struct reread_done_frame), 0, LATER, router_on_reread_done },
	[FRAME_DRAINED] = { sizeof(struct ready_frame), 0, ROUTER_DRAINING, router_on_drained },
};

static const char *gate_answer(
	struct warden *w, const union frame *frame, size_t size, int fds[], size_t fd_count)
{
	if (size < sizeof(struct frame_head))
		return "a frame without a head";
	if (frame->head.op >= FRAME_OPS || !gate[frame->head.op].run)
		return "unknown request";
	const struct gate_row *row = &gate[frame->head.op];
	if (size != row->size || frame->head.reserved)
		return "malformed request";
	if (fd_count != row->fds)
		return "wrong number of descriptors";
	if (!(row->phases & w->router.phase))
		return "request out of season";
	return row->run(w, frame, fds);
}

static void gate_watch(struct warden *w, uint32_t events)
{
	int r = source_watch(w->epoll, &w->router.socket, events);
	if (r < 0)
		err_log(r, "watching the router");
}

/* What waits is lost with a router that is dying: its pidfd will say so. */
static void gate_send(struct warden *w)
{
	if (w->router.socket.fd < 0)
		outbox_clear(&w->outbox);
	else
		(void)!outbox_send(&w->outbox, w->router.socket.fd);
}

void gate_tell(struct warden *w, const void *frame, size_t size, const int *fds, size_t fd_count)
{
	static_assert(sizeof(union frame) <= OUTBOX_BYTES_MAX);

	outbox_put(&w->outbox, frame, size, fds, fd_count);
	if (w->outbox.count > 1) /* waiting for room already */
		return;
	gate_send(w);
	if (w->outbox.count)
		gate_watch(w, EPOLLOUT);
}

void gate_ready(void *context, struct source *socket)
{
	struct warden *w = context;
	union frame frame;
	int fds[GATE_FDS_MAX] = { -1, -1, -1 };
	size_t size, fd_count;

	if (w->outbox.count) {
		gate_send(w);
		if (!w->outbox.count)
			gate_watch(w, EPOLLIN);
		return;
	}
	int r = fd_receive(socket->fd, &frame, sizeof(frame), &size, fds, GATE_FDS_MAX, &fd_count);
	if (r == -EAGAIN)
		return;
	if (r == -EMSGSIZE) {
		router_condemn(w, "a frame too long, or with too many descriptors");
		return;
	}
	if (r < 0) { /* it has closed its end: it is dead or has no use for us any more */
		cell_kill(&w->router.cell);
		source_close(w->epoll, socket);
		return;
	}
	const char *reason = gate_answer(w, &frame, size, fds, fd_count);
	for (size_t i = 0; i < GATE_FDS_MAX; i++)
		fd_close(&fds[i]);
	if (reason)
		router_condemn(w, reason);
}
