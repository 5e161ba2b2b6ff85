/* What is about TLS; that everything else holds over it too the other tests show (rig_tls.c). */
#include "http/rig.h"

#include "base/attr.h"
#include "base/test.h"
#include "os/clock.h"
#include "tls/rig.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

/* System calls of the server's thread, counted by wrapping them. */
static _Thread_local bool is_server_thread;
static unsigned calls;

ssize_t __real_read(int fd, void *to, size_t size);
ssize_t __wrap_read(int fd, void *to, size_t size);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_watch_set(struct watch *watch, unsigned events);
int __wrap_watch_set(struct watch *watch, unsigned events);

ssize_t __wrap_read(int fd, void *to, size_t size)
{
	calls += is_server_thread;
	return __real_read(fd, to, size);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	calls += is_server_thread;
	return __real_sendmsg(fd, message, flags);
}

int __wrap_watch_set(struct watch *watch, unsigned events)
{
	calls += events != WATCH_READ; /* as they all are watched from the start */
	return __real_watch_set(watch, events);
}

static unsigned count_from_here(struct rig *rig)
{
	(void)rig;
	is_server_thread = true;
	calls = 0;
	return 0;
}

static unsigned count_calls(struct rig *rig)
{
	(void)rig;
	return calls;
}

static void run(void (*script)(struct rig *rig))
{
	rig_run((struct http_server_options){ .tls = rig_identity() }, script);
}

static void run_eager(void (*script)(struct rig *rig))
{
	rig_run((struct http_server_options){ .tls = rig_identity(),
			.is_eager_close_detected = true },
		script);
}

/* --- a client over a socket --- */

struct client {
	SSL_CTX *context;
	SSL *ssl;
	int fd;
};

static void client_open(struct client *client, struct rig *rig)
{
	client->context = SSL_CTX_new(TLS_client_method());
	client->ssl = client->context ? SSL_new(client->context) : NULL;
	client->fd = rig_connect_plain(rig);
	if (!client->ssl || !SSL_set_fd(client->ssl, client->fd))
		abort();
	CHECK(SSL_connect(client->ssl) == 1);
}

static void client_done(struct client *client)
{
	SSL_free(client->ssl);
	SSL_CTX_free(client->context);
	(void)close(client->fd);
	ERR_clear_error();
}

static void client_send(struct client *client, str text)
{
	CHECK(SSL_write(client->ssl, text.at, (int)text.len) == (int)text.len);
}

/* Read until a reply is there that ends so. */
static void client_expect(struct client *client, str end)
{
	char got[4096];
	size_t len = 0;

	while (len < sizeof(got) && !str_ends((str){ got, len }, end)) {
		int more = SSL_read(client->ssl, got + len, (int)(sizeof(got) - len));
		if (more <= 0)
			break;
		len += (size_t)more;
	}
	if (!str_ends((str){ got, len }, end))
		fprintf(stderr, "  got: " STR_FMT "\n", STR_ARG(((str){ got, len })));
	CHECK(str_ends((str){ got, len }, end));
}

/* Nothing more comes: is it said so, or just over? */
static bool client_is_told_the_end(struct client *client)
{
	char byte;

	int r = SSL_read(client->ssl, &byte, 1);
	CHECK(r <= 0);
	return SSL_get_error(client->ssl, r) == SSL_ERROR_ZERO_RETURN;
}

/* --- both on one port --- */

static void speak_both(struct rig *rig)
{
	struct client one, two;
	int plain = rig_connect_plain(rig), other = rig_connect_plain(rig);

	client_open(&one, rig);
	rig_send(plain, S(GET("/secure")));
	rig_expect(plain, 200, S("no"));
	client_open(&two, rig);
	client_send(&two, S(GET("/secure")));
	client_expect(&two, S("\r\n\r\nyes"));
	client_send(&one, S(GET("/one") GET("/two")));
	client_expect(&one, S("\r\n\r\n/two"));
	rig_send(plain, S(GET("/secure")));
	rig_expect(plain, 200, S("no"));
	CHECK(rig_ask(rig, rig_conns) == 4);
	client_done(&one);
	client_done(&two);
	(void)close(plain);
	(void)close(other); /* it has not said which */
	rig_wait(rig, rig_conns, 0);
}

static void test_one_port_speaks_both(void)
{
	run(speak_both);
	run_eager(speak_both);
}

static void count_plain(struct rig *rig)
{
	int fd = rig_connect_plain(rig);

	rig_send(fd, S(GET("/warm")));
	rig_expect(fd, 200, S("/warm"));
	(void)rig_ask(rig, count_from_here);
	for (int i = 0; i < 20; i++) {
		rig_send(fd, S(GET("/a")));
		rig_expect(fd, 200, S("/a"));
	}
	CHECK(rig_ask(rig, count_calls) == 2 * 20);
	/* The first request of a connection neither. */
	(void)rig_ask(rig, count_from_here);
	int next = rig_connect_plain(rig);
	rig_send(next, S(GET("/a")));
	rig_expect(next, 200, S("/a"));
	CHECK(rig_ask(rig, count_calls) == 2);
	(void)close(fd);
	(void)close(next);
}

