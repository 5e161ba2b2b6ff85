#pragma once
/*
 * What the warden waits for: a descriptor and who handles it. Sources live inside the
 * objects that they belong to; nothing is allocated.
 */
#include <stdint.h>

struct warden;
struct source;

typedef void source_fn(struct warden *w, struct source *source);

struct source {
	int fd; /* owned; -1: not in use */
	source_fn *ready;
};

/* Take the descriptor and watch it, level-triggered, for EPOLLIN. 0 or a fault (fd closed). */
[[nodiscard]] int source_open(int epoll, struct source *source, int fd, source_fn *ready);

/* Watch for other events from now on. */
[[nodiscard]] int source_watch(int epoll, struct source *source, uint32_t events);

/* Stop watching and close; nothing when it is not in use. */
void source_close(int epoll, struct source *source);

/*
 * Wait for one event, at most `timeout_ms` (-1: for ever), and handle it. One event a call:
 * a handler may close any source, so a second event of the same batch could be a ghost's.
 */
[[nodiscard]] int source_wait(struct warden *w, int epoll, int timeout_ms);
