#include "tls/stream.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"
#include "tls/rig.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

struct pair {
	struct rig_client client;
	struct tls_stream *stream;
};

static void pair_init(struct pair *pair, int version, const char *protocols)
{
	rig_client_init(&pair->client, version, protocols);
	CHECK(tls_stream_new(rig_identity(), &pair->stream) == 0);
}

static void pair_open(struct pair *pair, int version)
{
	pair_init(pair, version, NULL);
	CHECK(rig_shake(&pair->client, pair->stream, SIZE_MAX) == TLS_DONE);
	CHECK(SSL_is_init_finished(pair->client.ssl));
}

static void pair_done(struct pair *pair)
{
	tls_stream_free(pair->stream);
	rig_client_done(&pair->client);
}

static void say(struct pair *pair, str text)
{
	CHECK(SSL_write(pair->client.ssl, text.at, (int)text.len) == (int)text.len);
}

static void expect(struct pair *pair, int answer, str text)
{
	char got[256];
	size_t len;

	CHECK(tls_read(pair->stream, got, sizeof(got), &len) == answer);
	CHECK_STR(((str){ got, len }), text);
}

static int write_text(struct pair *pair, str text, size_t *ret_taken)
{
	return tls_write(
		pair->stream, &(struct iovec){ (char *)text.at, text.len }, 1, 0, ret_taken);
}

/* What the client reads of what waits, into `to`; how much. */
static size_t client_reads(struct pair *pair, char *to, size_t size)
{
	size_t all = 0, len;

	(void)rig_to_client(pair->stream, &pair->client);
	while (all < size && SSL_read_ex(pair->client.ssl, to + all, size - all, &len) == 1)
		all += len;
	ERR_clear_error();
	return all;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static void test_both_ways_in_both_versions(void)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct pair pair;
		char got[64];
		size_t taken;

		pair_open(&pair, versions[i]);
		CHECK(SSL_version(pair.client.ssl) == versions[i]);
		CHECK(!tls_has_input(pair.stream)); /* nobody has to look for what has not come */
		expect(&pair, TLS_MORE, S(""));
		CHECK(!tls_has_input(pair.stream));
		say(&pair, S("to "));
		say(&pair, S("the server"));
		CHECK(rig_to_stream(&pair.client, pair.stream) > 0);
		CHECK(tls_has_input(pair.stream));
		expect(&pair, TLS_MORE, S("to the server"));
		const struct iovec pieces[] = { { (char *)"to", 2 }, { (char *)"", 0 },
			{ (char *)" the ", 5 }, { (char *)"client", 6 } };
		CHECK(tls_write(pair.stream, pieces, ARRAY_LEN(pieces), 0, &taken) == TLS_DONE);
		CHECK(taken == 13);
		CHECK_STR(
			((str){ got, client_reads(&pair, got, sizeof(got)) }), S("to the client"));
		CHECK(tls_write(pair.stream, pieces, ARRAY_LEN(pieces), 3, &taken) == TLS_DONE);
		CHECK(taken == 10);
		CHECK_STR(((str){ got, client_reads(&pair, got, sizeof(got)) }), S("the client"));
		CHECK(tls_output(pair.stream).len == 0);
		pair_done(&pair);
	}
}

static void test_a_handshake_may_come_byte_by_byte(void)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct pair pair;
		char bytes[256];

		pair_init(&pair, versions[i], "\x02h2\x08http/1.1");
		CHECK(rig_shake(&pair.client, pair.stream, 1) == TLS_DONE);
		const unsigned char *chosen;
		unsigned len;
		SSL_get0_alpn_selected(pair.client.ssl, &chosen, &len);
		CHECK_STR(((str){ (const char *)chosen, len }), S("http/1.1"));
		say(&pair, S("drop by drop"));
		size_t count = rig_client_take(&pair.client, bytes, sizeof(bytes));
		for (size_t at = 0; at < count; at++) {
			rig_feed(pair.stream, (str){ bytes + at, 1 });
			expect(&pair, TLS_MORE, at + 1 == count ? S("drop by drop") : S(""));
		}
		pair_done(&pair);
	}
}

