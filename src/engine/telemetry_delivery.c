/*
 * A batch goes to its extension by POST, or as lines, over a connection that the guard makes in its network and passes on.
 *
 *	RESTING ─► ASKED ─► SENDING ─► RECEIVING ─► RESTING
 *	              └─────────┴───────────┴─────► FAILED ─► ASKED …
 *
 * One delivery a subscriber at a time; the next batch is put together meanwhile. What listens at the other end is a
 * function: it may refuse (its server is not up yet: it is tried again), stand still (that takes its bound of time) or
 * answer nonsense. The socket was made by somebody with a function's identity, who may have kept a copy: so it is looked
 * at, and no call on it waits, whatever its flags are.
 */
#include "base/attr.h"
#include "base/err.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/extension_host.h"
#include "engine/guard.h"
#include "engine/telemetry.h"
#include "os/clock.h"
#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TRY_MS = 100,	      /* before it is tried again */
	TRIES_MAX = 50,	      /* then the batch is dropped */
	DELIVERY_MS = 10'000, /* for the whole of one try */
	DROPPED_SIZE = 512,
};

void telemetry_hang_up(struct telemetry_subscriber *subscriber)
{
	watch_free(subscriber->watch);
	subscriber->watch = NULL;
	fd_close(&subscriber->fd);
}

/* --- what to send --- */

/* The events that there was no room for. */
static void put_dropped(struct telemetry_subscriber *subscriber)
{
	char text[DROPPED_SIZE];
	struct buf event;

	if (!subscriber->dropped_records)
		return;
	buf_init_over(&event, text, sizeof(text));
	log_put_dropped(&event, &subscriber->telemetry->version, subscriber->dropped_records,
		subscriber->dropped_bytes, clock_real_ms());
	subscriber->dropped_records = subscriber->dropped_bytes = 0;
	if (subscriber->batch.len)
		buf_put_char(&subscriber->batch, subscriber->wish.is_tcp ? '\n' : ',');
	buf_put(&subscriber->batch, str_slice(buf_str(&event), 0, event.len - 1));
	subscriber->items++;
}

/* As an array, in a request. */
static void put_http(const struct telemetry_subscriber *subscriber, struct buf *out)
{
	buf_putf(out,
		"%s %s HTTP/1.1\r\nHost: %s:%u\r\nContent-Type: application/json\r\n"
		"Connection: close\r\nContent-Length: %zu\r\n\r\n[",
		subscriber->wish.is_put ? "PUT" : "POST", subscriber->wish.path,
		subscriber->wish.host, subscriber->wish.port, subscriber->batch.len + 2);
	buf_put(out, buf_str(&subscriber->batch));
	buf_put_char(out, ']');
}

static void make_request(struct telemetry_subscriber *subscriber)
{
	struct buf *out = &subscriber->out;

	put_dropped(subscriber);
	buf_clear(out);
	if (subscriber->wish.is_tcp) {
		buf_put(out, buf_str(&subscriber->batch));
		buf_put_char(out, '\n');
	} else {
		put_http(subscriber, out);
	}
	subscriber->out_items = subscriber->items;
	subscriber->items = 0;
	subscriber->tries = 0;
	buf_clear(&subscriber->batch);
}

static void delivery_ask(struct telemetry_subscriber *subscriber)
{
	struct telemetry *telemetry = subscriber->telemetry;

	telemetry_hang_up(subscriber);
	subscriber->state = DELIVERY_ASKED;
	subscriber->sent = subscriber->answer_len = 0;
	timer_set(subscriber->timer, DELIVERY_MS);
	guard_ask(telemetry->env->host->guard, GUARD_CONNECT, GUARD_RUNTIME, subscriber->wish.port,
		(uint64_t)(subscriber - telemetry->list));
}

/* --- when --- */

static bool is_due(const struct telemetry_subscriber *subscriber)
{
	return subscriber->items >= subscriber->wish.items_max ||
		subscriber->batch.len >= subscriber->wish.bytes_max;
}

void telemetry_wake(struct telemetry_subscriber *subscriber, bool is_urgent)
{
	if (subscriber->state != DELIVERY_RESTING || !subscriber->items)
		return;
	if (!is_urgent && !is_due(subscriber)) {
		if (subscriber->items == 1)
			timer_set(subscriber->timer, subscriber->wish.timeout_ms);
		return;
	}
	make_request(subscriber);
	if (subscriber->out.err) { /* out of memory: it is lost */
		buf_done(&subscriber->out);
		return;
	}
	delivery_ask(subscriber);
}

