/*
 * Four characters are four table look-ups whose results are or-ed: a character that is none of the
 * 64 has a bit above the 24 that count, so that one test serves four. Only the canonical form is
 * read (the unused bits of the last character are zero): reading and writing again gives the same
 * text.
 */
#include "wire/digest.h"

#include "base/attr.h"
#include "base/err.h"

#include <errno.h>
#include <string.h>

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { BASE64_BAD = 1 << 24 };

/* base64_values[place][character]: the six bits where they belong in 24, or BASE64_BAD. */
static uint32_t base64_values[4][256];

[[gnu::constructor]] static void base64_fill(void)
{
	for (int place = 0; place < 4; place++) {
		for (int c = 0; c < 256; c++)
			base64_values[place][c] = BASE64_BAD;
		for (uint32_t value = 0; value < 64; value++)
			base64_values[place][(unsigned char)base64_digits[value]] = value
				<< (18 - 6 * place);
	}
}

static uint32_t base64_value(const char *at)
{
	return base64_values[0][(unsigned char)at[0]] | base64_values[1][(unsigned char)at[1]] |
		base64_values[2][(unsigned char)at[2]] | base64_values[3][(unsigned char)at[3]];
}

static void base64_put_digits(char *to, uint32_t value)
{
	to[0] = base64_digits[value >> 18 & 63];
	to[1] = base64_digits[value >> 12 & 63];
	to[2] = base64_digits[value >> 6 & 63];
	to[3] = base64_digits[value & 63];
}

void base64_put(struct buf *out, str bytes)
{
	const unsigned char *from = (const unsigned char *)bytes.at;
	size_t rest = bytes.len % 3;

	if (bytes.len == 0 || bytes.len > SIZE_MAX / 2 ||
		buf_reserve(out, (bytes.len + 2) / 3 * 4) < 0)
		return;
	char *to = out->at + out->len;
	out->len += (bytes.len + 2) / 3 * 4;
	for (size_t i = 0; i < bytes.len / 3; i++, from += 3, to += 4)
		base64_put_digits(to, (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2]);
	if (rest == 0)
		return;
	base64_put_digits(to, (uint32_t)from[0] << 16 | (rest == 2 ? (uint32_t)from[1] << 8 : 0));
	to[3] = '=';
	if (rest == 1)
		to[2] = '=';
}

/* The last four characters, which may be padded: how many bytes they are, or 0 when malformed. */
static size_t base64_decode_last(const char *from, char *to)
{
	size_t pads = from[3] != '=' ? 0 : from[2] != '=' ? 1 : 2;
	const char last[4] = { from[0], from[1], pads > 1 ? 'A' : from[2],
		pads > 0 ? 'A' : from[3] };
	uint32_t value = base64_value(last);

	if (value & BASE64_BAD || (pads > 0 && value & 0xff) || (pads > 1 && value & 0xffff))
		return 0;
	for (size_t i = 0; i < 3 - pads; i++)
		to[i] = (char)(value >> (16 - 8 * i));
	return 3 - pads;
}

int base64_decode(str text, struct buf *out)
{
	uint32_t bad = 0;

	if (text.len % 4 != 0)
		return -EINVAL;
	if (buf_reserve(out, text.len / 4 * 3) < 0)
		return err_raise(out->err);
	if (text.len == 0)
		return 0;
	char *to = out->at + out->len;
	const char *from = text.at;
	for (const char *last = text.at + text.len - 4; from < last; from += 4, to += 3) {
		uint32_t value = base64_value(from);
		bad |= value;
		to[0] = (char)(value >> 16);
		to[1] = (char)(value >> 8);
		to[2] = (char)value;
	}
	size_t tail = base64_decode_last(from, to);
	if (tail == 0 || bad & BASE64_BAD)
		return -EINVAL;

	out->len += text.len / 4 * 3 - 3 + tail;
	return 0;
}
