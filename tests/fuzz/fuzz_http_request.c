/*
 * Request heads: the answer does not depend on how the bytes arrive; what was parsed, written
 * again in the plainest form, is parsed to the same.
 */
#include "fuzz.h"

#include "base/mem.h"
#include "wire/http.h"

#include <string.h>

enum { FUZZ_SLOW_MAX = 4096 };

static struct http_head head, again;

/* As if each byte came alone. */
static void arrive_slowly(str bytes, enum http_parse_answer answer, size_t used)
{
	for (size_t len = 0; len <= bytes.len; len++) {
		size_t slow_used = 0;
		enum http_parse_answer slow = http_parse_request(
			str_slice(bytes, 0, len), len ? len - 1 : 0, &again, &slow_used);
		if (slow == HTTP_MORE)
			continue;
		HOLDS(slow == answer);
		HOLDS(answer != HTTP_PARSED || slow_used == used);
		HOLDS(answer != HTTP_PARSED || slow_used == len);
		return;
	}
	HOLDS(answer == HTTP_MORE);
}

static void hold_views(str bytes)
{
	HOLDS(fuzz_is_inside(head.method, bytes) && fuzz_is_inside(head.target, bytes));
	HOLDS(fuzz_is_inside(head.query, bytes));
	HOLDS(head.path.len > 0 && (head.path.at[0] == '/' || str_eq(head.path, S("*"))));
	HOLDS(head.field_count <= HTTP_FIELDS_MAX);
	for (size_t i = 0; i < head.field_count; i++) {
		HOLDS(fuzz_is_inside(head.fields[i].name, bytes) && head.fields[i].name.len > 0);
		HOLDS(fuzz_is_inside(head.fields[i].value, bytes));
		HOLDS(str_find(head.fields[i].value, '\r') < 0);
		HOLDS(http_field(&head, head.fields[i].name).at != NULL);
	}
	HOLDS(!(head.chunked && head.has_length));
	HOLDS(head.has_length || head.length == 0);
}

static void hold_rewriting(void)
{
	struct buf text;
	size_t used;

	buf_init(&text, SIZE_MAX);
	buf_put(&text, head.method);
	buf_put_char(&text, ' ');
	buf_put(&text, head.target);
	buf_putf(&text, " HTTP/1.%d\r\n", head.minor);
	for (size_t i = 0; i < head.field_count; i++) {
		buf_put(&text, head.fields[i].name);
		buf_put_char(&text, ':');
		buf_put(&text, head.fields[i].value);
		buf_put(&text, S("\r\n"));
	}
	buf_put(&text, S("\r\n"));
	HOLDS(http_parse_request(buf_str(&text), 0, &again, &used) == HTTP_PARSED);
	HOLDS(used == text.len && again.verb == head.verb && again.field_count == head.field_count);
	HOLDS(str_eq(again.path, head.path) && str_eq(again.query, head.query));
	HOLDS(again.keep_alive == head.keep_alive && again.chunked == head.chunked);
	HOLDS(again.expect_continue == head.expect_continue && again.length == head.length);
	HOLDS(again.has_length == head.has_length);
	buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str bytes = { (const char *)data, size };
	size_t used = 0;

	enum http_parse_answer answer = http_parse_request(bytes, 0, &head, &used);
	if (answer == HTTP_PARSED) {
		HOLDS(used <= size && used <= HTTP_HEAD_MAX);
		hold_views(str_slice(bytes, 0, used));
		hold_rewriting();
	}
	if (size <= FUZZ_SLOW_MAX)
		arrive_slowly(bytes, answer, used);
	return 0;
}