void telemetry_flush(struct environment *env)
{
	struct telemetry *telemetry = env->host ? env->host->telemetry : NULL;

	for (int i = 0; telemetry && i < TELEMETRY_SUBSCRIBERS_MAX; i++)
		if (telemetry->list[i].extension)
			telemetry_wake(&telemetry->list[i], true);
}

/* It is over, well or not: on with what has come meanwhile. */
static void delivery_end(struct telemetry_subscriber *subscriber)
{
	telemetry_hang_up(subscriber);
	timer_clear(subscriber->timer);
	buf_done(&subscriber->out);
	subscriber->state = DELIVERY_RESTING;
	if (subscriber->items)
		timer_set(subscriber->timer, is_due(subscriber) ? 0 : subscriber->wish.timeout_ms);
}

static void delivery_fail(struct telemetry_subscriber *subscriber)
{
	telemetry_hang_up(subscriber);
	if (++subscriber->tries >= TRIES_MAX) {
		subscriber->dropped_records += subscriber->out_items;
		subscriber->dropped_bytes += subscriber->out.len;
		delivery_end(subscriber);
		return;
	}
	subscriber->state = DELIVERY_FAILED;
	timer_set(subscriber->timer, TRY_MS);
}

void telemetry_on_time(void *context)
{
	struct telemetry_subscriber *subscriber = context;

	if (subscriber->state == DELIVERY_RESTING)
		telemetry_wake(subscriber, true);
	else if (subscriber->state == DELIVERY_FAILED)
		delivery_ask(subscriber);
	else
		delivery_fail(subscriber);
}

/* --- over the connection --- */

static void delivery_send(struct telemetry_subscriber *subscriber)
{
	str rest = str_from(buf_str(&subscriber->out), subscriber->sent);

	ssize_t n = send(subscriber->fd, rest.at, rest.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN))
		return;
	if (n < 0) {
		delivery_fail(subscriber);
		return;
	}
	subscriber->sent += (size_t)n;
	if (subscriber->sent < subscriber->out.len)
		return;
	if (subscriber->wish.is_tcp) { /* nobody says that he has it */
		delivery_end(subscriber);
		return;
	}
	subscriber->state = DELIVERY_RECEIVING;
	if (watch_set(subscriber->watch, WATCH_READ) < 0)
		delivery_fail(subscriber);
}

/* "HTTP/1.1 200": no more of it matters. */
static void delivery_receive(struct telemetry_subscriber *subscriber)
{
	const size_t wanted = strlen("HTTP/1.1 200");

	ssize_t n = recv(subscriber->fd, subscriber->answer + subscriber->answer_len,
		wanted - subscriber->answer_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		subscriber->answer_len += (size_t)n;
	if (n > 0 && subscriber->answer_len < wanted)
		return;
	if (subscriber->answer_len == wanted &&
		str_starts((str){ subscriber->answer, wanted }, S("HTTP/1.")) &&
		subscriber->answer[wanted - 3] == '2')
		delivery_end(subscriber);
	else
		delivery_fail(subscriber);
}

static void delivery_on_ready(void *context, unsigned events)
{
	struct telemetry_subscriber *subscriber = context;

	(void)events;
	if (subscriber->state == DELIVERY_SENDING)
		delivery_send(subscriber);
	else if (subscriber->state == DELIVERY_RECEIVING)
		delivery_receive(subscriber);
}

static bool is_tcp(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_INET &&
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

void telemetry_on_connected(struct telemetry *telemetry, uint64_t ticket, int fd)
{
	scoped_fd connection = fd;

	if (ticket >= TELEMETRY_SUBSCRIBERS_MAX || telemetry->list[ticket].state != DELIVERY_ASKED)
		return;
	struct telemetry_subscriber *subscriber = &telemetry->list[ticket];

	if (connection < 0 || !is_tcp(connection) || fd_set_nonblock(connection, true) < 0) {
		delivery_fail(subscriber);
		return;
	}
	subscriber->fd = fd_take(&connection);
	subscriber->state = DELIVERY_SENDING;
	if (watch_new(telemetry->env->engine->loop, subscriber->fd, WATCH_WRITE, delivery_on_ready,
		    subscriber, &subscriber->watch) < 0)
		delivery_fail(subscriber);
}
