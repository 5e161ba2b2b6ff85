/*
 * Listening, time, and the pools.
 *
 * Time: a connection is in exactly one list, the one of its state's kind of deadline, in the order
 * in which it came there; all of one list have the same bound. So one coarse timer that looks at
 * the fronts of a few lists serves any number of connections, and arming costs no system call. The
 * timer sleeps when nothing has a deadline.
 *
 * Accepting pauses at the cap (resumed by the next connection that is freed) and when descriptors
 * or memory are out (resumed by the sweep): level-triggered readiness would spin otherwise.
 *
 * Pools: an idle connection holds no buffer. What it needs while a request is there comes from
 * here and goes back with the reply, so that the hot path does not allocate.
 */
#include "http/conn.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/socket.h"
#include "wire/timestamp.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>

enum {
	SERVER_ACCEPT_BATCH = 16, /* connections accepted before others have their turn */
	SERVER_SPARE_EXCHANGES = 64,
	SERVER_SWEEP_MS_MAX = 1000,
	SERVER_SWEEP_MS_MIN = 5,
	SERVER_DRAIN_IDLE_MS = 250,
	SERVER_DRAIN_REQUEST_MS = 5000, /* and a handshake, which a request follows */
};

int server_take_input(struct http_server *server, struct buf *in)
{
	assert(!in->at);
	if (server->spare_input_count > 0) {
		*in = server->spare_inputs[--server->spare_input_count];
		return 0;
	}
	buf_init(in, SIZE_MAX);
	int r = buf_reserve(in, CONN_IN_SIZE);
	if (r < 0) {
		buf_done(in);
		return err_raise(r);
	}
	return 0;
}

void server_give_input(struct http_server *server, struct buf *in)
{
	bool is_pooled = in->size == CONN_IN_SIZE &&
		server->spare_input_count < ARRAY_LEN(server->spare_inputs);

	if (!in->at || !is_pooled) {
		buf_done(in);
		return;
	}
	buf_clear(in);
	server->spare_inputs[server->spare_input_count++] = *in;
	buf_init(in, SIZE_MAX);
}

struct http_exchange *server_take_exchange(struct http_server *server)
{
	struct http_exchange *exchange = server->spare_exchanges;

	if (exchange) {
		server->spare_exchanges = exchange->next_spare;
		server->spare_exchange_count--;
	} else {
		exchange = mem_one(struct http_exchange);
		if (!exchange)
			return NULL;
		buf_init(&exchange->trailers, SIZE_MAX); /* bounded by the decoder of chunks */
	}
	/* Not the head: it is large, and the parser writes it. */
	exchange->next_spare = NULL;
	exchange->head_len = exchange->in_memory = 0;
	exchange->body_max = exchange->memory_max = exchange->spooled = 0;
	exchange->refusal = 0;
	exchange->is_streamed = exchange->is_paused = false;
	exchange->chunks = (struct http_chunks){};
	exchange->request.body = exchange->request.trailers = (str){};
	exchange->request.body_fd = -1;
	exchange->request.body_len = 0;
	return exchange;
}

void server_give_exchange(struct http_server *server, struct http_exchange *exchange)
{
	if (!exchange)
		return;
	fd_close(&exchange->request.body_fd);
	buf_done(&exchange->trailers); /* rarely there */
	if (server->spare_exchange_count == SERVER_SPARE_EXCHANGES) {
		mem_free(exchange);
		return;
	}
	exchange->next_spare = server->spare_exchanges;
	server->spare_exchanges = exchange;
	server->spare_exchange_count++;
}

void http_server_give(struct http_server *server, const struct http_server_ops *ops, void *context)
{
	server->options.ops = ops;
	server->options.context = context;
}

str server_date(struct http_server *server)
{
	uint64_t now_s = clock_real_ms() / 1000;

	if (now_s != server->date_s || server->date.len == 0) {
		server->date_s = now_s;
		buf_clear(&server->date);
		timestamp_put_http(&server->date, now_s * 1000);
	}
	return buf_str(&server->date);
}

/* Accept, or not: the one place that decides. */
static void server_watch_listener(struct http_server *server)
{
	bool wanted = !server->is_draining && !server->is_accept_failing &&
		server->conns < server->options.conns_max;

	int r = watch_set(server->watch, wanted ? WATCH_READ : 0);
	if (r < 0)
		err_log(r, "watch the listener");
}

static void server_on_acceptable(void *context, unsigned events)
{
	struct http_server *server = context;

	(void)events;
	for (int i = 0; i < SERVER_ACCEPT_BATCH && server->conns < server->options.conns_max; i++) {
		int fd;
		int r = socket_accept(server->options.listener, &fd);
		if (r == -EAGAIN)
			break;
		if (r == 0)
			r = err_pass(conn_new(server, fd));
		if (r < 0) {
			if (r != -ESHUTDOWN) /* a sandbox that has ended: the news is on its way */
				err_log(r, "accept a connection");
			server->is_accept_failing = true;
			server_arm(server);
			break;
		}
	}
	server_watch_listener(server);
}

void server_on_conn_freed(struct http_server *server)
{
	assert(server->conns > 0);
	if (server->conns-- >= server->options.conns_max && server->watch)
		server_watch_listener(server);
}

/* The front of the list while its time is over; entering another state takes it out. */
static void server_sweep_list(struct http_server *server, enum conn_time kind)
{
	uint64_t now_ms = loop_now_ms(server->options.loop);

	while (!list_empty(&server->lists[kind])) {
		struct http_conn *conn = list_entry(
			list_first(&server->lists[kind]), struct http_conn, link);
		if (now_ms - conn->since_ms < server->time_max[kind])
			return;
		conn_on_timeout(conn);
		assert(list_first(&server->lists[kind]) != &conn->link);
	}
}

