/*
 * A payload is never copied: what is in front of it and behind it is written into a struct of fixed size,
 * and all three leave in one sendmsg(2). The checksum is the only look at each byte; four tables make that one look
 * for four bytes.
 */
#include "wire/eventstream.h"

#include "base/attr.h"

#include <assert.h>
#include <string.h>

enum { EVENTSTREAM_PRELUDE = 12, EVENTSTREAM_STRING = 7 };

/* crc_tables[n][byte]: what the byte adds when n more bytes follow it. */
static uint32_t crc_tables[4][256];

[[gnu::constructor]] static void crc_fill(void)
{
	for (uint32_t byte = 0; byte < 256; byte++) {
		uint32_t crc = byte;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
		crc_tables[0][byte] = crc;
	}
	for (uint32_t byte = 0; byte < 256; byte++) {
		for (int n = 1; n < 4; n++) {
			uint32_t before = crc_tables[n - 1][byte];
			crc_tables[n][byte] = before >> 8 ^ crc_tables[0][before & 0xff];
		}
	}
}

uint32_t crc32_of(uint32_t crc, str bytes)
{
	const unsigned char *at = (const unsigned char *)bytes.at;
	size_t len = bytes.len;

	crc = ~crc;
	for (; len >= 4; len -= 4, at += 4) {
		crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
			(uint32_t)at[3] << 24;
		crc = crc_tables[3][crc & 0xff] ^ crc_tables[2][crc >> 8 & 0xff] ^
			crc_tables[1][crc >> 16 & 0xff] ^ crc_tables[0][crc >> 24];
	}
	for (; len > 0; len--, at++)
		crc = crc >> 8 ^ crc_tables[0][(crc ^ *at) & 0xff];
	return ~crc;
}

static void put_u32(char *to, uint32_t value)
{
	to[0] = (char)(value >> 24);
	to[1] = (char)(value >> 16);
	to[2] = (char)(value >> 8);
	to[3] = (char)value;
}

static void put_bytes(struct eventstream_frame *frame, str bytes)
{
	assert(bytes.len <= sizeof(frame->head) - frame->head_len);
	if (bytes.len)
		memcpy(frame->head + frame->head_len, bytes.at, bytes.len);
	frame->head_len += bytes.len;
}

static void put_header(struct eventstream_frame *frame, const struct eventstream_header *header)
{
	const char value_head[] = { EVENTSTREAM_STRING, (char)(header->value.len >> 8),
		(char)header->value.len };

	assert(header->name.len > 0 && header->name.len <= UINT8_MAX);
	assert(header->value.len <= UINT16_MAX);
	put_bytes(frame, (str){ (const char[]){ (char)header->name.len }, 1 });
	put_bytes(frame, header->name);
	put_bytes(frame, (str){ value_head, sizeof(value_head) });
	put_bytes(frame, header->value);
}

void eventstream_frame(struct eventstream_frame *frame, const struct eventstream_header *headers,
	size_t header_count, str payload)
{
	assert(payload.len <= EVENTSTREAM_PAYLOAD_MAX);
	frame->head_len = EVENTSTREAM_PRELUDE;
	for (size_t i = 0; i < header_count; i++)
		put_header(frame, &headers[i]);

	char *head = frame->head;
	put_u32(head, (uint32_t)(frame->head_len + payload.len + EVENTSTREAM_TAIL));
	put_u32(head + 4, (uint32_t)(frame->head_len - EVENTSTREAM_PRELUDE));
	put_u32(head + 8, crc32_of(0, (str){ head, 8 }));
	uint32_t crc = crc32_of(0, (str){ head, frame->head_len });
	put_u32(frame->tail, crc32_of(crc, payload));
}

void eventstream_frame_event(
	struct eventstream_frame *frame, str event_type, str content_type, str payload)
{
	const struct eventstream_header headers[] = {
		{ S(":event-type"), event_type },
		{ S(":content-type"), content_type },
		{ S(":message-type"), S("event") },
	};

	eventstream_frame(frame, headers, ARRAY_LEN(headers), payload);
}
