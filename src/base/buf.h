#pragma once
/*
 * A byte buffer that owns its memory, grows up to a ceiling, and keeps its first
 * error: a writer writes straight down and looks at buf->err once, at the end.
 */
#include "base/str.h"

#include <stdarg.h>

struct buf {
	char *at;
	size_t len;
	size_t size;	/* bytes there is room for (one more is allocated: buf_cstr's NUL) */
	size_t ceiling; /* len never passes it */
	int err;	/* 0, or the first error: -ENOMEM or -EOVERFLOW; sticky */
};

/* Make an empty buffer of at most `ceiling` bytes. Allocates nothing yet. */
void buf_init(struct buf *buf, size_t ceiling);

/*
 * A buffer over the caller's own memory, the last byte of which is kept for a NUL: it never
 * allocates, and is not for buf_done() or buf_take().
 */
void buf_init_over(struct buf *buf, char *at, size_t size);

/* Free the memory; the buffer is empty and usable again (same ceiling, no error). */
void buf_done(struct buf *buf);

/* Forget the contents and the error, keep the memory. */
void buf_clear(struct buf *buf);

/* Make room for `more` bytes beyond len: 0 or the (now sticky) error. */
int buf_reserve(struct buf *buf, size_t more);

/* Append. After an error they do nothing. `s` must not point into the buffer itself. */
void buf_put(struct buf *buf, str s);
void buf_put_char(struct buf *buf, char c);
void buf_put_u64(struct buf *buf, uint64_t value);
[[gnu::format(printf, 2, 3)]] void buf_putf(struct buf *buf, const char *format, ...);
[[gnu::format(printf, 2, 0)]] void buf_vputf(struct buf *buf, const char *format, va_list args);

/*
 * Append `s` as a JSON string, quotes included: control characters, quote and backslash
 * escaped, bytes that are not UTF-8 replaced by U+FFFD.
 */
void buf_put_json(struct buf *buf, str s);
/* The same without the quotes: a piece of a JSON string. */
void buf_put_json_piece(struct buf *buf, str s);

/* Drop the first `count` bytes (at most len) and move the rest to the front. */
void buf_drop(struct buf *buf, size_t count);

/* What is in it, borrowed until the next write. */
str buf_str(const struct buf *buf);

/*
 * The contents as a NUL-terminated string (the NUL is not counted in len), borrowed
 * until the next write; NULL when the buffer has an error.
 */
const char *buf_cstr(struct buf *buf);

/*
 * Give the memory to the caller (who frees it with mem_free()) and leave the buffer empty;
 * NULL when nothing was ever written, or not all of it could be: then the memory is freed.
 */
char *buf_take(struct buf *buf, size_t *ret_len);
