#pragma once
/*
 * Inside of synchronous invocations: what invoke_fast.c (requests, and answers that are whole) and invoke_stream.c (answers in
 * pieces) share. For nobody else.
 */
#include "aws/front.h"
#include "engine/engine.h"

/* One invocation on its way, for the connection's reply. Freed with the answer, or when the client goes. */
struct fast_invoke {
	struct front_user user;
	struct http_conn *conn;
	struct invocation *invocation;
	char request_id[UUID_LEN + 1];
	char arn[512]; /* for the words of errors */
};

/* Answer an outcome other than INVOKE_DONE. */
void invoke_reply_refused(const struct fast_invoke *fast, const struct invocation_result *result);
/* Content-Type and the request's id, which every answer has. */
void invoke_put_common_fields(struct buf *fields, str content_type, const char *request_id);
/* A header field, when it has a value that may be one. */
void invoke_put_field(struct buf *fields, const char *name, str value);

/* --- invoke_stream.c --- */

/* What the function streams, on its way; the context is a fast_invoke. */
extern const struct response_sink invoke_stream_sink;
/* The end of it, or all of an answer that came whole; frees the fast_invoke. */
void invoke_stream_done(void *fast, const struct invocation_result *result);
/* The client's connection takes more: a fast_invoke's user. */
void invoke_stream_drained(struct front_user *user);
