/*
 * A source is removed from epoll explicitly before its descriptor is closed: children between
 * clone and exec still hold copies, and epoll forgets a file only with the last of them.
 */
#include "os/source.h"

#include "base/attr.h"
#include "base/err.h"
#include "os/clock.h"
#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>

enum { WAIT_MS_MAX = 60'000 };

int source_open(int epoll, struct source *source, int fd, source_fn *ready)
{
	assert(fd >= 0 && source->fd < 0);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		int fault = -errno;
		fd_close(&fd);
		return err_raise(fault);
	}
	*source = (struct source){ fd, ready };
	return 0;
}

int source_watch(int epoll, struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(epoll, EPOLL_CTL_MOD, source->fd, &event) < 0 ? err_raise(-errno) : 0;
}

void source_close(int epoll, struct source *source)
{
	if (source->fd < 0)
		return;
	(void)epoll_ctl(epoll, EPOLL_CTL_DEL, source->fd, NULL);
	fd_close(&source->fd);
}

int source_wait(int epoll, uint64_t due_ms, void *context)
{
	struct epoll_event event;
	uint64_t now = clock_mono_ms();
	int timeout = due_ms <= now ? 0 : (int)MIN(due_ms - now, (uint64_t)WAIT_MS_MAX);

	int count = epoll_wait(epoll, &event, 1, timeout);
	if (count < 0)
		return errno == EINTR ? 0 : err_raise(-errno);
	if (count == 1) {
		struct source *source = event.data.ptr;
		assert(source->fd >= 0);
		source->ready(context, source);
	}
	return 0;
}
