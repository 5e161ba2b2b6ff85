/*
 * The data of a chunk is its events, one after the other:
 *
 *	varint  time since the chunk's first event
 *	varint  ingestion time since that of the first event
 *	varint  length of the message
 *	bytes   the message
 *
 * A varint is seven bits a byte, the lowest first; the last byte has its high bit clear.
 */
#include "store/logs_chunk.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>

enum { CHUNK_CEILING = 64 * 1024 * 1024, VARINT_BYTES_MAX = 10 };

void chunk_init(struct chunk *chunk)
{
	*chunk = (struct chunk){};
	buf_init(&chunk->data, CHUNK_CEILING);
}

void chunk_done(struct chunk *chunk)
{
	buf_done(&chunk->data);
}

void chunk_clear(struct chunk *chunk)
{
	struct buf data = chunk->data;
	buf_clear(&data);
	*chunk = (struct chunk){ .data = data };
}

bool chunk_takes(const struct chunk *chunk, const struct logs_event *event)
{
	if (chunk->count == 0)
		return true;
	return event->timestamp_ms >= chunk->last_ms &&
		event->timestamp_ms - chunk->first_ms <= CHUNK_SPAN_MS &&
		event->ingested_ms >= chunk->ingested_ms && chunk->count < CHUNK_EVENTS_MAX &&
		chunk->data.len + event->message.len <= CHUNK_BYTES;
}

static void varint_put(struct buf *out, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		buf_put_char(out, (char)(value | 0x80));
	buf_put_char(out, (char)value);
}

/* False at the end of the data, or when it is no varint of 64 bits. */
static bool varint_take(str *rest, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (size_t i = 0; i < rest->len && i < VARINT_BYTES_MAX; i++) {
		uint64_t byte = (unsigned char)rest->at[i];
		value |= (byte & 0x7f) << (7 * i);
		if (byte < 0x80) {
			*rest = str_from(*rest, i + 1);
			*ret_value = value;
			return i + 1 < VARINT_BYTES_MAX || byte <= 1;
		}
	}
	return false;
}

void chunk_put(struct chunk *chunk, const struct logs_event *event)
{
	assert(chunk_takes(chunk, event));
	if (chunk->count == 0) {
		chunk->first_ms = event->timestamp_ms;
		chunk->ingested_ms = event->ingested_ms;
	}
	varint_put(&chunk->data, event->timestamp_ms - chunk->first_ms);
	varint_put(&chunk->data, event->ingested_ms - chunk->ingested_ms);
	varint_put(&chunk->data, event->message.len);
	buf_put(&chunk->data, event->message);
	chunk->last_ms = event->timestamp_ms;
	chunk->bytes += event->message.len + LOGS_EVENT_BYTES;
	chunk->count++;
}

int chunk_read(
	str data, uint64_t first_ms, uint64_t ingested_ms, struct chunk_event *events, size_t count)
{
	uint64_t last = 0;
	uint64_t at;
	uint64_t ingested;
	uint64_t len;

	for (size_t i = 0; i < count; i++) {
		if (!varint_take(&data, &at) || !varint_take(&data, &ingested) ||
			!varint_take(&data, &len) || len > data.len)
			return err_raise(-EUCLEAN);
		if (at < last || at > CHUNK_SPAN_MS || ingested > INT64_MAX)
			return err_raise(-EUCLEAN);
		events[i] = (struct chunk_event){
			.at_ms = first_ms + at,
			.ingested_ms = ingested_ms + ingested,
			.message = str_slice(data, 0, (size_t)len),
		};
		data = str_from(data, (size_t)len);
		last = at;
	}
	return data.len == 0 ? 0 : err_raise(-EUCLEAN);
}
