/*
 * The ring stands between the warden and a router that does not read: its socket fills,
 * then the ring, which is bounded because requests are not read meanwhile (see the header);
 * the warden itself never waits.
 */
#include "warden/outbox.h"

#include "base/err.h"
#include "base/log.h"
#include "os/fd.h"
#include "warden/warden.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

static void outbox_pop(struct outbox *outbox)
{
	struct outbox_event *event = &outbox->events[outbox->first];

	assert(outbox->count > 0);
	for (size_t i = 0; i < event->fd_count; i++)
		fd_close(&event->fds[i]);
	outbox->first = (outbox->first + 1) % OUTBOX_MAX;
	outbox->count--;
}

void outbox_clear(struct outbox *outbox)
{
	while (outbox->count)
		outbox_pop(outbox);
}

/* Listen to the router again, or only for room in its socket. */
static void outbox_watch(struct warden *w, uint32_t events)
{
	int r = source_watch(w->epoll, &w->router.socket, events);
	if (r < 0)
		err_log(r, "watching the router");
}

void outbox_flush(struct warden *w)
{
	struct outbox *outbox = &w->outbox;

	while (outbox->count) {
		struct outbox_event *event = &outbox->events[outbox->first];
		int r = fd_send(w->router.socket.fd, &event->frame, event->size, event->fds,
			event->fd_count);
		if (r == -EAGAIN)
			return;
		if (r < 0) { /* it is dying: its pidfd will say so */
			log_debug("router_unreachable", LOG_ERRNO("error", r));
			outbox_clear(outbox);
			break;
		}
		outbox_pop(outbox);
	}
	outbox_watch(w, EPOLLIN);
}

void outbox_tell(struct warden *w, const void *frame, size_t size, const int *fds, size_t fd_count)
{
	struct outbox *outbox = &w->outbox;
	size_t at = (outbox->first + outbox->count) % OUTBOX_MAX;
	struct outbox_event *event = &outbox->events[at];

	assert(size <= sizeof(event->frame) && fd_count <= OUTBOX_FDS);
	assert(outbox->count < OUTBOX_MAX);
	memcpy(&event->frame, frame, size);
	event->size = size;
	event->fd_count = fd_count;
	for (size_t i = 0; i < fd_count; i++)
		event->fds[i] = fds[i];
	outbox->count++;
	if (w->router.socket.fd < 0) {
		outbox_clear(outbox);
		return;
	}
	outbox_flush(w);
	if (outbox->count == 1) /* the socket has just become full */
		outbox_watch(w, EPOLLOUT);
}
