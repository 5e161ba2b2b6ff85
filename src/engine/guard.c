/*
 * The guard has the identity of its function, so what it says is looked at as if a function said it: sizes,
 * numbers and descriptors are checked, and whatever is odd is thrown away. A guard that says nothing,
 * or the wrong thing, is a function that never initialises; its time ends that.
 */
#include "engine/guard.h"

#include "base/err.h"
#include "base/mem.h"
#include "engine/extension_host.h"
#include "os/child.h"
#include "os/fd.h"
#include "os/loop.h"

#include <errno.h>
#include <unistd.h>

enum { FRAMES_PER_TURN = 64 };

struct guard {
	struct extension_host *host;
	int socket;
	struct watch *watch;
};

static bool frame_is_right(const struct guard_frame *frame, size_t len)
{
	return len == sizeof(*frame) && frame->op >= GUARD_EXTENSION && frame->op < GUARD_OPS &&
		frame->who <= GUARD_RUNTIME && frame->name[GUARD_NAME_MAX - 1] == '\0';
}

/* One frame: false when there is none, for now or for ever. */
static bool guard_receive(struct guard *guard)
{
	struct guard_frame frame;
	size_t len = 0, fd_count = 0;
	int fd = -1;

	int r = fd_receive(guard->socket, &frame, sizeof(frame), &len, &fd, 1, &fd_count);
	if (r == -EAGAIN)
		return false;
	if (r == -EMSGSIZE)
		return true;
	if (r < 0) { /* it is dead: the warden will say so */
		watch_free(guard->watch);
		guard->watch = NULL;
		return false;
	}
	if (frame_is_right(&frame, len))
		extension_host_on_frame(guard->host, &frame, fd_count ? fd_take(&fd) : -1);
	if (fd_count)
		fd_close(&fd);
	return true;
}

void guard_read(struct guard *guard)
{
	for (int i = 0; i < FRAMES_PER_TURN && guard->watch && guard_receive(guard); i++)
		continue;
}

static void guard_on_ready(void *context, unsigned events)
{
	(void)events;
	guard_read(context);
}

int guard_new(
	struct loop *loop, struct extension_host *host, int *ret_theirs, struct guard **ret_guard)
{
	struct guard *guard = mem_one(struct guard);
	scoped_fd theirs = -1;

	if (!guard)
		return err_raise(-ENOMEM);
	guard->host = host;
	int r = child_channel(&guard->socket, &theirs);
	if (r < 0) {
		mem_free(guard);
		return err_pass(r);
	}
	r = watch_new(loop, guard->socket, WATCH_READ, guard_on_ready, guard, &guard->watch);
	if (r < 0) {
		guard_free(guard);
		return err_pass(r);
	}
	*ret_theirs = fd_take(&theirs);
	*ret_guard = guard;
	return 0;
}

void guard_free(struct guard *guard)
{
	if (!guard)
		return;
	watch_free(guard->watch);
	close(guard->socket);
	mem_free(guard);
}

int guard_begin(struct guard *guard, int log)
{
	const struct guard_frame frame = { .op = GUARD_BEGIN };

	return err_pass(fd_send(guard->socket, &frame, sizeof(frame), &log, 1));
}

void guard_ask(struct guard *guard, enum guard_op op, uint32_t who, uint32_t value, uint64_t ticket)
{
	const struct guard_frame frame = { .op = op, .who = who, .value = value, .ticket = ticket };

	int r = fd_send(guard->socket, &frame, sizeof(frame), NULL, 0);
	if (r < 0 && r != -EPIPE)
		err_log(r, "ask a guard");
}
