/* Percent-encoding (RFC 3986) as the AWS protocols use it: upper-case digits, and '+' is '+'. */
#include "wire/http.h"

#include "base/err.h"

#include <errno.h>

static int uri_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The bytes up to the first escape, and the byte that the escape stands for. */
static int uri_decode_escape(str text, char *ret_byte)
{
	int high = text.len >= 3 ? uri_digit(text.at[1]) : -1;
	int low = text.len >= 3 ? uri_digit(text.at[2]) : -1;

	if (high < 0 || low < 0)
		return -EINVAL;
	*ret_byte = (char)(high << 4 | low);
	return 0;
}

int uri_decode(str text, struct buf *out)
{
	size_t before = out->len;

	while (text.len > 0) {
		ptrdiff_t mark = str_find(text, '%');
		size_t plain = mark < 0 ? text.len : (size_t)mark;
		buf_put(out, str_slice(text, 0, plain));
		text = str_from(text, plain);
		if (text.len == 0)
			break;
		char byte;
		if (uri_decode_escape(text, &byte) < 0) {
			if (!out->err)
				out->len = before;
			return -EINVAL;
		}
		buf_put_char(out, byte);
		text = str_from(text, 3);
	}
	return out->err ? err_raise(out->err) : 0;
}

/* RFC 3986 2.3: "ALPHA / DIGIT / "-" / "." / "_" / "~"". */
static bool uri_is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '-' || c == '.' || c == '_' || c == '~';
}

void uri_encode(str text, bool keep_slash, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";

	while (text.len > 0) {
		size_t plain = 0;
		while (plain < text.len &&
			(uri_is_unreserved(text.at[plain]) ||
				(keep_slash && text.at[plain] == '/')))
			plain++;
		buf_put(out, str_slice(text, 0, plain));
		if (plain == text.len)
			return;
		unsigned char c = (unsigned char)text.at[plain];
		buf_put(out, (str){ (char[]){ '%', digits[c >> 4], digits[c & 15] }, 3 });
		text = str_from(text, plain + 1);
	}
}

bool uri_query_next(str *rest, str *ret_name, str *ret_value)
{
	str pair;

	while (str_next(rest, '&', &pair)) {
		if (pair.len == 0)
			continue;
		str value = pair, name;
		if (str_cut(&value, '=', &name)) {
			*ret_name = name;
			*ret_value = value;
		} else {
			*ret_name = pair;
			*ret_value = (str){};
		}
		return true;
	}
	return false;
}

str http_host_name(str host)
{
	size_t end = host.len;

	while (end > 0 && host.at[end - 1] >= '0' && host.at[end - 1] <= '9')
		end--;
	return end > 0 && end < host.len && host.at[end - 1] == ':' ? str_slice(host, 0, end - 1)
								    : host;
}
