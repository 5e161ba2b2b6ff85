/*
 * The words of Lambda's JSON parser (Jackson), as far as they are the same for a whole class of mistakes: the kind
 * of mistake, the character, and where it stands.
 */
#include "services/lambda/payload.h"

#include "wire/json_check.h"

/* Lambda counts lines and columns from 1, columns in bytes of the line. */
static void put_position(struct buf *message, str payload, size_t offset)
{
	unsigned line = 1;
	size_t start = 0;

	for (size_t i = 0; i < offset; i++) {
		if (payload.at[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	buf_putf(message,
		"\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %u, "
		"column: %zu]",
		line, offset - start + 1);
}

static void put_character(struct buf *message, unsigned char c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		buf_putf(message, "Unexpected character ((CTRL-CHAR, code %u))", c);
	else
		buf_putf(message, "Unexpected character ('%c' (code %u))", c, c);
}

/* Within a string or a number the mistake has its own words; at a value's place the parser says what it wanted. */
bool payload_check(str payload, struct buf *message)
{
	size_t offset;

	if (json_check(payload, &offset))
		return true;
	buf_put(message,
		S("Could not parse request body into json: Could not parse payload into json: "));
	if (offset >= payload.len) {
		buf_put(message, S("Unexpected end-of-input"));
		put_position(message, payload, payload.len);
		return false;
	}
	unsigned char c = (unsigned char)payload.at[offset];
	bool is_after_ascii = offset > 0 && (unsigned char)payload.at[offset - 1] < 0x80 &&
		(unsigned char)payload.at[offset - 1] > ' ';
	if (c >= 0x80 && is_after_ascii) {
		bool may_start = c >= 0xc2 && c <= 0xf4;
		buf_putf(message,
			may_start ? "Invalid UTF-8 middle byte 0x%x"
				  : "Invalid UTF-8 start byte 0x%x",
			c);
	} else if (c < 0x80 || c < 0xa0) {
		put_character(message, c);
		buf_put(message,
			S(": expected a valid value (JSON String, Number, Array, Object or token "
			  "'null', 'true' or 'false')"));
	} else {
		buf_putf(message, "Invalid UTF-8 start byte 0x%x", c);
	}
	put_position(message, payload, offset);
	return false;
}