static void test_plain_connections_cost_no_more_where_there_is_tls(void)
{
	run(count_plain);
}

static void say_tls_to_a_plain_server(struct rig *rig)
{
	int fd = rig_connect_plain(rig);

	rig_send(fd, S("\x16\x03\x01\x00\x05hello\r\n\r\n"));
	rig_expect(fd, 400, S("refused 400"));
	(void)shutdown(fd, SHUT_WR);
	rig_expect_end(fd);
}

static void test_without_tls_its_first_byte_is_no_http(void)
{
	rig_run((struct http_server_options){}, say_tls_to_a_plain_server);
}

/* --- handshakes --- */

/* The client's last word of the handshake and its first request, in one segment and byte by byte. */
static void shake_in_steps(struct rig *rig)
{
	for (int step = 1; step <= 5000; step += 4999) {
		int fd = rig_connect_plain(rig);
		struct rig_client client;
		char bytes[5000];
		size_t len;

		rig_client_init(&client, TLS1_3_VERSION, NULL);
		while (!SSL_is_init_finished(client.ssl)) {
			(void)SSL_do_handshake(client.ssl);
			if (SSL_is_init_finished(client.ssl))
				break;
			while ((len = rig_client_take(&client, bytes, (size_t)step)) > 0)
				rig_send(fd, (str){ bytes, len });
			ssize_t got = read(fd, bytes, sizeof(bytes));
			CHECK(got > 0);
			if (got <= 0 || BIO_write(client.in, bytes, (int)got) != got)
				return;
		}
		CHECK(SSL_write(client.ssl, GET("/a"), sizeof(GET("/a")) - 1) > 0);
		while ((len = rig_client_take(&client, bytes, (size_t)step)) > 0)
			rig_send(fd, (str){ bytes, len });
		int count = 0;
		for (int i = 0; i < 10 && count <= 0; i++) { /* tickets come before it */
			ssize_t got = read(fd, bytes, sizeof(bytes));
			if (got <= 0 || BIO_write(client.in, bytes, (int)got) != got)
				break;
			count = SSL_read(client.ssl, bytes, sizeof(bytes));
		}
		CHECK(count > 0 &&
			str_ends((str){ bytes, (size_t)MAX(count, 0) }, S("\r\n\r\n/a")));
		rig_client_done(&client);
		(void)close(fd);
		ERR_clear_error();
	}
}

static void test_a_handshake_may_come_in_any_pieces(void)
{
	run(shake_in_steps);
}

static void say_nonsense(struct rig *rig)
{
	static const str texts[] = { S_INIT("\x16GET / HTTP/1.1\r\n\r\n"),
		S_INIT("\x16\x03\x01\x00\x05hello"), S_INIT("\x16\x03\x01\xff\xff\x01"),
		S_INIT("\x16\x16\x16\x16\x16\x16\x16\x16\x16\x16\x16\x16") };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		int fd = rig_connect_plain(rig);
		char bytes[64];
		rig_send(fd, texts[i]);
		ssize_t len = read(fd, bytes, sizeof(bytes));
		if (len > 0) { /* an alert */
			CHECK(len == 7 && bytes[0] == 0x15);
			len = read(fd, bytes, sizeof(bytes));
		}
		CHECK(len <= 0);
		(void)close(fd);
	}
	rig_wait(rig, rig_conns, 0);
	CHECK(rig_ask(rig, rig_requests) == 0);
	for (size_t cut = 1; cut < 8; cut++) { /* and who leaves in the middle of one */
		int fd = rig_connect_plain(rig);
		rig_send(fd, str_slice(S("\x16\x03\x01\x02\x00\x01\x00\x01\xfc"), 0, cut));
		(void)rig_ask(rig, rig_conns);
		(void)close(fd);
	}
	rig_wait(rig, rig_conns, 0);
}

static void test_nonsense_behind_the_first_byte_ends_the_connection(void)
{
	run(say_nonsense);
}

static void shake_slowly(struct rig *rig)
{
	int half = rig_connect_plain(rig), silent = rig_connect_plain(rig);
	struct client done;
	uint64_t from_ms = clock_mono_ms();

	client_open(&done, rig);
	rig_send(half, S("\x16\x03\x01\x02\x00\x01"));
	for (int i = 0; i < 500 && rig_ask(rig, rig_conns) == 3; i++) {
		struct pollfd wait = { half, POLLIN, 0 };
		if (poll(&wait, 1, 10) > 0)
			break;
		if (i < 100)
			rig_send(half, S("x")); /* a byte now and then keeps nobody alive */
	}
	CHECK(clock_mono_ms() - from_ms >= 50);
	rig_expect_end(half);
	rig_wait(rig, rig_conns, 2);
	client_send(&done, S(GET("/a"))); /* neither who is done with it nor who has not begun */
	client_expect(&done, S("\r\n\r\n/a"));
	rig_send(silent, S(GET("/a")));
	rig_expect(silent, 200, S("/a"));
	client_done(&done);
	(void)close(silent);
}