static void server_on_sweep(void *context)
{
	struct http_server *server = context;
	bool is_needed = false;

	server->is_sweep_armed = false;
	for (int kind = 0; kind < TIME_KINDS; kind++) {
		if (server->time_max[kind] == 0)
			continue;
		server_sweep_list(server, (enum conn_time)kind);
		is_needed = is_needed || !list_empty(&server->lists[kind]);
	}
	if (server->is_accept_failing) {
		server->is_accept_failing = false;
		server_watch_listener(server);
	}
	if (is_needed)
		server_arm(server);
}

void server_arm(struct http_server *server)
{
	if (server->is_sweep_armed)
		return;
	server->is_sweep_armed = true;
	timer_set(server->sweep, server->sweep_ms);
}

/* Each bound, and a sweep so often that none is missed by more than the half of it. */
static void server_set_times(struct http_server *server)
{
	server->time_max[TIME_IDLE] = server->options.idle_ms;
	server->time_max[TIME_HANDSHAKE] = server->options.handshake_ms;
	server->time_max[TIME_REQUEST] = server->options.request_ms;
	server->time_max[TIME_SEND] = CONN_SEND_STALL_MS;
	server->time_max[TIME_LINGER] = CONN_LINGER_MS;
	server->sweep_ms = SERVER_SWEEP_MS_MAX;
	for (int kind = 0; kind < TIME_KINDS; kind++) {
		if (server->time_max[kind] > 0)
			server->sweep_ms = MIN(server->sweep_ms, server->time_max[kind] / 2);
	}
	server->sweep_ms = MAX(server->sweep_ms, (uint64_t)SERVER_SWEEP_MS_MIN);
}

/* What needs the loop: 0 or a fault. */
static int server_start(struct http_server *server)
{
	struct loop *loop = server->options.loop;

	int r = timer_new(loop, server_on_sweep, server, &server->sweep);
	if (r < 0)
		return err_pass(r);
	return err_pass(watch_new(loop, server->options.listener, WATCH_READ, server_on_acceptable,
		server, &server->watch));
}

int http_server_new(const struct http_server_options *options, struct http_server **ret_server)
{
	assert(options->loop && options->listener >= 0 && options->conns_max > 0);
	assert(options->ops->on_head && options->ops->on_request && options->ops->on_gone);
	struct http_server *server = mem_one(struct http_server);
	if (!server)
		return err_raise(-ENOMEM);
	server->options = *options;
	for (int kind = 0; kind < TIME_KINDS; kind++)
		list_init(&server->lists[kind]);
	buf_init(&server->date, 64);
	(void)signal(SIGPIPE, SIG_IGN); /* sendfile(2) has no MSG_NOSIGNAL */
	server_set_times(server);
	int r = server_start(server);
	if (r < 0) {
		server->options.listener = -1; /* the caller's still */
		http_server_free(server);
		return err_pass(r);
	}

	*ret_server = server;
	return 0;
}

static void server_free_pools(struct http_server *server)
{
	while (server->spare_input_count > 0)
		buf_done(&server->spare_inputs[--server->spare_input_count]);
	while (server->spare_exchanges) {
		struct http_exchange *exchange = server->spare_exchanges;
		server->spare_exchanges = exchange->next_spare;
		mem_free(exchange);
	}
	buf_done(&server->date);
}

void http_server_free(struct http_server *server)
{
	if (!server)
		return;
	watch_free(server->watch);
	server->watch = NULL;
	fd_close(&server->options.listener);
	while (server->conns > 0) { /* on_gone may move others from list to list */
		for (int kind = 0; kind < TIME_KINDS; kind++) {
			struct list *link = list_first(&server->lists[kind]);
			if (link)
				conn_free(list_entry(link, struct http_conn, link));
		}
	}
	timer_free(server->sweep);
	server_free_pools(server);
	mem_free(server);
}

/* No longer than this from now on. */
static void server_bound(struct http_server *server, enum conn_time kind, uint64_t most_ms)
{
	uint64_t *max = &server->time_max[kind];

	*max = *max ? MIN(*max, most_ms) : most_ms;
}

void http_server_drain(struct http_server *server)
{
	server->is_draining = true;
	server_watch_listener(server);
	server_bound(server, TIME_IDLE, SERVER_DRAIN_IDLE_MS);
	server_bound(server, TIME_HANDSHAKE, SERVER_DRAIN_REQUEST_MS);
	server_bound(server, TIME_REQUEST, SERVER_DRAIN_REQUEST_MS);
	server->sweep_ms = MIN(server->sweep_ms, SERVER_DRAIN_IDLE_MS / 2);
	server->is_sweep_armed = true;
	timer_set(server->sweep, server->sweep_ms);
}

/* Those who linger have had their answer. */
bool http_server_is_quiet(const struct http_server *server)
{
	return list_empty(&server->lists[TIME_IDLE]) &&
		list_empty(&server->lists[TIME_HANDSHAKE]) &&
		list_empty(&server->lists[TIME_REQUEST]) && list_empty(&server->lists[TIME_OPEN]) &&
		list_empty(&server->lists[TIME_SEND]);
}

void http_server_set_conns_max(struct http_server *server, unsigned conns_max)
{
	assert(conns_max > 0);
	server->options.conns_max = conns_max;
	server_watch_listener(server);
}

unsigned http_server_conns(const struct http_server *server)
{
	return server->conns;
}

unsigned http_server_open_requests(const struct http_server *server)
{
	return server->open;
}
