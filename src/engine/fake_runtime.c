/* A runtime as far as the router can see one: HTTP on sockets. */
#include "engine/fake_runtime.h"

#include "base/attr.h"
#include "base/mem.h"
#include "os/fd.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char fake_next_text[] = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";

void fake_connect(
	struct fake_node *node, const struct fake_sandbox *sandbox, struct fake_peer *peer)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)sandbox->api_port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	*peer = (struct fake_peer){ .node = node };
	buf_init(&peer->in, 32 * MIB);
	peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = connect(peer->fd, (struct sockaddr *)&to, sizeof(to));
	assert(r == 0);
	setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	r = fd_set_nonblock(peer->fd, true);
	assert(r == 0);
}

void fake_hang_up(struct fake_peer *peer)
{
	fd_close(&peer->fd);
	buf_done(&peer->in);
}

struct sending {
	struct fake_peer *peer;
	str rest;
};

static bool is_sent(void *context)
{
	struct sending *sending = context;

	ssize_t n = send(sending->peer->fd, sending->rest.at, sending->rest.len, MSG_NOSIGNAL);
	if (n < 0)
		return errno != EAGAIN; /* the router has closed: it will not take more */
	sending->rest = str_from(sending->rest, (size_t)n);
	return sending->rest.len == 0;
}

void fake_send(struct fake_peer *peer, str bytes)
{
	struct sending sending = { peer, bytes };

	if (!is_sent(&sending))
		fake_until(peer->node, is_sent, &sending);
}

void fake_send_request(
	struct fake_peer *peer, const char *start, const char *fields, str body, str more)
{
	int countdown = fault_countdown;
	struct buf all;

	fault_countdown = 0;
	buf_init(&all, 32 * MIB);
	buf_putf(&all, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s\r\n", start, body.len,
		fields);
	buf_put(&all, body);
	buf_put(&all, more);
	assert(!all.err);
	fault_countdown = countdown;
	fake_send(peer, buf_str(&all));
	buf_done(&all);
}

void fake_next(struct fake_peer *peer)
{
	fake_send(peer, str_of(fake_next_text));
}

void fake_respond(
	struct fake_peer *peer, const char *request_id, const char *body, const char *more)
{
	char start[128];

	snprintf(start, sizeof(start), "POST /2018-06-01/runtime/invocation/%s/response",
		request_id);
	fake_send_request(peer, start, "", str_of(body), str_of(more));
}

/* Read what is there, once. */
static void read_some(struct fake_peer *peer)
{
	int countdown = fault_countdown;
	char bytes[64 * 1024];

	fault_countdown = 0;
	ssize_t n = recv(peer->fd, bytes, sizeof(bytes), 0);
	if (n > 0) {
		peer->reads++;
		buf_put(&peer->in, (str){ bytes, (size_t)n });
	}
	if (n == 0 || (n < 0 && errno != EAGAIN))
		peer->is_closed = true;
	fault_countdown = countdown;
}

/* The length of the first reply that was not taken, or 0 when it is not whole. */
static size_t reply_len(const struct fake_peer *peer, struct fake_reply *ret_reply)
{
	str rest = str_from(buf_str(&peer->in), peer->used);
	ptrdiff_t end = str_find_str(rest, S("\r\n\r\n"));
	uint64_t status, len = 0;

	if (end < 0)
		return 0;
	struct fake_reply reply = { .head = str_slice(rest, 0, (size_t)end + 2) };
	int r = str_to_u64(str_slice(rest, 9, 12), 999, &status);
	assert(r == 0);
	str length = fake_field(&reply, "Content-Length");
	r = length.at ? str_to_u64(length, 32 * MIB, &len) : 0;
	assert(r == 0);
	size_t total = (size_t)end + 4 + (size_t)len;
	if (total > rest.len)
		return 0;
	reply.status = (int)status;
	reply.body = str_slice(rest, (size_t)end + 4, total);
	*ret_reply = reply;
	return total;
}

static bool has_reply(void *context)
{
	struct fake_peer *peer = context;
	struct fake_reply reply;

	if (reply_len(peer, &reply))
		return true;
	read_some(peer);
	return reply_len(peer, &reply) || peer->is_closed;
}

struct fake_reply fake_receive(struct fake_peer *peer)
{
	struct fake_reply reply = {};

	fake_until(peer->node, has_reply, peer);
	peer->used += reply_len(peer, &reply);
	return reply;
}

static bool is_closed(void *context)
{
	struct fake_peer *peer = context;

	read_some(peer);
	return peer->is_closed;
}

void fake_await_close(struct fake_peer *peer)
{
	fake_until(peer->node, is_closed, peer);
}

bool fake_is_silent(struct fake_peer *peer)
{
	fake_turn(peer->node);
	read_some(peer);
	return peer->in.len == peer->used && !peer->is_closed;
}

str fake_field(const struct fake_reply *reply, const char *name)
{
	str rest = reply->head, line, key;

	while (str_next(&rest, '\n', &line)) {
		if (str_cut(&line, ':', &key) && str_eq_fold(key, str_of(name)))
			return str_trim(
				str_ends(line, S("\r")) ? str_slice(line, 0, line.len - 1) : line);
	}
	return (str){};
}

str fake_receive_event(struct fake_peer *peer, const char *request_id)
{
	struct fake_reply reply = fake_receive(peer);

	CHECK(reply.status == 200);
	CHECK_STR(fake_field(&reply, "Lambda-Runtime-Aws-Request-Id"), str_of(request_id));
	return reply.body;
}

void fake_boot(struct fake_node *node, struct fake_sandbox *sandbox, struct fake_peer *peer)
{
	fake_spawn(node, sandbox);
	fake_connect(node, sandbox, peer);
	fake_next(peer);
}

void fake_serve(struct fake_peer *peer, const struct fake_call *call, const char *body)
{
	(void)fake_receive_event(peer, call->request_id);
	fake_respond(peer, call->request_id, body, NULL);
	CHECK(fake_receive(peer).status == 202);
	fake_next(peer);
}

static bool is_idle(void *context)
{
	struct engine_counters counters;
	struct fake_node *node = context;

	engine_counters(node->engine, &counters);
	return counters.busy == 0;
}

void fake_warm(struct fake_node *node, const char *name, struct fake_sandbox *sandbox,
	struct fake_peer *peer)
{
	struct fake_call call;

	fake_invoke_name(node, name, &call);
	fake_boot(node, sandbox, peer);
	fake_serve(peer, &call, "1");
	fake_await(node, &call);
	CHECK(call.outcome == INVOKE_DONE && !call.is_error);
	fake_until(node, is_idle, node);
	fake_call_done(&call);
}
