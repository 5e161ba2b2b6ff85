/* Base64 and hex: any bytes survive writing and reading; what can be read is written the same. */
#include "fuzz.h"

#include "wire/digest.h"

#include <errno.h>
#include <string.h>

static void hold_round_trip(str bytes)
{
	struct buf text, back;
	uint8_t raw[256];

	buf_init(&text, SIZE_MAX);
	buf_init(&back, SIZE_MAX);
	base64_put(&text, bytes);
	HOLDS(text.len == (bytes.len + 2) / 3 * 4);
	HOLDS(base64_decode(buf_str(&text), &back) == 0);
	HOLDS(str_eq(buf_str(&back), bytes));
	buf_clear(&text);
	hex_put(&text, bytes);
	if (bytes.len <= sizeof(raw)) {
		HOLDS(hex_parse(buf_str(&text), raw, bytes.len) == 0);
		HOLDS(bytes.len == 0 || memcmp(raw, bytes.at, bytes.len) == 0);
	}
	buf_done(&text);
	buf_done(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str text = { (const char *)data, size };
	struct buf bytes, again;

	hold_round_trip(text);
	buf_init(&bytes, SIZE_MAX);
	buf_init(&again, SIZE_MAX);
	buf_put(&bytes, S("before"));
	int r = base64_decode(text, &bytes);
	HOLDS(r == 0 || r == -EINVAL);
	HOLDS(str_starts(buf_str(&bytes), S("before")));
	if (r == 0) {
		base64_put(&again, str_from(buf_str(&bytes), strlen("before")));
		HOLDS(str_eq(buf_str(&again), text));
	} else {
		HOLDS(bytes.len == strlen("before"));
	}
	buf_done(&bytes);
	buf_done(&again);
	return 0;
}
