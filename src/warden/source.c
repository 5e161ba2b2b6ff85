/*
 * epoll, bare. A source is removed explicitly before its descriptor is closed: children
 * that are between clone and exec still hold copies, and epoll forgets a file only with
 * the last of them.
 */
#include "warden/source.h"

#include "base/err.h"
#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>

int source_open(int epoll, struct source *source, int fd, source_fn *ready)
{
	assert(fd >= 0);
	assert(source->fd < 0);
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

int source_wait(struct warden *w, int epoll, int timeout_ms)
{
	struct epoll_event event;

	int count = epoll_wait(epoll, &event, 1, timeout_ms);
	if (count < 0)
		return errno == EINTR ? 0 : err_raise(-errno);
	if (count == 1) {
		struct source *source = event.data.ptr;
		assert(source->fd >= 0);
		source->ready(w, source);
	}
	return 0;
}
