/*
 * A frame begins with 16 bytes: a magic number with the level in it, the length of the text, and a
 * time, all big-endian. 0xa5 never begins a character of UTF-8, so at the start of a line it tells a frame
 * from text. What begins like a frame and is none, or would be longer than an event may be, is text.
 */
#include "engine/log_cutter.h"

#include "base/attr.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

enum {
	FRAME_HEAD = 16,
	BEGUN_KEEP = 16 * 1024, /* a larger buffer is freed with its event */
};

void log_cutter_init(struct log_cutter *cutter)
{
	cutter->is_frame = false;
	buf_init(&cutter->begun, LOG_LINE_MAX + FRAME_HEAD);
}

void log_cutter_done(struct log_cutter *cutter)
{
	buf_done(&cutter->begun);
}

/* A line of text that lies in the bytes with its newline: false when there is none. */
static bool cutter_pass_line(str *bytes, log_event_fn *on_event, void *context)
{
	ptrdiff_t newline = str_find(str_slice(*bytes, 0, LOG_LINE_MAX), '\n');

	if (newline < 0)
		return false;
	on_event(context, str_slice(*bytes, 0, (size_t)newline + 1));
	*bytes = str_from(*bytes, (size_t)newline + 1);
	return true;
}

void log_cutter_end(struct log_cutter *cutter, log_event_fn *on_event, void *context)
{
	str text = buf_str(&cutter->begun);

	if (!text.len)
		return;
	if (cutter->is_frame && text.len < FRAME_HEAD) { /* it may be none */
		while (cutter_pass_line(&text, on_event, context))
			;
	}
	if (cutter->is_frame && text.len >= FRAME_HEAD)
		on_event(context, str_from(text, FRAME_HEAD));
	else if (text.len)
		on_event(context, text);
	cutter->is_frame = false;
	if (cutter->begun.size > BEGUN_KEEP)
		buf_done(&cutter->begun);
	else
		buf_clear(&cutter->begun);
}

/* The length of a frame's text, or -1 when these are no frame's first bytes. */
static int64_t frame_text_len(str head)
{
	const unsigned char *at = (const unsigned char *)head.at;
	/* 0xa55a0002 JSON, 0xa55a0003 text; bits 2 to 5 are the level. */
	bool is_frame = at[0] == 0xa5 && at[1] == 0x5a && at[2] == 0 && (at[3] & 0xc3) >= 2 &&
		(at[3] & 0xc3) <= 3;
	uint32_t len = (uint32_t)at[4] << 24 | (uint32_t)at[5] << 16 | (uint32_t)at[6] << 8 | at[7];

	return is_frame && len <= LOG_LINE_MAX ? (int64_t)len : -1;
}

/* Move up to `count` bytes from *bytes to what has begun. */
static void cutter_take(struct log_cutter *cutter, str *bytes, size_t count)
{
	count = MIN(count, bytes->len);
	buf_put(&cutter->begun, str_slice(*bytes, 0, count));
	*bytes = str_from(*bytes, count);
}

/* What has begun is no frame: it is read again, as text, and whatever comes behind a newline in it. */
static void cutter_read_again(struct log_cutter *cutter, log_event_fn *on_event, void *context)
{
	char head[FRAME_HEAD];
	str text = { head, FRAME_HEAD };

	assert(cutter->begun.len == FRAME_HEAD);
	memcpy(head, cutter->begun.at, FRAME_HEAD);
	buf_clear(&cutter->begun);
	cutter->is_frame = false;
	if (cutter_pass_line(&text, on_event, context))
		log_cutter_feed(cutter, text, on_event, context);
	else
		cutter_take(cutter, &text, FRAME_HEAD);
}

/* Go on with what may be a frame. */
static void cutter_take_frame(
	struct log_cutter *cutter, str *bytes, log_event_fn *on_event, void *context)
{
	if (cutter->begun.len < FRAME_HEAD)
		cutter_take(cutter, bytes, FRAME_HEAD - cutter->begun.len);
	if (cutter->begun.len < FRAME_HEAD)
		return;
	int64_t len = frame_text_len(buf_str(&cutter->begun));
	if (len < 0) {
		cutter_read_again(cutter, on_event, context);
		return;
	}
	cutter_take(cutter, bytes, FRAME_HEAD + (size_t)len - cutter->begun.len);
	if (cutter->begun.len == FRAME_HEAD + (size_t)len)
		log_cutter_end(cutter, on_event, context);
}

/* Go on with a line of text, up to its newline. */
static void cutter_take_text(
	struct log_cutter *cutter, str *bytes, log_event_fn *on_event, void *context)
{
	if (!cutter->begun.len && cutter_pass_line(bytes, on_event, context))
		return; /* where it lies */
	ptrdiff_t newline = str_find(*bytes, '\n');
	size_t len = newline < 0 ? bytes->len : (size_t)newline + 1;
	cutter_take(cutter, bytes, MIN(len, LOG_LINE_MAX - cutter->begun.len));
	if (!cutter->begun.err &&
		(cutter->begun.at[cutter->begun.len - 1] == '\n' ||
			cutter->begun.len == LOG_LINE_MAX))
		log_cutter_end(cutter, on_event, context);
}

void log_cutter_feed(struct log_cutter *cutter, str bytes, log_event_fn *on_event, void *context)
{
	while (bytes.len && !cutter->begun.err) {
		if (!cutter->begun.len)
			cutter->is_frame = (unsigned char)bytes.at[0] == 0xa5;
		if (cutter->is_frame)
			cutter_take_frame(cutter, &bytes, on_event, context);
		else
			cutter_take_text(cutter, &bytes, on_event, context);
	}
	if (cutter->begun.err) /* out of memory: what has begun is lost */
		buf_clear(&cutter->begun);
}
