/*
 * A chunked body (RFC 9112 7.1) as a machine that takes one byte at a time, but content in runs.
 * Strict: lines end in CRLF and nothing else, no white space around a size, at most 16 digits;
 * extensions are skipped and bounded; trailers must look like fields.
 *
 *	SIZE -> (EXTENSION) -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE …
 *	                          | size 0
 *	                       TRAILER -> (NAME -> VALUE -> VALUE_LF -> TRAILER …) -> END_LF -> done
 */
#include "wire/http.h"

#include "base/attr.h"
#include "base/err.h"
#include "wire/http_class.h"

#include <assert.h>

enum chunk_state {
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER,
	CHUNK_NAME,
	CHUNK_VALUE,
	CHUNK_VALUE_LF,
	CHUNK_END_LF,
};

enum {
	CHUNK_DIGITS_MAX = 16,
	CHUNK_LINE_MAX = 1024, /* of a size and its extensions */
};

static int chunk_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int chunk_on_size(struct http_chunks *chunks, char c)
{
	int digit = chunk_digit(c);

	if (digit >= 0) {
		if (++chunks->line > CHUNK_DIGITS_MAX)
			return HTTP_BAD;
		chunks->left = chunks->left << 4 | (unsigned)digit;
		return 0;
	}
	if (chunks->line == 0 || (c != ';' && c != '\r'))
		return HTTP_BAD;
	chunks->state = c == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
	return 0;
}

static int chunk_on_extension(struct http_chunks *chunks, char c)
{
	if (c == '\r') {
		chunks->state = CHUNK_SIZE_LF;
		return 0;
	}
	return http_is(c, HTTP_VALUE) && ++chunks->line <= CHUNK_LINE_MAX ? 0 : HTTP_BAD;
}

static int chunk_on_size_lf(struct http_chunks *chunks, char c, uint64_t content_max)
{
	if (c != '\n')
		return HTTP_BAD;
	if (chunks->left > content_max - chunks->total)
		return HTTP_TOO_LARGE;
	chunks->state = chunks->left ? CHUNK_DATA : CHUNK_TRAILER;
	chunks->line = 0;
	return 0;
}

/* One byte of the end of a chunk: `wanted`, and nothing else. */
static int chunk_on_end(struct http_chunks *chunks, char c, char wanted, enum chunk_state next)
{
	if (c != wanted)
		return HTTP_BAD;
	chunks->state = (uint8_t)next;
	return 0;
}

/* One byte of the trailers up to their last CR. */
static int chunk_on_trailer(struct http_chunks *chunks, char c)
{
	switch (chunks->state) {
	case CHUNK_TRAILER:
		if (c == '\r') {
			chunks->state = CHUNK_END_LF;
			return 0;
		}
		chunks->state = CHUNK_NAME;
		return http_is(c, HTTP_TOKEN) ? 0 : HTTP_BAD;
	case CHUNK_NAME:
		if (c == ':')
			chunks->state = CHUNK_VALUE;
		return c == ':' || http_is(c, HTTP_TOKEN) ? 0 : HTTP_BAD;
	case CHUNK_VALUE:
		if (c == '\r')
			chunks->state = CHUNK_VALUE_LF;
		return c == '\r' || http_is(c, HTTP_VALUE) ? 0 : HTTP_BAD;
	default:
		return chunk_on_end(chunks, c, '\n', CHUNK_TRAILER);
	}
}

static int chunk_keep_trailer(struct http_chunks *chunks, char c, struct buf *trailers)
{
	int r = chunk_on_trailer(chunks, c);
	if (r != 0 || chunks->state == CHUNK_END_LF)
		return r;
	if (++chunks->line > HTTP_HEAD_MAX)
		return HTTP_TOO_LARGE;
	if (!trailers)
		return 0;
	buf_put_char(trailers, c);
	return trailers->err ? err_raise(trailers->err) : 0;
}

/* Any byte that is not content. */
static int chunk_on_byte(
	struct http_chunks *chunks, char c, uint64_t content_max, struct buf *trailers)
{
	switch (chunks->state) {
	case CHUNK_SIZE:
		return chunk_on_size(chunks, c);
	case CHUNK_EXTENSION:
		return chunk_on_extension(chunks, c);
	case CHUNK_SIZE_LF:
		return chunk_on_size_lf(chunks, c, content_max);
	case CHUNK_DATA_CR:
		return chunk_on_end(chunks, c, '\r', CHUNK_DATA_LF);
	case CHUNK_DATA_LF:
		return chunk_on_end(chunks, c, '\n', CHUNK_SIZE);
	case CHUNK_END_LF:
		chunks->done = c == '\n';
		return chunks->done ? 0 : HTTP_BAD;
	default:
		return chunk_keep_trailer(chunks, c, trailers);
	}
}

static int chunk_on_data(struct http_chunks *chunks, str run, http_sink_fn *sink, void *context)
{
	assert(run.len > 0 && run.len <= chunks->left);
	int r = sink(context, run);
	if (r != 0)
		return err_pass(r);
	chunks->left -= run.len;
	chunks->total += run.len;
	if (chunks->left == 0)
		chunks->state = CHUNK_DATA_CR;
	return 0;
}

int http_chunks_feed(struct http_chunks *chunks, str bytes, uint64_t content_max,
	http_sink_fn *sink, void *context, struct buf *trailers, size_t *ret_used)
{
	size_t at = 0;

	assert(chunks->total <= content_max);
	while (at < bytes.len && !chunks->done) {
		size_t run = 1;
		int r;

		if (chunks->state == CHUNK_DATA) {
			run = (size_t)MIN(chunks->left, (uint64_t)(bytes.len - at));
			r = chunk_on_data(chunks, str_slice(bytes, at, at + run), sink, context);
		} else {
			r = chunk_on_byte(chunks, bytes.at[at], content_max, trailers);
		}
		if (r != 0)
			return r;
		at += run;
	}
	*ret_used = at;
	return 0;
}

str http_trailer(str trailers, str name)
{
	str line, line_name;

	while (str_next(&trailers, '\n', &line)) {
		if (!str_cut(&line, ':', &line_name) || !str_eq_fold(line_name, name))
			continue;
		if (str_ends(line, S("\r")))
			line.len--;
		return str_trim(line);
	}
	return (str){};
}
