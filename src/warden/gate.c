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
#include "os/fd.h"
#include "warden/child.h"
#include "warden/warden.h"

#include <errno.h>

enum { LATER = ROUTER_SERVING | ROUTER_DRAINING };

static const char *gate_on_ready(
	struct warden *w, [[maybe_unused]] const union frame *frame, [[maybe_unused]] int fds[])
{
	if (w->router.ready_ms)
		return "ready twice";
	router_became_ready(w);
	return NULL;
}

static const char *gate_on_drained(
	struct warden *w, [[maybe_unused]] const union frame *frame, [[maybe_unused]] int fds[])
{
	w->is_over = true;
	return NULL;
}

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
		gate_on_ready },
	[FRAME_UNPACK] = { sizeof(struct unpack_frame), 1, LATER, code_unpack },
	[FRAME_FORGET] = { sizeof(struct forget_frame), 0, LATER, code_forget },
	[FRAME_SPAWN] = { sizeof(struct spawn_frame), 2, LATER, sandbox_spawn },
	[FRAME_KILL] = { sizeof(struct sandbox_frame), 0, LATER, sandbox_ask },
	[FRAME_FREEZE] = { sizeof(struct sandbox_frame), 0, LATER, sandbox_ask },
	[FRAME_THAW] = { sizeof(struct sandbox_frame), 0, LATER, sandbox_ask },
	[FRAME_DRAINED] = { sizeof(struct ready_frame), 0, ROUTER_DRAINING, gate_on_drained },
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

void gate_ready(struct warden *w, struct source *socket)
{
	union frame frame;
	int fds[FD_PASS_MAX] = { -1, -1, -1, -1, -1, -1, -1, -1 };
	size_t size, fd_count;

	if (w->outbox.count) { /* we only wait for room: see outbox.h */
		outbox_flush(w);
		return;
	}
	int r = fd_receive(socket->fd, &frame, sizeof(frame), &size, fds, FD_PASS_MAX, &fd_count);
	if (r == -EAGAIN)
		return;
	if (r == -EMSGSIZE) {
		router_condemn(w, "a frame too long");
		return;
	}
	if (r < 0) { /* it is gone, or as good as gone: the pidfd brings the news */
		if (r != -EPIPE)
			err_log(r, "reading a request");
		child_kill(w->router.process.fd);
		source_close(w->epoll, &w->router.socket);
		return;
	}
	const char *reason = gate_answer(w, &frame, size, fds, fd_count);
	for (size_t i = 0; i < FD_PASS_MAX; i++)
		fd_close(&fds[i]);
	if (reason)
		router_condemn(w, reason);
}
