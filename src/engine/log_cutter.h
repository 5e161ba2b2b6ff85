#pragma once
/*
 * The bytes that a function prints, cut into events as they come: lines of text, and the frames of
 * Lambda's own format that a runtime writes between them. See log_cutter.c.
 */
#include "base/buf.h"

enum { LOG_LINE_MAX = 256 * 1024 }; /* bytes of an event; what is longer is cut */

struct log_cutter {
	struct buf begun; /* of an event whose rest has not come yet */
	bool is_frame;	  /* that is one */
};

/* An event; never empty, but a frame's may be. The view is valid during the call. */
typedef void log_event_fn(void *context, str event);

/* One that has been fed nothing. */
void log_cutter_init(struct log_cutter *cutter);
/* Frees what it holds; what has begun is lost. Twice is once. */
void log_cutter_done(struct log_cutter *cutter);
/* More bytes. Without memory for a part of an event it is lost; the next bytes are read as usual. */
void log_cutter_feed(struct log_cutter *cutter, str bytes, log_event_fn *on_event, void *context);
/* Nothing more comes for now: what has begun is an event as it is. */
void log_cutter_end(struct log_cutter *cutter, log_event_fn *on_event, void *context);
