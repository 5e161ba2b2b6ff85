/*
 * Bytes of a peer into the server's end of a TLS connection. The first byte says how:
 *
 *	bit 0	after a handshake that goes well, or as the first bytes of all
 *	bit 1	TLS 1.2 for it, or 1.3
 *	bit 2	enciphered by a client that is in order (so they must come out), or as they are
 *	bit 3	a change of keys before each piece of it
 *	others	how long the pieces are
 *
 * Whatever comes, what waits to be sent is bounded, a stream that is broken stays so, and one that was told bytes by
 * an honest client tells the same ones.
 */
#include "fuzz.h"

#include "base/attr.h"
#include "tls/rig.h"

#include <openssl/err.h>
#include <string.h>

enum { FUZZ_MAX = 60'000, ROUNDS_MAX = 64 };

struct run {
	struct rig_client client;
	struct tls_stream *stream;
	struct buf heard;
	bool is_open;
	int answer; /* the last one */
};

/* Go on as far as it goes, as who uses the stream does. */
static void run_on(struct run *run)
{
	char bytes[700];
	size_t len;

	if (!run->is_open) {
		run->answer = tls_handshake(run->stream);
		run->is_open = run->answer == TLS_DONE;
	}
	while (run->is_open && tls_has_input(run->stream)) {
		run->answer = tls_read(run->stream, bytes, sizeof(bytes), &len);
		HOLDS(len <= sizeof(bytes) && (run->answer != TLS_DONE || len == sizeof(bytes)));
		buf_put(&run->heard, (str){ bytes, len });
		if (run->answer != TLS_DONE)
			break;
	}
	if (run->answer == TLS_MORE)
		HOLDS(!tls_has_input(run->stream));
	HOLDS(tls_output(run->stream).len < TLS_OUT_HIGH);
	if (run->answer == TLS_BROKEN)
		HOLDS(tls_handshake(run->stream) == TLS_BROKEN);
}

static bool is_over(const struct run *run)
{
	return run->answer == TLS_BROKEN || run->answer == TLS_END;
}

/* As much as there is room for: true when all of it went in. */
static bool feed(struct run *run, str bytes)
{
	char *to;
	size_t room;

	while (bytes.len && !is_over(run)) {
		HOLDS(tls_room(run->stream, &to, &room) == 0);
		HOLDS(room > 0); /* all that came before has been read */
		size_t len = MIN(room, bytes.len);
		memcpy(to, bytes.at, len);
		tls_received(run->stream, len);
		bytes = str_from(bytes, len);
		run_on(run);
	}
	return !bytes.len;
}

/* What the client has to say, in pieces of `step`. */
static void feed_client(struct run *run, size_t step)
{
	char bytes[4096];
	size_t len;

	while (!is_over(run) &&
		(len = rig_client_take(&run->client, bytes, MIN(step, sizeof(bytes)))) > 0)
		(void)feed(run, (str){ bytes, len });
}

static void shake(struct run *run)
{
	for (int i = 0; i < ROUNDS_MAX && !run->is_open; i++) {
		(void)SSL_do_handshake(run->client.ssl);
		feed_client(run, SIZE_MAX);
		(void)rig_to_client(run->stream, &run->client);
	}
	HOLDS(run->is_open && SSL_do_handshake(run->client.ssl) == 1);
}

/* From an honest client, which may change its keys as often as is allowed. */
static void say(struct run *run, str text, size_t step, bool is_changing)
{
	for (int changes = 0; text.len;) {
		str piece = str_slice(text, 0, step);
		text = str_from(text, piece.len);
		if (is_changing && SSL_version(run->client.ssl) == TLS1_3_VERSION && changes++ < 30)
			HOLDS(SSL_key_update(run->client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
		HOLDS(SSL_write(run->client.ssl, piece.at, (int)piece.len) == (int)piece.len);
		feed_client(run, step);
	}
}

/* And back: what is written comes out at the other end. */
static void answer(struct run *run)
{
	struct iovec pieces[] = { { (char *)"an ", 3 }, { (char *)"answer", 6 } };
	char got[16];
	size_t taken, len = 0;

	HOLDS(tls_write(run->stream, pieces, 2, 0, &taken) == TLS_DONE && taken == 9);
	tls_close(run->stream);
	(void)rig_to_client(run->stream, &run->client);
	while (len < 9) {
		size_t more = 0;
		HOLDS(SSL_read_ex(run->client.ssl, got + len, sizeof(got) - len, &more) == 1);
		len += more;
	}
	HOLDS(memcmp(got, "an answer", 9) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = { .answer = TLS_MORE };

	if (size < 1 || size > FUZZ_MAX)
		return 0;
	unsigned how = data[0];
	str text = { (const char *)data + 1, size - 1 };
	size_t step = 1 + (size_t)(how >> 4) * (how >> 4) * 97;
	buf_init(&run.heard, SIZE_MAX);
	rig_client_init(&run.client, how & 2 ? TLS1_2_VERSION : TLS1_3_VERSION, NULL);
	HOLDS(tls_stream_new(rig_identity(), &run.stream) == 0);
	if (how & 1)
		shake(&run);
	if ((how & 5) == 5) {
		say(&run, text, step, how & 8);
		HOLDS(str_eq(buf_str(&run.heard), text));
		answer(&run);
	} else {
		for (size_t at = 0; at < text.len && !is_over(&run); at += step)
			(void)feed(&run, str_slice(text, at, at + step));
		HOLDS(run.heard.len == 0); /* nobody who has the keys has said it */
		tls_close(run.stream);
	}
	tls_stream_free(run.stream);
	rig_client_done(&run.client);
	buf_done(&run.heard);
	ERR_clear_error();
	return 0;
}