static void check_shake_fails(int version, const char *protocols, const char *reason)
{
	struct pair pair;

	pair_init(&pair, version, protocols);
	CHECK(rig_shake(&pair.client, pair.stream, SIZE_MAX) == TLS_BROKEN);
	CHECK(tls_handshake(pair.stream) == TLS_BROKEN);
	unsigned long code = ERR_peek_last_error(); /* the client's: the alert that it got */
	CHECK(ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET);
	ERR_clear_error();
	CHECK_STR(str_of(tls_reason(pair.stream)), str_of(reason));
	pair_done(&pair);
}

static void test_old_versions_and_other_protocols_get_an_alert(void)
{
	check_shake_fails(TLS1_1_VERSION, NULL, "unsupported protocol");
	check_shake_fails(0, "\x02h2", "no application protocol");
}

static void test_what_is_no_tls_is_broken(void)
{
	static const char *const texts[] = { "GET / HTTP/1.1\r\n\r\n", "\x16GET / HTTP/1.1\r\n\r\n",
		"\x16\x03\x01\xff\xff\x01", "\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",
		"\x17\x03\x03\x00\x05hello", "\x15\x03\x01\x00\x02\x02\x28" };
	static const size_t lens[] = { 18, 19, 6, 10, 10, 7 };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct pair pair;

		pair_init(&pair, 0, NULL);
		rig_feed(pair.stream, (str){ texts[i], lens[i] });
		CHECK(tls_handshake(pair.stream) == TLS_BROKEN);
		CHECK(tls_handshake(pair.stream) == TLS_BROKEN);
		CHECK(tls_output(pair.stream).len < 64); /* an alert, or nothing */
		tls_close(pair.stream);
		pair_done(&pair);
	}
}

static void test_a_beginning_waits_for_more_and_costs_little(void)
{
	struct pair pair;
	char bytes[4096];

	pair_init(&pair, 0, NULL);
	(void)SSL_do_handshake(pair.client.ssl);
	size_t len = rig_client_take(&pair.client, bytes, sizeof(bytes));
	CHECK(len > 100);
	for (size_t at = 0; at + 1 < len; at++) {
		rig_feed(pair.stream, (str){ bytes + at, 1 });
		CHECK(tls_handshake(pair.stream) == TLS_MORE);
		CHECK(tls_output(pair.stream).len == 0);
	}
	tls_close(pair.stream); /* nothing that could be said yet */
	CHECK(tls_output(pair.stream).len == 0);
	pair_done(&pair);
}

/* A record, with one bit turned, at each of its bytes: of what came before it everything is there, of itself nothing. */
static void test_what_was_changed_on_the_way_is_broken(void)
{
	for (size_t at = 0; at < 5 + 4; at++) {
		struct pair pair;
		char bytes[256];
		size_t len;

		pair_open(&pair, TLS1_3_VERSION);
		say(&pair, S("whole"));
		(void)rig_to_stream(&pair.client, pair.stream);
		expect(&pair, TLS_MORE, S("whole"));
		say(&pair, S("torn"));
		len = rig_client_take(&pair.client, bytes, sizeof(bytes));
		bytes[at] ^= 1;
		rig_feed(pair.stream, (str){ bytes, len });
		char got[16];
		int answer = tls_read(pair.stream, got, sizeof(got), &len);
		/* A longer length only waits: for bytes that then fail. */
		CHECK(answer == TLS_BROKEN || (answer == TLS_MORE && (at == 3 || at == 4)));
		CHECK(len == 0);
		if (answer == TLS_BROKEN) {
			CHECK(tls_read(pair.stream, got, sizeof(got), &len) == TLS_BROKEN);
			CHECK(write_text(&pair, S("x"), &len) == TLS_BROKEN && len == 0);
			CHECK(tls_output(pair.stream).len < 64);
		}
		pair_done(&pair);
	}
}

