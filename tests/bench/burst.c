/*
 * burst PORT CONNECTIONS PATH…: open the connections, then send one POST on each at the same moment, to the paths in
 * turn, and wait for all answers. One line: requests, good answers, microseconds to the first answer, to the median
 * one, to the 99th of a hundred, to the last.
 *
 * burst PORT CONNECTIONS -COUNT NAME_FORMAT does it for COUNT functions named by a format with one %d.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TIMEOUT_MS = 60'000, ANSWER_MAX = 4096, REQUEST_MAX = 512 };

struct call {
	int fd;
	size_t len;
	int64_t took_us; /* -1: not answered */
	int is_good;
	char answer[ANSWER_MAX + 1];
};

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int open_connection(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int on = 1;

	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		fail("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* Whole when the header is there, and the content that it announces. */
static int is_whole(const struct call *call)
{
	const char *end = strstr(call->answer, "\r\n\r\n");
	const char *length = strcasestr(call->answer, "\r\nContent-Length:");

	return end && length && length < end &&
		call->len >= (size_t)(end + 4 - call->answer) + strtoul(length + 17, NULL, 10);
}

static int take(struct call *call, int64_t began)
{
	ssize_t len = read(call->fd, call->answer + call->len, ANSWER_MAX - call->len);

	if (len > 0) {
		call->len += (size_t)len;
		call->answer[call->len] = '\0';
		if (!is_whole(call) && call->len < ANSWER_MAX)
			return 0;
	}
	call->took_us = now_us() - began;
	call->is_good = len > 0 && strncmp(call->answer, "HTTP/1.1 200", 12) == 0 &&
		!strcasestr(call->answer, "X-Amz-Function-Error");
	return 1;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void tell(const struct call *calls, int count)
{
	int64_t *took = calloc((size_t)count, sizeof(*took));
	int good = 0, answered = 0;

	if (!took)
		fail("calloc");
	for (int i = 0; i < count; i++) {
		good += calls[i].is_good;
		if (calls[i].took_us >= 0)
			took[answered++] = calls[i].took_us;
	}
	qsort(took, (size_t)answered, sizeof(*took), compare);
	if (!answered)
		fail("no answers");
	printf("BURST %d %d %lld %lld %lld %lld\n", count, good, (long long)took[0],
		(long long)took[answered / 2], (long long)took[answered * 99 / 100],
		(long long)took[answered - 1]);
	free(took);
}

static void send_all(struct call *calls, int count, int argc, char **argv)
{
	static const char body[] = "{\"name\":\"x\"}";
	char path[256], request[REQUEST_MAX];

	for (int i = 0; i < count; i++) {
		if (argv[3][0] == '-')
			snprintf(path, sizeof(path), argv[4], i % atoi(argv[3] + 1));
		else
			snprintf(path, sizeof(path), "%s", argv[3 + i % (argc - 3)]);
		int len = snprintf(request, sizeof(request),
			"POST /2015-03-31/functions/%s/invocations HTTP/1.1\r\nHost: x\r\n"
			"Content-Length: %zu\r\n\r\n%s",
			path, sizeof(body) - 1, body);
		if (write(calls[i].fd, request, (size_t)len) != len)
			fail("write");
	}
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	int port = atoi(argv[1]), count = atoi(argv[2]), left = count;
	struct rlimit files = { 65'536, 65'536 };
	struct call *calls = calloc((size_t)count, sizeof(*calls));
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	(void)setrlimit(RLIMIT_NOFILE, &files);
	if (!calls || epoll < 0)
		fail("start");
	for (int i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = (uint32_t)i };
		calls[i].fd = open_connection(port);
		calls[i].took_us = -1;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, calls[i].fd, &event) < 0)
			fail("epoll_ctl");
	}
	int64_t began = now_us();
	send_all(calls, count, argc, argv);
	while (left > 0 && now_us() - began < TIMEOUT_MS * 1000LL) {
		struct epoll_event events[64];
		int ready = epoll_wait(epoll, events, 64, 1000);
		for (int i = 0; i < ready; i++) {
			struct call *call = &calls[events[i].data.u32];
			if (call->took_us >= 0 || !take(call, began))
				continue;
			(void)epoll_ctl(epoll, EPOLL_CTL_DEL, call->fd, NULL);
			left--;
		}
	}
	tell(calls, count);
	return 0;
}
