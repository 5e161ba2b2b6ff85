#include "os/source.h"

#include "base/test.h"
#include "os/clock.h"
#include "os/fd.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

struct world {
	int epoll;
	int calls;
	struct source a, b;
};

static void on_ready(void *context, struct source *source)
{
	struct world *w = context;
	char byte;

	w->calls++;
	CHECK(read(source->fd, &byte, 1) == 1);
}

static void on_ready_close_both(void *context, [[maybe_unused]] struct source *source)
{
	struct world *w = context;

	w->calls++;
	source_close(w->epoll, &w->a);
	source_close(w->epoll, &w->b);
}

/* Two pipes: the reading ends are sources, the writing ends the test's. */
static void world_begin(struct world *w, source_fn *ready, int ret_writing[static 2])
{
	int first[2], second[2];

	*w = (struct world){ .epoll = epoll_create1(EPOLL_CLOEXEC), .a.fd = -1, .b.fd = -1 };
	CHECK(pipe2(first, O_CLOEXEC) == 0 && pipe2(second, O_CLOEXEC) == 0);
	CHECK(source_open(w->epoll, &w->a, first[0], ready) == 0);
	CHECK(source_open(w->epoll, &w->b, second[0], ready) == 0);
	ret_writing[0] = first[1];
	ret_writing[1] = second[1];
}

static void world_end(struct world *w, int writing[static 2])
{
	source_close(w->epoll, &w->a);
	source_close(w->epoll, &w->b);
	fd_close(&writing[0]);
	fd_close(&writing[1]);
	fd_close(&w->epoll);
}

static void one_event_a_call_and_both_in_the_end(void)
{
	struct world w;
	int writing[2];

	world_begin(&w, on_ready, writing);
	CHECK(write(writing[0], "x", 1) == 1 && write(writing[1], "x", 1) == 1);
	CHECK(source_wait(w.epoll, UINT64_MAX, &w) == 0 && w.calls == 1);
	CHECK(source_wait(w.epoll, UINT64_MAX, &w) == 0 && w.calls == 2);
	world_end(&w, writing);
}

static void a_source_closed_by_another_is_not_called(void)
{
	struct world w;
	int writing[2];

	world_begin(&w, on_ready_close_both, writing);
	CHECK(write(writing[0], "x", 1) == 1 && write(writing[1], "x", 1) == 1);
	CHECK(source_wait(w.epoll, UINT64_MAX, &w) == 0);
	CHECK(source_wait(w.epoll, clock_mono_ms() + 20, &w) == 0);
	CHECK(w.calls == 1 && w.a.fd < 0 && w.b.fd < 0);
	world_end(&w, writing);
}

static void waiting_ends_when_it_is_due(void)
{
	struct world w;
	int writing[2];
	uint64_t from = clock_mono_ms();

	world_begin(&w, on_ready, writing);
	CHECK(source_wait(w.epoll, from + 30, &w) == 0);
	CHECK(clock_mono_ms() >= from + 30 && w.calls == 0);
	CHECK(source_wait(w.epoll, 0, &w) == 0); /* long ago: at once */
	world_end(&w, writing);
}

static void what_is_watched_can_change(void)
{
	struct world w;
	int writing[2];

	world_begin(&w, on_ready, writing);
	CHECK(source_watch(w.epoll, &w.a, 0) == 0);
	CHECK(write(writing[0], "x", 1) == 1);
	CHECK(source_wait(w.epoll, clock_mono_ms() + 20, &w) == 0 && w.calls == 0);
	CHECK(source_watch(w.epoll, &w.a, EPOLLIN) == 0);
	CHECK(source_wait(w.epoll, UINT64_MAX, &w) == 0 && w.calls == 1);
	world_end(&w, writing);
}

static void a_descriptor_that_cannot_be_watched_is_closed(void)
{
	struct source source = { .fd = -1 };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int regular = open("/etc/passwd", O_RDONLY | O_CLOEXEC); /* EPERM: always ready */

	CHECK(source_open(epoll, &source, regular, on_ready) < 0);
	CHECK(source.fd < 0 && fcntl(regular, F_GETFD) < 0);
	fd_close(&epoll);
}

TESTS(TEST(one_event_a_call_and_both_in_the_end), TEST(a_source_closed_by_another_is_not_called),
	TEST(waiting_ends_when_it_is_due), TEST(what_is_watched_can_change),
	TEST(a_descriptor_that_cannot_be_watched_is_closed))