static void test_a_handshake_must_be_over_in_time(void)
{
	rig_run((struct http_server_options){ .tls = rig_identity(), .handshake_ms = 100 },
		shake_slowly);
}

static unsigned drain(struct rig *rig)
{
	http_server_drain(rig->server);
	return 0;
}

static unsigned is_quiet(struct rig *rig)
{
	return http_server_is_quiet(rig->server);
}

/* The request behind a handshake that has begun is still taken. */
static void drain_with_handshakes(struct rig *rig)
{
	int fd = rig_connect_plain(rig);
	struct rig_client client;
	char bytes[5000];

	rig_client_init(&client, TLS1_3_VERSION, NULL);
	(void)SSL_do_handshake(client.ssl);
	rig_send(fd, (str){ bytes, rig_client_take(&client, bytes, sizeof(bytes)) });
	ssize_t got = read(fd, bytes, sizeof(bytes));
	CHECK(got > 0 && BIO_write(client.in, bytes, (int)got) == got);
	(void)rig_ask(rig, drain);
	CHECK(rig_ask(rig, is_quiet) == 0);
	CHECK(SSL_do_handshake(client.ssl) == 1);
	CHECK(SSL_write(client.ssl, GET("/a"), sizeof(GET("/a")) - 1) > 0);
	rig_send(fd, (str){ bytes, rig_client_take(&client, bytes, sizeof(bytes)) });
	size_t len = 0;
	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		CHECK(BIO_write(client.in, bytes, (int)got) == got);
	size_t more;
	while (SSL_read_ex(client.ssl, bytes + len, sizeof(bytes) - len, &more) == 1)
		len += more;
	CHECK(str_find_str((str){ bytes, len }, S("\r\nConnection: close\r\n")) > 0);
	CHECK(SSL_get_shutdown(client.ssl) & SSL_RECEIVED_SHUTDOWN);
	rig_wait(rig, is_quiet, 1);
	rig_client_done(&client);
	(void)close(fd);
	ERR_clear_error();
}

static void test_a_drain_waits_for_those_who_shake_hands(void)
{
	run(drain_with_handshakes);
}

/* --- ends --- */

static void end_connections(struct rig *rig)
{
	struct client client;

	client_open(&client, rig);
	client_send(&client, S(GET("/close")));
	client_expect(&client, S("\r\n\r\n/close"));
	CHECK(client_is_told_the_end(&client));
	client_done(&client);

	client_open(&client, rig); /* a refusal, and bytes that nobody wants */
	client_send(&client, S("nonsense\r\n\r\n" GET("/never")));
	client_expect(&client, S("refused 400"));
	CHECK(client_is_told_the_end(&client));
	client_send(&client, S(GET("/more")));
	client_done(&client);

	client_open(&client, rig); /* what breaks off is not told as an end */
	client_send(&client, S(GET("/abort")));
	CHECK(!client_is_told_the_end(&client));
	client_done(&client);

	client_open(&client, rig); /* the peer's end is answered with ours */
	client_send(&client, S(GET("/a")));
	client_expect(&client, S("\r\n\r\n/a"));
	(void)SSL_shutdown(client.ssl);
	CHECK(client_is_told_the_end(&client));
	client_done(&client);
	rig_wait(rig, rig_conns, 0);
}

static void test_an_end_is_told_unless_it_is_a_break(void)
{
	run(end_connections);
}

static void idle_away(struct rig *rig)
{
	struct client client;

	client_open(&client, rig);
	client_send(&client, S(GET("/a")));
	client_expect(&client, S("\r\n\r\n/a"));
	CHECK(client_is_told_the_end(&client));
	client_done(&client);
}

static void test_who_is_idle_for_too_long_is_told(void)
{
	rig_run((struct http_server_options){ .tls = rig_identity(), .idle_ms = 50 }, idle_away);
}

static void leave_while_open(struct rig *rig)
{
	struct client client;

	client_open(&client, rig);
	client_send(&client, S(GET("/wait")));
	rig_wait(rig, rig_open, 1);
	(void)SSL_shutdown(client.ssl); /* the connection itself stays */
	rig_wait(rig, rig_gone_open, 1);
	client_done(&client);
}

static void test_an_end_said_over_tls_is_the_peers_end(void)
{
	run_eager(leave_while_open);
}

TESTS(TEST(test_one_port_speaks_both), TEST(test_plain_connections_cost_no_more_where_there_is_tls),
	TEST(test_without_tls_its_first_byte_is_no_http),
	TEST(test_a_handshake_may_come_in_any_pieces),
	TEST(test_nonsense_behind_the_first_byte_ends_the_connection),
	TEST(test_a_handshake_must_be_over_in_time),
	TEST(test_a_drain_waits_for_those_who_shake_hands),
	TEST(test_an_end_is_told_unless_it_is_a_break), TEST(test_who_is_idle_for_too_long_is_told),
	TEST(test_an_end_said_over_tls_is_the_peers_end))
