/*
 * A function in C: answers {"message":"Hello from C!","event":EVENT}.
 *
 * It speaks the Lambda Runtime API itself, on one connection that stays open. The answer to an
 * event and the request for the next one leave in one write, and the platform answers both at
 * once: an invocation costs one write and one read. The event is never copied or parsed, since
 * it is valid JSON already and goes back as a part of the answer.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/uio.h>
#include <unistd.h>

#define RUNTIME "/2018-06-01/runtime/invocation/"

enum { RECEIVE_MAX = 8 * 1024 * 1024, HEAD_MAX = 1024, ID_MAX = 128 };

/* What has been received and not yet used. Pages that no event needs are never touched. */
static char received[RECEIVE_MAX];
static size_t received_len;

struct answer {
	int status;
	char id[ID_MAX]; /* of the invocation */
	const char *body;
	size_t body_len;
	size_t size; /* of all of it */
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bootstrap: %s: %s\n", what, errno ? strerror(errno) : "unexpected");
	exit(1);
}

/* The value of the header field on [line, end) when it has that name. */
static bool field_is(const char *line, const char *end, const char *name, const char **ret_value)
{
	size_t len = strlen(name);

	if ((size_t)(end - line) <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
		return false;
	for (line += len + 1; line < end && *line == ' '; line++)
		;
	*ret_value = line;
	return true;
}

static size_t parse_size(const char *at, const char *end)
{
	size_t size = 0;

	for (; at < end && *at >= '0' && *at <= '9'; at++) {
		size = size * 10 + (size_t)(*at - '0');
		if (size > RECEIVE_MAX)
			die("too large an event");
	}
	return size;
}

/* Take the answer at the start of what was received apart; false while it is not complete. */
static bool parse_answer(struct answer *answer)
{
	const char *end = memmem(received, received_len, "\r\n\r\n", 4), *value;

	*answer = (struct answer){};
	if (!end)
		return false;
	if (end - received < 12 || memcmp(received, "HTTP/1.1 ", 9) != 0)
		die("an answer that is not HTTP");
	answer->status = (int)parse_size(received + 9, received + 12);
	for (const char *line = received; line < end;) {
		const char *line_end = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
		if (field_is(line, line_end, "content-length", &value))
			answer->body_len = parse_size(value, line_end);
		else if (field_is(line, line_end, "transfer-encoding", &value))
			die("a chunked answer");
		else if (field_is(line, line_end, "lambda-runtime-aws-request-id", &value))
			snprintf(answer->id, ID_MAX, "%.*s", (int)(line_end - value), value);
		line = line_end + 2;
	}
	answer->body = end + 4;
	answer->size = (size_t)(answer->body - received) + answer->body_len;
	return received_len >= answer->size;
}

static void receive_answer(int fd, struct answer *answer)
{
	while (!parse_answer(answer)) {
		if (received_len == RECEIVE_MAX)
			die("too large an event");
		ssize_t n = read(fd, received + received_len, RECEIVE_MAX - received_len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("read");
		received_len += (size_t)n;
	}
}

static void drop_answer(const struct answer *answer)
{
	received_len -= answer->size;
	memmove(received, received + answer->size, received_len);
}

static void send_all(int fd, struct iovec *parts, int count)
{
	while (count > 0) {
		ssize_t n = writev(fd, parts, count);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("write");
		for (; count > 0 && (size_t)n >= parts->iov_len; parts++, count--)
			n -= (ssize_t)parts->iov_len;
		if (count > 0) {
			parts->iov_base = (char *)parts->iov_base + n;
			parts->iov_len -= (size_t)n;
		}
	}
}

static struct iovec part(const char *at, size_t len)
{
	return (struct iovec){ (char *)at, len };
}

/* Answer the event, and ask for the next one behind it. */
static void respond(int fd, const struct answer *event, const char *host, const char *next)
{
	static const char before[] = "{\"message\":\"Hello from C!\",\"event\":", after[] = "}";
	size_t body_len = sizeof(before) - 1 + event->body_len + sizeof(after) - 1;
	char head[HEAD_MAX];
	int len = snprintf(head, sizeof(head),
		"POST " RUNTIME "%s/response HTTP/1.1\r\nHost: %s\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		event->id, host, body_len);

	if (len < 0 || (size_t)len >= sizeof(head))
		die("too long a head");
	struct iovec parts[] = {
		part(head, (size_t)len),
		part(before, sizeof(before) - 1),
		part(event->body, event->body_len),
		part(after, sizeof(after) - 1),
		part(next, strlen(next)),
	};
	send_all(fd, parts, (int)(sizeof(parts) / sizeof(parts[0])));
}

/* Connect to ADDRESS:PORT. */
static int connect_to(const char *host)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	const char *colon = strrchr(host, ':');
	char address[INET_ADDRSTRLEN] = "";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (colon && (size_t)(colon - host) < sizeof(address))
		memcpy(address, host, (size_t)(colon - host));
	if (fd < 0 || !colon || inet_pton(AF_INET, address, &to.sin_addr) != 1)
		die("AWS_LAMBDA_RUNTIME_API");
	to.sin_port = htons((in_port_t)parse_size(colon + 1, colon + strlen(colon)));
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

int main(void)
{
	const char *host = getenv("AWS_LAMBDA_RUNTIME_API");
	char next[HEAD_MAX];
	struct answer answer;

	if (!host)
		die("AWS_LAMBDA_RUNTIME_API is not set");
	int fd = connect_to(host);
	int len = snprintf(
		next, sizeof(next), "GET " RUNTIME "next HTTP/1.1\r\nHost: %s\r\n\r\n", host);
	struct iovec ask = part(next, (size_t)len);

	send_all(fd, &ask, 1);
	for (;;) {
		receive_answer(fd, &answer);
		if (answer.status != 200 || !answer.id[0])
			die("no event");
		respond(fd, &answer, host, next);
		drop_answer(&answer);
		/* Whatever it says about the response, that invocation is over. */
		receive_answer(fd, &answer);
		drop_answer(&answer);
	}
}
