/*
 * The warden's socket, from the router's side.
 *
 * A SOCK_SEQPACKET socket keeps message borders, so a frame is one send and one receive and there
 * is no buffer to parse. The warden drains its end quickly; when its queue is full all the same,
 * frames wait here in order with their descriptors duplicated, because a request that is dropped
 * would leave its asker waiting for ever.
 *
 * What comes from the warden is trusted for its meaning (it is root) but not for its shape: an
 * event of the wrong size can only be a mixed installation, and the router stops rather than guess.
 */
#include "engine/warden_client.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "os/fd.h"
#include "os/loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { QUEUED_MAX = 8192, EVENTS_PER_TURN = 64 };

struct queued {
	struct list link;
	union frame frame;
	size_t size;
	int fds[FD_PASS_MAX];
	size_t fd_count;
};

struct warden_client {
	struct loop *loop;
	struct watch *watch;
	int socket;
	const struct warden_events *events;
	void *context;
	struct list queue;
	unsigned queued;
};

/* The exact size and number of descriptors of each event. */
static const struct {
	size_t size;
	size_t fds;
} event_shape[FRAME_OPS] = {
	[FRAME_UNPACKED] = { sizeof(struct unpacked_frame), 0 },
	[FRAME_SPAWNED] = { sizeof(struct spawned_frame), 4 },
	[FRAME_GRAFTED] = { sizeof(struct grafted_frame), 0 },
	[FRAME_EXITED] = { sizeof(struct exited_frame), 0 },
	[FRAME_DRAIN] = { sizeof(struct ready_frame), 0 },
	[FRAME_REREAD] = { sizeof(struct ready_frame), 1 },
	[FRAME_RENEW] = { sizeof(struct ready_frame), TLS_FILES },
};

static void queued_free(struct queued *queued)
{
	list_remove(&queued->link);
	for (size_t i = 0; i < queued->fd_count; i++)
		close(queued->fds[i]);
	mem_free(queued);
}

static void client_dispatch(struct warden_client *client, const union frame *frame, const int *fds)
{
	switch (frame->head.op) {
	case FRAME_UNPACKED:
		client->events->on_unpacked(client->context, &frame->unpacked);
		break;
	case FRAME_SPAWNED:
		client->events->on_spawned(client->context, &frame->spawned, fds);
		break;
	case FRAME_EXITED:
		client->events->on_exited(client->context, &frame->exited);
		break;
	case FRAME_GRAFTED:
		client->events->on_grafted(client->context, &frame->grafted);
		break;
	case FRAME_DRAIN:
		client->events->on_drain(client->context);
		break;
	case FRAME_REREAD:
		client->events->on_reread(client->context, fds[0]);
		break;
	case FRAME_RENEW:
		client->events->on_renew(client->context, fds);
		break;
	}
}

/* Receive one event: 0, or -EAGAIN, or the fault that ends the connection. */
static int client_receive(struct warden_client *client)
{
	union frame frame = {};
	int fds[FD_PASS_MAX];
	size_t len, fd_count;

	int r = fd_receive(
		client->socket, &frame, sizeof(frame), &len, fds, FD_PASS_MAX, &fd_count);
	if (r < 0)
		return r;
	if (len < sizeof(frame.head) || frame.head.op >= FRAME_OPS ||
		len != event_shape[frame.head.op].size ||
		fd_count != event_shape[frame.head.op].fds) {
		for (size_t i = 0; i < fd_count; i++)
			close(fds[i]);
		return err_raise(-EPROTO);
	}
	client_dispatch(client, &frame, fds);
	return 0;
}

static int client_flush(struct warden_client *client)
{
	list_each(link, &client->queue) {
		struct queued *queued = list_entry(link, struct queued, link);
		int r = fd_send(client->socket, &queued->frame, queued->size, queued->fds,
			queued->fd_count);
		if (r == -EAGAIN)
			return 0;
		if (r < 0)
			return err_pass(r);
		queued_free(queued);
		client->queued--;
	}
	return err_pass(watch_set(client->watch, WATCH_READ));
}

static void client_on_ready(void *context, unsigned events)
{
	struct warden_client *client = context;
	int r = 0;

	if (events & WATCH_WRITE)
		r = client_flush(client);
	for (int i = 0; r == 0 && (events & WATCH_READ) && i < EVENTS_PER_TURN; i++)
		r = client_receive(client);
	if (r == 0 || r == -EAGAIN)
		return;

	if (r != -EPIPE)
		err_log(r, "talk to the warden");
	client->events->on_lost(client->context);
}

int warden_client_new(struct loop *loop, int socket, const struct warden_events *events,
	void *context, struct warden_client **ret_client)
{
	struct warden_client *client = mem_one(struct warden_client);
	if (!client)
		return err_raise(-ENOMEM);

	client->loop = loop;
	client->socket = socket;
	client->events = events;
	client->context = context;
	list_init(&client->queue);
	int r = fd_set_nonblock(socket, true);
	if (r == 0)
		r = watch_new(loop, socket, WATCH_READ, client_on_ready, client, &client->watch);
	if (r < 0) {
		mem_free(client);
		return err_pass(r);
	}
	*ret_client = client;
	return 0;
}

void warden_client_free(struct warden_client *client)
{
	if (!client)
		return;
	watch_free(client->watch);
	list_each(link, &client->queue)
		queued_free(list_entry(link, struct queued, link));
	close(client->socket);
	mem_free(client);
}

static int client_enqueue(struct warden_client *client, const void *frame, size_t size,
	const int *fds, size_t fd_count)
{
	if (client->queued >= QUEUED_MAX)
		return err_raise(-ENOBUFS);
	struct queued *queued = mem_one(struct queued);
	if (!queued)
		return err_raise(-ENOMEM);

	list_init(&queued->link);
	memcpy(&queued->frame, frame, size);
	queued->size = size;
	for (; queued->fd_count < fd_count; queued->fd_count++) {
		int copy = fcntl(fds[queued->fd_count], F_DUPFD_CLOEXEC, 3);
		if (copy < 0) {
			int fault = -errno;
			queued_free(queued);
			return err_raise(fault);
		}
		queued->fds[queued->fd_count] = copy;
	}
	list_push_back(&client->queue, &queued->link);
	client->queued++;
	return err_pass(watch_set(client->watch, WATCH_READ | WATCH_WRITE));
}

int warden_ask(struct warden_client *client, const void *frame, size_t size, const int *fds,
	size_t fd_count)
{
	assert(size >= sizeof(struct frame_head) && size <= sizeof(union frame));
	assert(fd_count <= FD_PASS_MAX);

	if (!list_empty(&client->queue))
		return err_pass(client_enqueue(client, frame, size, fds, fd_count));
	int r = fd_send(client->socket, frame, size, fds, fd_count);
	if (r == -EAGAIN)
		r = client_enqueue(client, frame, size, fds, fd_count);
	return err_pass(r);
}

int warden_say(struct warden_client *client, enum frame_op op)
{
	assert(op == FRAME_READY || op == FRAME_DRAINED);
	struct ready_frame frame = { .head = { .op = op } };

	return err_pass(warden_ask(client, &frame, sizeof(frame), NULL, 0));
}
