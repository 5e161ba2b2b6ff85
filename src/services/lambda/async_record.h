#pragma once
/* What destinations are told about an asynchronous invocation. */
#include "base/buf.h"

struct async_record {
	uint64_t now_ms;
	str request_id;
	str function_arn; /* with the qualifier */
	const char *
		condition; /* "Success", "RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency" */
	unsigned invoke_count;
	str request;	   /* JSON */
	bool has_response; /* the function has answered or failed */
	bool is_error;
	str version; /* with has_response: that ran */
	str response;
};

/* The record as JSON, as AWS writes it. */
void async_record_put(struct buf *out, const struct async_record *record);

/* The beginning of an error object's errorMessage, for a dead letter's attribute: at most `max` bytes, whole characters. */
void async_record_put_message(struct buf *out, str response, size_t max);
