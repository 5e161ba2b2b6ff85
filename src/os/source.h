#pragma once
/*
 * A bare event loop for processes that may not allocate: descriptors and who handles them, one
 * event at a time. (The router's loop, with timers and threads, is os/loop.h.)
 */
#include <stdint.h>

struct source;

typedef void source_fn(void *context, struct source *source);

/* It lives inside the object that it belongs to. */
struct source {
	int fd; /* owned; -1: not in use */
	source_fn *ready;
};

/* Take the descriptor and watch it, level-triggered, for EPOLLIN. 0 or a fault (fd closed). */
[[nodiscard]] int source_open(int epoll, struct source *source, int fd, source_fn *ready);

/* Watch for these EPOLL… events from now on. 0 or a fault. */
[[nodiscard]] int source_watch(int epoll, struct source *source, uint32_t events);

/* Stop watching and close; nothing when it is not in use. */
void source_close(int epoll, struct source *source);

/*
 * Wait for one event, until `due_ms` of the monotonic clock (UINT64_MAX: for ever), and handle it.
 * One event a call: a handler may close any source, so a second event of the same batch could be a
 * ghost's. It may also return early without one. 0 or a fault.
 */
[[nodiscard]] int source_wait(int epoll, uint64_t due_ms, void *context);
