/*
 * A marker is base64 of "mayfly:LIST:LAST": it says where to go on, so a list may change between its pages
 * without any being skipped or told twice. It holds no secret and grants nothing, so it is not signed.
 */
#include "services/lambda/page.h"

#include "base/attr.h"
#include "base/err.h"
#include "wire/digest.h"

#include <errno.h>

enum { PAGE_DEFAULT = 50, MARKER_MAX = 4096 };

/* The text of a marker, or false. */
static bool page_decode(struct call *call, const char *list, str *ret_after)
{
	struct buf text;
	bool is_ours = false;

	buf_init(&text, MARKER_MAX);
	str encoded = call_str(call, "Marker");
	if (encoded.len <= MARKER_MAX && base64_decode(encoded, &text) == 0 && !text.err) {
		str rest = buf_str(&text), product, name;
		is_ours = str_cut(&rest, ':', &product) && str_eq(product, S("mayfly")) &&
			str_cut(&rest, ':', &name) && str_eq(name, str_of(list)) && rest.len > 0;
		if (is_ours)
			*ret_after = arena_str(call->arena, rest);
	}
	buf_done(&text);
	return is_ours;
}

int lambda_page_read(struct call *call, const char *list, size_t most, struct lambda_page *ret_page)
{
	struct lambda_page page = { .list = list };

	page.limit = MIN((size_t)call_int(call, "MaxItems", PAGE_DEFAULT), most);
	/* An empty marker is what some clients send for "from the start". */
	if (call_str(call, "Marker").len && !page_decode(call, list, &page.after))
		return lambda_refuse(call, INVALID, "The provided Marker is not valid.");
	if (call_str(call, "Marker").len && !page.after.at)
		return err_raise(-ENOMEM);
	*ret_page = page;
	return 0;
}

void lambda_page_more(const struct lambda_page *page, struct tree *out, str last)
{
	struct buf text, encoded;

	buf_init(&text, MARKER_MAX);
	buf_init(&encoded, MARKER_MAX);
	buf_put(&text, S("mayfly:"));
	buf_put(&text, str_of(page->list));
	buf_put_char(&text, ':');
	buf_put(&text, last);
	base64_put(&encoded, buf_str(&text));
	bool is_good = !text.err && !encoded.err;
	tree_put(out, "NextMarker", is_good ? json_from_str(buf_str(&encoded)) : NULL);
	buf_done(&text);
	buf_done(&encoded);
}
