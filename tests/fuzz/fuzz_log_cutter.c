/*
 * What a function prints, cut into events: however its bytes come in pieces, the events are the same; text loses nothing and
 * has newlines at its ends only.
 */
#include "fuzz.h"

#include "engine/log_cutter.h"

static void on_event(void *context, str event)
{
	struct buf *told = context;
	uint32_t len = (uint32_t)event.len;

	HOLDS(event.len <= LOG_LINE_MAX);
	buf_put(told, (str){ (const char *)&len, sizeof(len) });
	buf_put(told, event);
}

/* No event of text, which has no frame in it, has a newline but as its last byte; all of them are the text. */
static void on_text(void *context, str event)
{
	str *rest = context;
	ptrdiff_t newline = str_find(event, '\n');

	HOLDS(newline < 0 || (size_t)newline == event.len - 1);
	HOLDS(str_starts(*rest, event));
	*rest = str_from(*rest, event.len);
}

static void cut(str bytes, size_t step, log_event_fn *fn, void *context)
{
	struct log_cutter cutter;

	log_cutter_init(&cutter);
	for (size_t at = 0; at < bytes.len; at += step)
		log_cutter_feed(&cutter, str_slice(bytes, at, at + step), fn, context);
	log_cutter_end(&cutter, fn, context);
	log_cutter_done(&cutter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;

	if (size < 2)
		return 0;
	str bytes = { (const char *)data + 1, size - 1 }, rest = bytes;
	buf_init(&whole, SIZE_MAX);
	buf_init(&pieces, SIZE_MAX);
	cut(bytes, bytes.len, on_event, &whole);
	cut(bytes, 1 + data[0] % 40, on_event, &pieces);
	HOLDS(str_eq(buf_str(&whole), buf_str(&pieces)));
	buf_done(&whole);
	buf_done(&pieces);
	if (str_find(bytes, '\xa5') < 0) {
		cut(bytes, 1 + data[0] % 40, on_text, &rest);
		HOLDS(!rest.len);
	}
	return 0;
}
