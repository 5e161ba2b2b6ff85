/*
 * A growing buffer. It doubles, so that writing n bytes costs O(n); it always allocates one
 * byte more than `size`, so that buf_cstr() can terminate without growing and without
 * passing the ceiling. The first error sticks and turns every later write into nothing: the
 * writer's code keeps the shape of what it writes.
 */
#include "base/buf.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BUF_SIZE_MIN = 63 };

void buf_init(struct buf *buf, size_t ceiling)
{
	/* Below half of the address space no sum of two lengths overflows. */
	*buf = (struct buf){ .ceiling = MIN(ceiling, (size_t)PTRDIFF_MAX - 1) };
}

void buf_init_over(struct buf *buf, char *at, size_t size)
{
	assert(size > 0);
	*buf = (struct buf){ .at = at, .size = size - 1, .ceiling = size - 1 };
}

void buf_done(struct buf *buf)
{
	mem_free(buf->at);
	*buf = (struct buf){ .ceiling = buf->ceiling };
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->err = 0;
}

int buf_reserve(struct buf *buf, size_t more)
{
	assert(buf->len <= buf->size && buf->len <= buf->ceiling);
	if (buf->err)
		return buf->err;
	if (more > buf->ceiling - buf->len)
		return buf->err = -EOVERFLOW;
	if (more <= buf->size - buf->len)
		return 0;

	size_t size = MAX(buf->len + more, MAX(buf->size * 2, (size_t)BUF_SIZE_MIN));
	size = MIN(size, buf->ceiling);
	char *at = mem_grow(buf->at, size + 1, 1);
	if (!at)
		return buf->err = -ENOMEM;
	buf->at = at;
	buf->size = size;
	return 0;
}

void buf_put(struct buf *buf, str s)
{
	if (buf_reserve(buf, s.len) < 0 || s.len == 0)
		return;
	memcpy(buf->at + buf->len, s.at, s.len);
	buf->len += s.len;
}

void buf_put_char(struct buf *buf, char c)
{
	if (buf_reserve(buf, 1) < 0)
		return;
	buf->at[buf->len++] = c;
}

void buf_put_u64(struct buf *buf, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_put(buf, (str){ digits + at, sizeof(digits) - at });
}

void buf_putf(struct buf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vputf(buf, format, args);
	va_end(args);
}

void buf_vputf(struct buf *buf, const char *format, va_list args)
{
	if (buf->err)
		return;
	va_list again;
	va_copy(again, args);
	size_t room = MIN(buf->size, buf->ceiling) - buf->len; /* the NUL stands beyond it */
	int len = vsnprintf(
		buf->at ? buf->at + buf->len : NULL, buf->at ? room + 1 : 0, format, args);
	if (len < 0) {
		buf->err = -EOVERFLOW; /* the one way a format of ours fails: beyond INT_MAX */
	} else if (buf->at && (size_t)len <= room) {
		buf->len += (size_t)len;
	} else if (buf_reserve(buf, (size_t)len) == 0 && len > 0) {
		(void)vsnprintf(buf->at + buf->len, (size_t)len + 1, format, again);
		buf->len += (size_t)len;
	}
	va_end(again);
}

/* How many bytes at the start of `s` can stand in a JSON string as they are. */
static size_t buf_json_plain(str s)
{
	size_t len = 0;

	while (len < s.len) {
		unsigned char c = (unsigned char)s.at[len];
		if (c < 0x20 || c == '"' || c == '\\')
			break;
		size_t sequence = c < 0x80 ? 1 : utf8_sequence(str_from(s, len));
		if (sequence == 0)
			break;
		len += sequence;
	}
	return len;
}

/* One byte that cannot. */
static void buf_put_json_escape(struct buf *buf, unsigned char c)
{
	static const char letters[] = {
		['\b'] = 'b',
		['\t'] = 't',
		['\n'] = 'n',
		['\f'] = 'f',
		['\r'] = 'r',
		['"'] = '"',
		['\\'] = '\\',
	};

	if (c >= 0x80) {
		buf_put(buf, S("\xef\xbf\xbd"));
	} else if (c < sizeof(letters) && letters[c]) {
		buf_put_char(buf, '\\');
		buf_put_char(buf, letters[c]);
	} else {
		buf_putf(buf, "\\u%04x", c);
	}
}

void buf_put_json_piece(struct buf *buf, str s)
{
	while (s.len && !buf->err) {
		size_t plain = buf_json_plain(s);
		buf_put(buf, str_slice(s, 0, plain));
		if (plain < s.len)
			buf_put_json_escape(buf, (unsigned char)s.at[plain]);
		s = str_from(s, plain + 1);
	}
}

void buf_put_json(struct buf *buf, str s)
{
	buf_put_char(buf, '"');
	buf_put_json_piece(buf, s);
	buf_put_char(buf, '"');
}

void buf_drop(struct buf *buf, size_t count)
{
	count = MIN(count, buf->len);
	if (count == 0)
		return;
	buf->len -= count;
	memmove(buf->at, buf->at + count, buf->len);
}

str buf_str(const struct buf *buf)
{
	return (str){ buf->at, buf->len };
}

const char *buf_cstr(struct buf *buf)
{
	if (buf->err)
		return NULL;
	if (!buf->at)
		return "";
	buf->at[buf->len] = '\0';
	return buf->at;
}

char *buf_take(struct buf *buf, size_t *ret_len)
{
	if (buf->err)
		buf_done(buf);
	char *at = buf->at;

	*ret_len = buf->len;
	*buf = (struct buf){ .ceiling = buf->ceiling };
	return at;
}
