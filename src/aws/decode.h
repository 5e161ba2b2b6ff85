#pragma once
/*
 * From an HTTP request to the tree that a handler sees, driven by the service's tables: one
 * decoder for each protocol, one entry for all.
 */
#include "aws/call.h"
#include "aws/route.h"

enum decode_answer {
	DECODE_DONE = 0,
	DECODE_REFUSED, /* decode->code and decode->message say why */
};

enum {
	DECODE_DEPTH_MAX = 64, /* of nested values; AWS's own models need less than half */
	DECODE_MESSAGE_MAX = 4096,
	DECODE_PARAMETERS_MAX = 20'000, /* of a query */
	DECODE_ELEMENTS_MAX = 200'000,	/* of an XML document */
};

/* One request that is decoded. Zero it, set what is given, end it with decode_done(). */
struct decode {
	/* given: borrowed until decode_done() */
	const struct aws_service *service;
	const struct route *route; /* labels count for REST protocols only */
	const struct http_head *head;
	str body;
	int body_fd; /* > 0: the body is this file, not `body` */
	struct arena *arena;
	/* on DECODE_REFUSED */
	const char *code;
	str message; /* in the arena */
	/* on DECODE_DONE */
	int blob_fd; /* > 0: the blob that was left out of the tree; the caller's to take */
	uint64_t blob_len;
	const struct aws_member *blob_member; /* which it is */
	/* inside */
	struct cuts *cuts;
	unsigned depth;
	unsigned is_in_collection; /* lists and maps around the value */
	void *mapped;
	size_t mapped_len;
};

/* Decode into a new object in *ret_in: a decode_answer or a fault. Blocks on files. */
[[nodiscard]] int decode_request(struct decode *decode, json_t **ret_in);

/* Free what is inside; blob_fd too unless it was taken (set to 0). */
void decode_done(struct decode *decode);
