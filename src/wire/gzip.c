/*
 * A few bytes may stand for very many: what comes out is bounded by the buffer's ceiling, and is looked at piece by piece, so
 * that no more than a piece of it is ever made in vain.
 */
#include "wire/gzip.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <zlib.h>

enum { PIECE_BYTES = 16 * 1024, WINDOW_BITS_GZIP = 16 + MAX_WBITS };

static int gzip_pieces(z_stream *stream, struct buf *out)
{
	char piece[PIECE_BYTES];

	for (;;) {
		stream->next_out = (Bytef *)piece;
		stream->avail_out = sizeof(piece);
		int r = inflate(stream, Z_NO_FLUSH);
		if (r == Z_MEM_ERROR)
			return err_raise(-ENOMEM);
		if (r != Z_OK && r != Z_STREAM_END)
			return GZIP_BAD; /* also Z_BUF_ERROR: it is cut off */
		str made = { piece, sizeof(piece) - stream->avail_out };
		if (made.len > out->ceiling - out->len)
			return GZIP_LARGE;
		buf_put(out, made);
		if (out->err)
			return err_raise(out->err);
		if (r == Z_STREAM_END)
			return stream->avail_in ? GZIP_BAD : GZIP_DONE;
	}
}

int gzip_unpack(str packed, struct buf *out)
{
	z_stream stream = {};

	assert(out->len <= out->ceiling);
	if (packed.len > UINT_MAX)
		return GZIP_LARGE;
	if (inflateInit2(&stream, WINDOW_BITS_GZIP) != Z_OK)
		return err_raise(-ENOMEM);
	stream.next_in = (Bytef *)(uintptr_t)packed.at;
	stream.avail_in = (uInt)packed.len;
	int r = gzip_pieces(&stream, out);
	(void)inflateEnd(&stream);
	return err_pass(r);
}