static void test_a_reader_without_room_leaves_the_rest(void)
{
	struct pair pair;
	char got[4];
	size_t len, room;
	char *to;

	pair_open(&pair, 0);
	say(&pair, S("first "));
	say(&pair, S("second"));
	(void)rig_to_stream(&pair.client, pair.stream);
	CHECK(tls_read(pair.stream, got, 4, &len) == TLS_DONE && len == 4);
	CHECK(tls_has_input(pair.stream));
	CHECK(tls_room(pair.stream, &to, &room) == 0 && room == 0); /* the second waits in it */
	CHECK(tls_read(pair.stream, got, 4, &len) == TLS_DONE && len == 4);
	CHECK_STR(((str){ got, 4 }), S("t se"));
	expect(&pair, TLS_MORE, S("cond"));
	CHECK(!tls_has_input(pair.stream));
	CHECK(tls_room(pair.stream, &to, &room) == 0 && room == TLS_IN_SIZE);
	tls_received(pair.stream, 0);
	CHECK(!tls_has_input(pair.stream));
	pair_done(&pair);
}

static void test_no_more_is_taken_while_much_waits(void)
{
	enum { LEN = 300'000 };
	struct pair pair;
	char *sent = mem_new(LEN, 1), *got = mem_new(LEN, 1);
	size_t taken, all = 0, read = 0;

	if (!sent || !got)
		abort();
	for (size_t i = 0; i < LEN; i++)
		sent[i] = (char)(i * 7 + i / 256);
	pair_open(&pair, 0);
	const struct iovec pieces[] = { { sent, 10 }, { sent + 10, 100'000 }, { sent + 100'010, 5 },
		{ sent + 100'015, LEN - 100'015 } };
	while (all < LEN) {
		CHECK(tls_write(pair.stream, pieces, ARRAY_LEN(pieces), all, &taken) == TLS_DONE);
		CHECK(taken > 0);
		all += taken;
		CHECK(tls_output(pair.stream).len < TLS_OUT_HIGH + 17 * 1024);
		if (all < LEN) {
			CHECK(tls_output(pair.stream).len >= TLS_OUT_HIGH);
			CHECK(tls_write(pair.stream, pieces, ARRAY_LEN(pieces), all, &taken) ==
				TLS_DONE);
			CHECK(taken == 0);
		}
		read += client_reads(&pair, got + read, LEN - read);
	}
	CHECK(read == LEN && memcmp(sent, got, LEN) == 0);
	mem_free(sent);
	mem_free(got);
	pair_done(&pair);
}

static void test_an_end_is_told_and_heard(void)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct pair pair;
		char got[16];
		size_t taken;

		pair_open(&pair, versions[i]);
		say(&pair, S("last"));
		(void)SSL_shutdown(pair.client.ssl);
		(void)rig_to_stream(&pair.client, pair.stream);
		expect(&pair, TLS_END, S("last"));
		expect(&pair, TLS_END, S(""));
		CHECK(tls_has_input(pair.stream)); /* it is heard by who has not asked yet */
		CHECK(write_text(&pair, S("mine"), &taken) == TLS_DONE && taken == 4);
		size_t before = tls_output(pair.stream).len;
		tls_close(pair.stream);
		size_t after = tls_output(pair.stream).len;
		CHECK(after > before);
		tls_close(pair.stream);
		CHECK(tls_output(pair.stream).len == after);
		CHECK(client_reads(&pair, got, sizeof(got)) == 4);
		CHECK(SSL_get_shutdown(pair.client.ssl) & SSL_RECEIVED_SHUTDOWN);
		pair_done(&pair);
	}
}

static void test_renegotiation_is_refused(void)
{
	struct pair pair;

	pair_open(&pair, TLS1_2_VERSION);
	CHECK(SSL_renegotiate(pair.client.ssl) == 1);
	(void)SSL_do_handshake(pair.client.ssl);
	(void)rig_to_stream(&pair.client, pair.stream);
	expect(&pair, TLS_MORE, S(""));
	CHECK(tls_output(pair.stream).len > 0 && tls_output(pair.stream).len < 64); /* an alert */
	(void)rig_to_client(pair.stream, &pair.client);
	CHECK(SSL_do_handshake(pair.client.ssl) != 1);
	ERR_clear_error();
	pair_done(&pair);
}

