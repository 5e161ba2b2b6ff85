/*
 * Percent-encoding: what was decoded can be encoded and decoded again; a query is walked to its
 * end.
 */
#include "fuzz.h"

#include "wire/http.h"

#include <errno.h>
#include <string.h>

static bool is_plain(char c)
{
	return c != '\0' &&
		strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%/", c);
}

/* Encode and decode `bytes`: the same comes back, and only harmless characters stand between. */
static void hold_round_trip(str bytes, bool keep_slash)
{
	struct buf encoded, decoded;

	buf_init(&encoded, SIZE_MAX);
	buf_init(&decoded, SIZE_MAX);
	uri_encode(bytes, keep_slash, &encoded);
	for (size_t i = 0; i < encoded.len; i++)
		HOLDS(is_plain(encoded.at[i]) && (keep_slash || encoded.at[i] != '/'));
	HOLDS(uri_decode(buf_str(&encoded), &decoded) == 0);
	HOLDS(str_eq(buf_str(&decoded), bytes));
	buf_done(&encoded);
	buf_done(&decoded);
}

static void hold_query(str query)
{
	str rest = query, name, value;
	size_t len = 0;

	while (uri_query_next(&rest, &name, &value)) {
		HOLDS(fuzz_is_inside(name, query) && fuzz_is_inside(value, query));
		HOLDS(str_find(name, '&') < 0 && str_find(name, '=') < 0);
		HOLDS(str_find(value, '&') < 0);
		len += name.len + value.len + (value.at != NULL);
		HOLDS(name.len + value.len + (value.at != NULL) > 0);
	}
	HOLDS(len <= query.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str text = { (const char *)data, size };
	struct buf decoded;

	buf_init(&decoded, SIZE_MAX);
	buf_put(&decoded, S("before"));
	int r = uri_decode(text, &decoded);
	HOLDS(r == 0 || r == -EINVAL);
	HOLDS(str_starts(buf_str(&decoded), S("before")));
	HOLDS(r == 0 ? decoded.len <= 6 + size : decoded.len == 6);
	hold_round_trip(buf_str(&decoded), false);
	hold_round_trip(text, true);
	hold_round_trip(text, false);
	hold_query(text);
	buf_done(&decoded);
	return 0;
}
