/*
 * Chunked bodies: the same content, trailers and end however the bytes are split. The first byte
 * says how long the pieces are, the second how much content is allowed.
 */
#include "fuzz.h"

#include "wire/http.h"

struct fed {
	struct http_chunks chunks;
	struct buf content, trailers;
	size_t used;
	int answer;
};

static int keep(void *context, str content)
{
	struct buf *out = context;

	HOLDS(content.len > 0);
	buf_put(out, content);
	return out->err;
}

static void feed(struct fed *fed, str text, size_t step, uint64_t content_max)
{
	*fed = (struct fed){};
	buf_init(&fed->content, SIZE_MAX);
	buf_init(&fed->trailers, SIZE_MAX);
	while (fed->used < text.len && fed->answer == 0 && !fed->chunks.done) {
		str piece = str_slice(text, fed->used, fed->used + step);
		size_t used = 0;
		fed->answer = http_chunks_feed(&fed->chunks, piece, content_max, keep,
			&fed->content, &fed->trailers, &used);
		HOLDS(used <= piece.len);
		HOLDS(fed->answer != 0 || fed->chunks.done || used == piece.len);
		fed->used += used;
	}
	HOLDS(fed->answer == 0 || fed->answer == HTTP_BAD || fed->answer == HTTP_TOO_LARGE);
	HOLDS(fed->content.len <= content_max && fed->content.len == fed->chunks.total);
	HOLDS(fed->trailers.len <= HTTP_HEAD_MAX && fed->content.err == 0);
}

/* Whatever the trailers are, what is found in them is a part of them, on one line. */
static void hold_trailers(str trailers)
{
	str value = http_trailer(trailers, S("a"));

	HOLDS(!value.at ||
		(value.at > trailers.at && value.at + value.len <= trailers.at + trailers.len));
	HOLDS(str_find(value, '\n') < 0);
	HOLDS(!http_trailer(trailers, S("a:")).at);
}

static void fed_done(struct fed *fed)
{
	buf_done(&fed->content);
	buf_done(&fed->trailers);
}

/* Written again as one chunk, it is the same. */
static void hold_rewriting(const struct fed *fed)
{
	struct fed again;
	struct buf text;

	buf_init(&text, SIZE_MAX);
	if (fed->content.len > 0)
		buf_putf(&text, "%zX\r\n", fed->content.len);
	buf_put(&text, buf_str(&fed->content));
	buf_put(&text, fed->content.len > 0 ? S("\r\n0\r\n") : S("0\r\n"));
	buf_put(&text, buf_str(&fed->trailers));
	buf_put(&text, S("\r\n"));
	feed(&again, buf_str(&text), text.len, fed->content.len);
	HOLDS(again.answer == 0 && again.chunks.done && again.used == text.len);
	HOLDS(str_eq(buf_str(&again.content), buf_str(&fed->content)));
	HOLDS(str_eq(buf_str(&again.trailers), buf_str(&fed->trailers)));
	fed_done(&again);
	buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fed whole, split;

	if (size < 2)
		return 0;
	str text = { (const char *)data + 2, size - 2 };
	uint64_t content_max = data[1] == 255 ? UINT64_MAX : data[1] * 16;
	feed(&whole, text, SIZE_MAX / 2, content_max);
	feed(&split, text, 1 + data[0] % 64, content_max);
	HOLDS(whole.answer == split.answer && whole.chunks.done == split.chunks.done);
	HOLDS(str_eq(buf_str(&whole.content), buf_str(&split.content)));
	if (whole.answer == 0) {
		HOLDS(whole.used == split.used);
		HOLDS(str_eq(buf_str(&whole.trailers), buf_str(&split.trailers)));
	}
	if (whole.chunks.done) {
		hold_rewriting(&whole);
		hold_trailers(buf_str(&whole.trailers));
	}
	hold_trailers(text); /* also of bytes that the decoder would never let through */
	fed_done(&whole);
	fed_done(&split);
	return 0;
}
