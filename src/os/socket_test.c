#include "os/socket.h"

#include "base/test.h"
#include "os/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void test_only_numeric_addresses_are_accepted(void)
{
	static const char *const wrong[] = { "", ":", "127.0.0.1", "127.0.0.1:", ":4566",
		"localhost:1", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:1x", "127.1:80",
		"::1:80", "[::1]80", "[::1]", "[127.0.0.1]:80", "[]:80", "[::1%lo]:80",
		"127.0.0.1 :80", "127.0.0.1.127.0.0.1.127.0.0.1.127.0.0.1.127.0.0.1:80" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int fd = -7;
		CHECK(socket_listen(str_of(wrong[i]), 8, &fd) == -EINVAL);
		CHECK(fd == -7 && !socket_is_loopback(str_of(wrong[i])));
	}
}

static void test_loopback_is_recognised_in_every_form(void)
{
	CHECK(socket_is_loopback(S("127.0.0.1:0")) && socket_is_loopback(S("127.9.9.9:80")));
	CHECK(socket_is_loopback(S("[::1]:80")) && socket_is_loopback(S("[::ffff:127.0.0.1]:80")));
	CHECK(!socket_is_loopback(S("0.0.0.0:80")) && !socket_is_loopback(S("128.0.0.1:80")));
	CHECK(!socket_is_loopback(S("[::]:80")) && !socket_is_loopback(S("[::2]:80")));
	CHECK(!socket_is_loopback(S("[::ffff:10.0.0.1]:80")));
}

static void test_port_0_picks_a_port_that_answers(void)
{
	scoped_fd listener = -1;
	int fd = -1;

	CHECK(socket_listen(S("127.0.0.1:0"), 8, &listener) == 0);
	CHECK(fcntl(listener, F_GETFD) == FD_CLOEXEC && (fcntl(listener, F_GETFL) & O_NONBLOCK));
	int port = socket_port(listener);
	CHECK(port > 0);
	CHECK(socket_accept(listener, &fd) == -EAGAIN && fd == -1);

	const struct sockaddr_in to = loopback(port);
	scoped_fd client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(connect(client, (const struct sockaddr *)&to, sizeof(to)) == 0);
	CHECK(socket_accept(listener, &fd) == 0);
	scoped_fd server = fd;
	int on = 0;
	socklen_t len = sizeof(on);
	CHECK(getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0 && on);
	CHECK(fcntl(server, F_GETFD) == FD_CLOEXEC && (fcntl(server, F_GETFL) & O_NONBLOCK));
}

static void test_a_taken_port_is_a_fault(void)
{
	scoped_fd first = -1;
	int second = -1;
	char text[32];

	CHECK(socket_listen(S("127.0.0.1:0"), 8, &first) == 0);
	int len = snprintf(text, sizeof(text), "127.0.0.1:%d", socket_port(first));
	CHECK(socket_listen((str){ text, (size_t)len }, 8, &second) == -EADDRINUSE && second == -1);
}

static void test_what_is_no_socket_is_a_fault(void)
{
	scoped_fd null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	scoped_fd local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = -1;

	CHECK(socket_port(null) == -ENOTSOCK && socket_accept(null, &fd) == -ENOTSOCK);
	CHECK(socket_port(local) == -EAFNOSUPPORT && fd == -1);
}

/* Is this the peer of a connection to a listener on `address`? */
static void check_peer(str address, const char *want)
{
	union {
		struct sockaddr any;
		struct sockaddr_storage room;
	} name;
	socklen_t len = sizeof(name);
	char peer[SOCKET_PEER_SIZE];
	scoped_fd listener = -1, server = -1;

	CHECK(socket_listen(address, 8, &listener) == 0);
	CHECK(getsockname(listener, &name.any, &len) == 0);
	scoped_fd client = socket(name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(connect(client, &name.any, len) == 0);
	CHECK(socket_accept(listener, &server) == 0);
	CHECK(socket_peer(server, peer) == 0);
	CHECK_STR(str_of(peer), str_of(want));
}

static void test_a_peer_is_told_by_its_address(void)
{
	scoped_fd local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char peer[SOCKET_PEER_SIZE];

	check_peer(S("127.0.0.1:0"), "127.0.0.1");
	CHECK(socket_peer(local, peer) == -ENOTCONN);
}

TESTS(TEST(test_only_numeric_addresses_are_accepted),
	TEST(test_loopback_is_recognised_in_every_form),
	TEST(test_port_0_picks_a_port_that_answers), TEST(test_a_taken_port_is_a_fault),
	TEST(test_what_is_no_socket_is_a_fault), TEST(test_a_peer_is_told_by_its_address))
