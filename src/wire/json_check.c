/*
 * One pass, no recursion: what is open is one bit a level (object or array) in a fixed stack.
 * Documents are mostly strings, so strings are read eight bytes at a time until something stands
 * there that needs a look: a quote, a backslash, a control character, or a byte that is not ASCII.
 *
 * RFC 8259 to the letter, with one freedom that it leaves open: an escaped surrogate without its
 * other half ("\ud800") is accepted, as AWS's own front accepts it; raw bytes must be well-formed
 * UTF-8.
 */
#include "wire/json_check.h"

#include "base/utf8.h"

#include <assert.h>
#include <string.h>

struct json_scan {
	const char *at;
	const char *end;
	unsigned depth;
	uint64_t is_object[(JSON_DEPTH_MAX + 63) / 64]; /* one bit a level */
};

/* What comes next in the text. */
enum json_next { JSON_VALUE, JSON_AFTER_VALUE, JSON_DONE, JSON_WRONG };

static bool json_is_object(const struct json_scan *scan)
{
	assert(scan->depth > 0);
	unsigned level = scan->depth - 1;
	return scan->is_object[level / 64] >> (level % 64) & 1;
}

static bool json_push(struct json_scan *scan, bool is_object)
{
	if (scan->depth == JSON_DEPTH_MAX)
		return false;
	unsigned level = scan->depth++;
	uint64_t bit = 1ULL << (level % 64);
	if (is_object)
		scan->is_object[level / 64] |= bit;
	else
		scan->is_object[level / 64] &= ~bit;
	return true;
}

/*
 * The next byte that is not white space, or NUL at the end (a NUL in the text is wrong wherever it
 * is).
 */
static char json_peek(struct json_scan *scan)
{
	while (scan->at < scan->end) {
		char c = *scan->at;
		if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
			return c;
		scan->at++;
	}
	return '\0';
}

