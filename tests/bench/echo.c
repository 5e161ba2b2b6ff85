/*
 * The limit: an HTTP/1.1 server that answers every request with its own body, in one process and
 * one thread, with nothing between the socket and the answer. The other servers of the benchmark
 * are measured against it, or proxy to it.
 *
 *     echo PORT
 *
 * It understands what the load generator and nginx send, keep-alive and pipelined, and no more:
 * heads without folding, bodies with Content-Length, both together at most 64 KB.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONN_SIZE = 64 * 1024, EVENTS_MAX = 64, BACKLOG = 512 };

struct conn {
	int fd;
	size_t len;
	char in[CONN_SIZE];
	char out[2 * CONN_SIZE];
};

static size_t body_len(const char *head, size_t len)
{
	static const char name[] = "content-length:";
	for (size_t i = 0; i + sizeof(name) < len; i++) {
		if (head[i] == '\n' && strncasecmp(head + i + 1, name, sizeof(name) - 1) == 0)
			return strtoul(head + i + sizeof(name), NULL, 10);
	}
	return 0;
}

/* Answer all requests that have come whole; false when the connection is of no use. */
static bool conn_answer(struct conn *conn)
{
	size_t at = 0;
	size_t out = 0;

	for (;;) {
		const char *head = conn->in + at;
		const char *end = memmem(head, conn->len - at, "\r\n\r\n", 4);
		if (!end)
			break;
		size_t head_len = (size_t)(end - head) + 4;
		size_t body = body_len(head, head_len);
		if (body > CONN_SIZE || at + head_len + body > conn->len)
			break;
		if (out + body + 128 > sizeof(conn->out))
			break;
		out += (size_t)snprintf(conn->out + out, 128,
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
			body);
		memmove(conn->out + out, head + head_len, body);
		out += body;
		at += head_len + body;
	}
	memmove(conn->in, conn->in + at, conn->len - at);
	conn->len -= at;
	/* Answers are far smaller than the socket's buffer: a short write means that the peer is gone. */
	return out == 0 || write(conn->fd, conn->out, out) == (ssize_t)out;
}

static bool conn_read(struct conn *conn)
{
	ssize_t got = read(conn->fd, conn->in + conn->len, sizeof(conn->in) - conn->len);
	if (got < 0 && errno == EAGAIN)
		return true;
	if (got <= 0)
		return false;
	conn->len += (size_t)got;
	return conn_answer(conn);
}

static void conn_open(int epoll, int listener)
{
	int on = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct conn *conn = fd < 0 ? NULL : calloc(1, sizeof(*conn));
	if (!conn) {
		if (fd >= 0)
			close(fd);
		return;
	}
	conn->fd = fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int listen_on(const char *port)
{
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((in_port_t)strtoul(port, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0) {
		perror("echo");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_MAX];

	if (argc != 2) {
		fputs("usage: echo PORT\n", stderr);
		return 2;
	}
	int listener = listen_on(argv[1]);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
		for (int i = 0; i < count; i++) {
			struct conn *conn = events[i].data.ptr;
			if (!conn) {
				conn_open(epoll, listener);
			} else if (!conn_read(conn)) {
				close(conn->fd);
				free(conn);
			}
		}
	}
}
