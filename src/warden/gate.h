#pragma once
/* What may be asked of root, and what the router is told. */
#include "wire/frames.h"

#include <stddef.h>

struct warden;
struct source;

/* Unpackings at a time and waiting, see code.h. */
enum { JOBS_MAX = 128 };

/*
 * How many events can wait for the router's socket to take them: while there are any, no request is
 * read, so never more than two for each sandbox, one for each unpacking, and those that begin with us.
 */
enum { OUTBOX_MAX = 2 * SANDBOX_SLOTS_MAX + JOBS_MAX + 2 };

/* Of the router's socket: read one request and obey it, or condemn the router for it. */
void gate_ready(void *context, struct source *socket);

/*
 * Tell the router: now if its socket takes it, else as soon as it does. The frame is copied,
 * the descriptors become ours. Without a router both are dropped.
 */
void gate_tell(struct warden *w, const void *frame, size_t size, const int *fds, size_t fd_count);
