/*
 * A `provided` function that answers with its event: the Runtime API at the least cost that a
 * program can have. The response and the next `next` go out in one write on one connection.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 256 * 1024, ID_MAX = 64 };

#define NEXT "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: localhost\r\n\r\n"

static char in[ROOM];
static size_t in_len;
static int api;

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void connect_api(void)
{
	char host[64] = "";
	int on = 1;
	const char *address = getenv("AWS_LAMBDA_RUNTIME_API");
	const char *colon = address ? strchr(address, ':') : NULL;
	struct sockaddr_in peer = { .sin_family = AF_INET };

	if (!colon || (size_t)(colon - address) >= sizeof(host))
		fail("AWS_LAMBDA_RUNTIME_API");
	memcpy(host, address, (size_t)(colon - address));
	peer.sin_port = htons((in_port_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, host, &peer.sin_addr) != 1)
		fail(host);
	api = socket(AF_INET, SOCK_STREAM, 0);
	if (api < 0 || connect(api, (struct sockaddr *)&peer, sizeof(peer)) < 0)
		fail("connect");
	setsockopt(api, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void send_all(const char *at, size_t len)
{
	while (len > 0) {
		ssize_t sent = write(api, at, len);
		if (sent <= 0)
			fail("write");
		at += sent;
		len -= (size_t)sent;
	}
}

static void receive_more(void)
{
	ssize_t got = in_len < sizeof(in) ? read(api, in + in_len, sizeof(in) - in_len) : 0;
	if (got <= 0)
		fail("read");
	in_len += (size_t)got;
}

/* The value of a header field in the head at the start of `in`; NULL when it is not there. */
static const char *field(const char *name, size_t head_len)
{
	size_t len = strlen(name);
	for (size_t i = 0; i + len < head_len; i++) {
		if (in[i] == '\n' && strncasecmp(in + i + 1, name, len) == 0)
			return in + i + 1 + len + strspn(in + i + 1 + len, " ");
	}
	return NULL;
}

/* Wait for one whole response: *head_len and *body_len say where its parts are in `in`. */
static void receive_response(size_t *head_len, size_t *body_len)
{
	const char *end;
	while (!(end = memmem(in, in_len, "\r\n\r\n", 4)))
		receive_more();
	*head_len = (size_t)(end - in) + 4;
	const char *length = field("content-length:", *head_len);
	*body_len = length ? strtoul(length, NULL, 10) : 0;
	while (in_len < *head_len + *body_len)
		receive_more();
}

static void drop(size_t len)
{
	memmove(in, in + len, in_len - len);
	in_len -= len;
}

int main(void)
{
	static char out[ROOM + 1024];
	char id[ID_MAX];
	size_t head, body;

	connect_api();
	send_all(NEXT, sizeof(NEXT) - 1);
	for (;;) {
		receive_response(&head, &body);
		const char *request = field("lambda-runtime-aws-request-id:", head);
		if (!request || sscanf(request, "%63[0-9a-f-]", id) != 1)
			fail("no request id");
		int len = snprintf(out, 512,
			"POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: localhost\r\n"
			"Content-Length: %zu\r\n\r\n",
			id, body);
		memcpy(out + len, in + head, body);
		memcpy(out + (size_t)len + body, NEXT, sizeof(NEXT) - 1);
		send_all(out, (size_t)len + body + sizeof(NEXT) - 1);
		drop(head + body);
		receive_response(&head, &body); /* 202 */
		drop(head + body);
	}
}
