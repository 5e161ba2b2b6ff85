#pragma once
/* The HTTP request that brings a record or a dead letter to a queue, a topic, a bus or a bucket. */
#include "base/buf.h"

/* What is to be told, and where. */
struct delivery {
	str target;	   /* an ARN */
	str endpoint;	   /* http://host:port */
	str function;	   /* whose invocation it was */
	str region;	   /* of the function: buckets' ARNs have none */
	str request_id;	   /* of the invocation */
	str code, message; /* of a dead letter; empty: a record */
	str body;
	uint64_t now_ms;
	str random; /* a UUID, for the key in a bucket */
};

struct delivery_request {
	const char *method;
	str service, region;	      /* to sign for */
	struct buf url, fields, body; /* fields: "Name: value", each ended by a NUL */
};

/* Made so: true, or false when no request can bring it there: `why` says so. delivery_request_done() in both cases. */
[[nodiscard]] bool delivery_request_make(
	const struct delivery *delivery, struct delivery_request *ret_request, struct buf *why);
void delivery_request_done(struct delivery_request *request);

/* What the answer means. */
enum delivery_answer { DELIVERY_DONE = 0, DELIVERY_LATER, DELIVERY_REFUSED };
[[nodiscard]] enum delivery_answer delivery_judge(str service, long status, str body);
