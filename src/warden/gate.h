#pragma once
/* What may be asked of root, and what the router is told. */
#include "wire/frames.h"

#include <stddef.h>

struct warden;
struct source;

/* Unpackings at a time and waiting, see code.h. */
enum { JOBS_MAX = 128, OUTBOX_MAX = 2 * SANDBOX_SLOTS_MAX + JOBS_MAX + 1, OUTBOX_FDS = 3 };

struct outbox_event {
	union frame frame;
	size_t size;
	int fds[OUTBOX_FDS];
	size_t fd_count;
};

/*
 * Events that the router's socket could not take yet: a ring. While there are any, no request is
 * read: so there can never be more than two for each sandbox and one for each unpacking.
 */
struct outbox {
	struct outbox_event events[OUTBOX_MAX];
	size_t first, count;
};

/* Of the router's socket: read one request and obey it, or condemn the router for it. */
void gate_ready(void *context, struct source *socket);

/*
 * Tell the router: now if its socket takes it, else as soon as it does. The frame is copied,
 * the descriptors become ours. Without a router both are dropped.
 */
void gate_tell(struct warden *w, const void *frame, size_t size, const int *fds, size_t fd_count);

/* Drop what waits to be told. */
void gate_clear(struct outbox *outbox);