/* ASCII, no control character, no quote, no backslash. */
static bool json_is_plain(char c)
{
	return c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* Skip plain bytes, eight at a time as long as it goes. */
static const char *json_skip_plain(const char *at, const char *end)
{
	const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
	uint64_t word;

	for (; end - at >= (ptrdiff_t)sizeof(word); at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
		/*
		 * The top bit of a byte is set where it is zero (quote, slash), below 0x20, or not
		 * ASCII.
		 */
		uint64_t hits = ((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
			((word - ones * 0x20) & ~word) | word;
		if (hits & tops)
			break;
	}
	while (at < end && json_is_plain(*at))
		at++;
	return at;
}

static bool json_is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* After a backslash. */
static bool json_scan_escape(struct json_scan *scan)
{
	if (scan->at == scan->end)
		return false;
	if (*scan->at != 'u') {
		if (*scan->at == '\0' || !strchr("\"\\/bfnrt", *scan->at))
			return false;
		scan->at++;
		return true;
	}
	scan->at++;
	for (int i = 0; i < 4; i++, scan->at++) {
		if (scan->at == scan->end || !json_is_hex(*scan->at))
			return false;
	}
	return true;
}

/* One sequence that is not ASCII. */
static bool json_scan_wide(struct json_scan *scan)
{
	const unsigned char *at = (const unsigned char *)scan->at;
	size_t left = (size_t)(scan->end - scan->at);

	/*
	 * The two commonest shapes need no call: two bytes, and three in the middle of the plane.
	 */
	if (left >= 2 && at[0] >= 0xc2 && at[0] <= 0xdf && (at[1] & 0xc0) == 0x80) {
		scan->at += 2;
		return true;
	}
	if (left >= 3 && at[0] >= 0xe1 && at[0] <= 0xec && (at[1] & 0xc0) == 0x80 &&
		(at[2] & 0xc0) == 0x80) {
		scan->at += 3;
		return true;
	}
	size_t len = utf8_sequence((str){ scan->at, left });
	scan->at += len;
	return len > 0;
}

/* A string, from its opening quote on. */
static bool json_scan_string(struct json_scan *scan)
{
	if (scan->at == scan->end || *scan->at != '"')
		return false;
	scan->at++;
	for (;;) {
		scan->at = json_skip_plain(scan->at, scan->end);
		if (scan->at == scan->end)
			return false;
		unsigned char c = (unsigned char)*scan->at;
		if (c >= 0x80) {
			if (!json_scan_wide(scan))
				return false;
		} else if (c < 0x20) {
			return false;
		} else {
			scan->at++;
			if (c == '"')
				return true;
			if (c == '\\' && !json_scan_escape(scan))
				return false;
		}
	}
}

/* At least one digit. */
static bool json_scan_digits(struct json_scan *scan)
{
	const char *from = scan->at;

	while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
		scan->at++;
	return scan->at > from;
}

/* RFC 8259 6: number = [ minus ] int [ frac ] [ exp ]; int = zero / ( digit1-9 *DIGIT ) */
static bool json_scan_number(struct json_scan *scan)
{
	if (*scan->at == '-')
		scan->at++;
	if (scan->at < scan->end && *scan->at == '0')
		scan->at++;
	else if (!json_scan_digits(scan))
		return false;
	if (scan->at < scan->end && *scan->at == '.') {
		scan->at++;
		if (!json_scan_digits(scan))
			return false;
	}
	if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E')) {
		scan->at++;
		if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
			scan->at++;
		return json_scan_digits(scan);
	}
	return true;
}

static bool json_scan_word(struct json_scan *scan, str word)
{
	for (size_t i = 0; i < word.len; i++, scan->at++) {
		if (scan->at == scan->end || *scan->at != word.at[i])
			return false;
	}
	return true;
}

/* A member's name and its colon. */
static enum json_next json_scan_name(struct json_scan *scan)
{
	(void)json_peek(scan);
	if (!json_scan_string(scan) || json_peek(scan) != ':')
		return JSON_WRONG;
	scan->at++;
	return JSON_VALUE;
}

/* An opening bracket, and what follows it: a close, a name, or a value. */
static enum json_next json_scan_open(struct json_scan *scan, bool is_object)
{
	if (!json_push(scan, is_object))
		return JSON_WRONG;
	scan->at++;
	if (json_peek(scan) == (is_object ? '}' : ']')) {
		scan->at++;
		scan->depth--;
		return JSON_AFTER_VALUE;
	}
	return is_object ? json_scan_name(scan) : JSON_VALUE;
}

static enum json_next json_scan_value(struct json_scan *scan)
{
	bool ok;

	switch (json_peek(scan)) {
	case '{':
		return json_scan_open(scan, true);
	case '[':
		return json_scan_open(scan, false);
	case '"':
		ok = json_scan_string(scan);
		break;
	case 't':
		ok = json_scan_word(scan, S("true"));
		break;
	case 'f':
		ok = json_scan_word(scan, S("false"));
		break;
	case 'n':
		ok = json_scan_word(scan, S("null"));
		break;
	case '-':
	case '0' ... '9':
		ok = json_scan_number(scan);
		break;
	default:
		ok = false;
		break;
	}
	return ok ? JSON_AFTER_VALUE : JSON_WRONG;
}

/* A comma, a closing bracket, or the end of the text. */
static enum json_next json_scan_after(struct json_scan *scan)
{
	char c = json_peek(scan);

	if (scan->depth == 0)
		return scan->at == scan->end ? JSON_DONE : JSON_WRONG;
	if (c == ',') {
		scan->at++;
		return json_is_object(scan) ? json_scan_name(scan) : JSON_VALUE;
	}
	if (c != (json_is_object(scan) ? '}' : ']'))
		return JSON_WRONG;
	scan->at++;
	scan->depth--;
	return JSON_AFTER_VALUE;
}

bool json_check(str text, size_t *ret_offset)
{
	struct json_scan scan;
	enum json_next next = JSON_VALUE;
	const char *from = text.at ? text.at : "";

	scan.at = from;
	scan.end = from + text.len;
	scan.depth = 0; /* the bits are written before they are read */
	while (next != JSON_DONE && next != JSON_WRONG)
		next = next == JSON_VALUE ? json_scan_value(&scan) : json_scan_after(&scan);

	assert(scan.at <= scan.end);
	if (next == JSON_WRONG)
		*ret_offset = (size_t)(scan.at - from);
	return next == JSON_DONE;
}
