#pragma once
/*
 * Messages of application/vnd.amazon.eventstream, as AWS's services send them: written, never read.
 *
 *	| total length | headers length | CRC-32 of these | headers | payload | CRC-32 of all that |
 */
#include "base/str.h"

#include <stdint.h>

enum {
	EVENTSTREAM_HEAD_MAX = 256, /* all that is in front of a payload, of our messages */
	EVENTSTREAM_TAIL = 4,	    /* the CRC behind it */
	EVENTSTREAM_PAYLOAD_MAX = 16 * 1024 * 1024, /* clients refuse longer ones: botocore 24 MB */
};

/* A header whose value is a string. */
struct eventstream_header {
	str name;  /* up to 255 bytes */
	str value; /* up to 65,535 bytes */
};

/* A message but for its payload, which lies where it is and is sent between these two. */
struct eventstream_frame {
	char head[EVENTSTREAM_HEAD_MAX];
	size_t head_len;
	char tail[EVENTSTREAM_TAIL];
};

/*
 * Frame a payload of up to EVENTSTREAM_PAYLOAD_MAX bytes. Headers and lengths are our own: what does not
 * fit is a bug.
 */
void eventstream_frame(struct eventstream_frame *frame, const struct eventstream_header *headers,
	size_t header_count, str payload);

/* The same for an event: :event-type, :content-type and :message-type, in the order of Lambda. */
void eventstream_frame_event(
	struct eventstream_frame *frame, str event_type, str content_type, str payload);

/* CRC-32 as in zlib and PNG, going on from `crc` (0 at first). */
[[nodiscard]] uint32_t crc32_of(uint32_t crc, str bytes);