/* It is dear to us and cheap to the peer. Each may come alone, or all at once. */
static void test_new_keys_may_be_asked_for_a_few_times(void)
{
	for (int at_once = 0; at_once < 2; at_once++) {
		struct pair pair;
		size_t taken;
		char got[16];

		pair_open(&pair, TLS1_3_VERSION);
		for (int i = 0; i < 32; i++) {
			CHECK(SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
			say(&pair, S("x"));
			(void)rig_to_stream(&pair.client, pair.stream);
			expect(&pair, TLS_MORE, S("x"));
		}
		CHECK(write_text(&pair, S("here"), &taken) == TLS_DONE);
		CHECK_STR(((str){ got, client_reads(&pair, got, sizeof(got)) }), S("here"));
		for (int i = 0; i < (at_once ? 1000 : 1); i++) {
			CHECK(SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
			(void)SSL_do_handshake(pair.client.ssl);
		}
		(void)rig_to_stream(&pair.client, pair.stream);
		expect(&pair, TLS_BROKEN, S(""));
		CHECK(tls_output(pair.stream).len < 100); /* not an answer for each */
		pair_done(&pair);
	}
}

/* Begun and not ended: it is answered when it has come whole, but who wants to write meanwhile cannot. */
static void test_new_keys_that_come_in_halves_stop_no_server(void)
{
	struct pair pair;
	char bytes[256], got[8];
	size_t len;

	pair_open(&pair, TLS1_3_VERSION);
	CHECK(SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
	(void)SSL_do_handshake(pair.client.ssl);
	len = rig_client_take(&pair.client, bytes, sizeof(bytes));
	for (size_t at = 0; at < len; at++) {
		rig_feed(pair.stream, (str){ bytes + at, 1 });
		size_t none;
		CHECK(tls_read(pair.stream, got, sizeof(got), &none) == TLS_MORE && none == 0);
	}
	CHECK(write_text(&pair, S("x"), &len) == TLS_DONE);
	CHECK(client_reads(&pair, got, sizeof(got)) == 1);
	pair_done(&pair);
}

static void test_tickets_shorten_the_next_handshake(void)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct pair first, second;
		char got[8];
		size_t taken;

		pair_open(&first, versions[i]);
		CHECK(write_text(&first, S("x"), &taken) ==
			TLS_DONE); /* with 1.3 it takes a ticket as it reads */
		CHECK(client_reads(&first, got, sizeof(got)) == 1);
		SSL_SESSION *session = SSL_get1_session(first.client.ssl);
		(void)SSL_shutdown(first.client.ssl);
		pair_init(&second, versions[i], NULL);
		CHECK(SSL_set_session(second.client.ssl, session) == 1);
		CHECK(rig_shake(&second.client, second.stream, SIZE_MAX) == TLS_DONE);
		CHECK(SSL_session_reused(second.client.ssl) == 1);
		SSL_SESSION_free(session);
		pair_done(&first);
		pair_done(&second);
	}
}

static void test_survives_every_failed_allocation(void)
{
	for (int nth = 1; nth < 20; nth++) {
		struct tls_stream *stream = NULL;
		char *to;
		size_t room;
		fault_countdown = nth;
		int r = tls_stream_new(rig_identity(), &stream);
		if (r == 0)
			r = tls_room(stream, &to, &room);
		bool is_reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(r == (is_reached ? -ENOMEM : 0));
		if (is_reached && stream)
			CHECK(tls_room(stream, &to, &room) == 0 && room == TLS_IN_SIZE);
		tls_stream_free(stream);
		if (!is_reached)
			return;
	}
	FAIL("never succeeded");
}

TESTS(TEST(test_both_ways_in_both_versions), TEST(test_a_handshake_may_come_byte_by_byte),
	TEST(test_old_versions_and_other_protocols_get_an_alert),
	TEST(test_what_is_no_tls_is_broken), TEST(test_a_beginning_waits_for_more_and_costs_little),
	TEST(test_what_was_changed_on_the_way_is_broken),
	TEST(test_a_reader_without_room_leaves_the_rest),
	TEST(test_no_more_is_taken_while_much_waits), TEST(test_an_end_is_told_and_heard),
	TEST(test_renegotiation_is_refused), TEST(test_new_keys_may_be_asked_for_a_few_times),
	TEST(test_new_keys_that_come_in_halves_stop_no_server),
	TEST(test_tickets_shorten_the_next_handshake), TEST(test_survives_every_failed_allocation))
