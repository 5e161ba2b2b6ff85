#pragma once
/* RFC 1952, for request bodies that clients have compressed. */
#include "base/buf.h"

enum gzip_answer {
	GZIP_DONE = 0,
	GZIP_BAD,   /* not gzip, damaged, cut off, or something follows it */
	GZIP_LARGE, /* more than the buffer may hold */
};

/* Append what was packed: a gzip_answer, or a fault. What is in the buffer after anything but GZIP_DONE is worthless. */
[[nodiscard]] int gzip_unpack(str packed, struct buf *out);
