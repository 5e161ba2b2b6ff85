#include "os/outbox.h"

#include "base/test.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RING = 3 };

static struct outbox_message ring[RING];
static struct outbox outbox;
static int pair[2];

static void begin(void)
{
	outbox = (struct outbox){ .ring = ring, .size = RING };
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
}

static void end(void)
{
	outbox_clear(&outbox);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* What arrives next, or 0. */
static char arrived(void)
{
	char byte = 0;
	size_t len, count;
	int fd;

	int r = fd_receive(pair[1], &byte, 1, &len, &fd, 1, &count);
	if (r == 0 && count)
		close(fd);
	return r == 0 ? byte : 0;
}

static void fill_the_socket(void)
{
	while (send(pair[0], "x", 1, MSG_DONTWAIT) == 1)
		continue;
	CHECK(errno == EAGAIN);
}

static void what_a_full_socket_does_not_take_is_sent_later_in_order(void)
{
	begin();
	fill_the_socket();
	for (int turn = 0; turn < 4; turn++) { /* around the ring */
		outbox_put(&outbox, "a", 1, NULL, 0);
		outbox_put(&outbox, "b", 1, NULL, 0);
		CHECK(outbox_send(&outbox, pair[0]) == 0);
		CHECK(outbox.count == 2);
		while (arrived() == 'x')
			continue;
		CHECK(outbox_send(&outbox, pair[0]) == 0);
		CHECK(outbox.count == 0);
		CHECK(arrived() == 'a' && arrived() == 'b' && arrived() == 0);
		fill_the_socket();
	}
	end();
}

static void descriptors_are_closed_when_they_were_sent_and_when_they_are_dropped(void)
{
	begin();
	int sent = dup(pair[0]), dropped = dup(pair[0]);
	outbox_put(&outbox, "a", 1, &sent, 1);
	CHECK(outbox_send(&outbox, pair[0]) == 0);
	CHECK(!is_open(sent));
	CHECK(arrived() == 'a');
	outbox_put(&outbox, "b", 1, &dropped, 1);
	outbox_clear(&outbox);
	CHECK(!is_open(dropped));
	CHECK(outbox.count == 0);
	end();
}

static void a_socket_that_nobody_reads_drops_all(void)
{
	begin();
	int fd = dup(pair[0]);
	outbox_put(&outbox, "a", 1, &fd, 1);
	outbox_put(&outbox, "b", 1, NULL, 0);
	fd_close(&pair[1]);
	CHECK(outbox_send(&outbox, pair[0]) == -EPIPE);
	CHECK(outbox.count == 0);
	CHECK(!is_open(fd));
	end();
}

TESTS(TEST(what_a_full_socket_does_not_take_is_sent_later_in_order),
	TEST(descriptors_are_closed_when_they_were_sent_and_when_they_are_dropped),
	TEST(a_socket_that_nobody_reads_drops_all))
