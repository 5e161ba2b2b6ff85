#pragma once
/*
 * Events for the router that its socket could not take yet. While there are any, no request
 * is read: so there can never be more than two for each sandbox and one for each job.
 */
#include "warden/code.h"
#include "wire/frames.h"

#include <stddef.h>

struct warden;

enum { OUTBOX_MAX = 2 * SANDBOX_SLOTS_MAX + JOBS_MAX + 1, OUTBOX_FDS = 3 };

struct outbox_event {
	union frame frame;
	size_t size;
	int fds[OUTBOX_FDS];
	size_t fd_count;
};

struct outbox {
	struct outbox_event events[OUTBOX_MAX]; /* a ring */
	size_t first, count;
};

/*
 * Tell the router: now if its socket takes it, else as soon as it does. The frame is
 * copied, the descriptors become ours. Without a router both are dropped.
 */
void outbox_tell(struct warden *w, const void *frame, size_t size, const int *fds, size_t fd_count);

/* Send what waits, as far as the socket takes it. */
void outbox_flush(struct warden *w);

/* Drop all of it. */
void outbox_clear(struct outbox *outbox);
