#pragma once
/*
 * Inside of synchronous invocations: what invoke_fast.c (requests, and answers that are whole), invoke_foreign.c (functions of
 * other accounts) and invoke_stream.c (answers in pieces) share. For nobody else.
 */
#include "aws/front.h"
#include "engine/engine.h"
#include "model/arn.h"

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

/*
 * An error of Invoke: rest-json, its type in a header. The name of the message's member is the
 * model's: "message" for some exceptions, "Message" for the others.
 */
struct invoke_error {
	int status;
	const char *type;
	const char *message_member;
	str message;
	str reason;	      /* of a throttle */
	unsigned retry_after; /* seconds; 0: not told */
};
void invoke_reply_error(
	struct http_conn *conn, const char *request_id, const struct invoke_error *error);

/* The request once more, now that its caller may invoke the function: it is answered in any case. */
void invoke_allowed(struct platform *platform, struct http_conn *conn, struct http_request *request,
	const struct front_caller *caller);

/* --- invoke_foreign.c --- */

/*
 * Ask the policy of another account's function whether the caller may invoke it, and go on with invoke_allowed(); or refuse it.
 * `request` is the connection's. False, without an answer, when there is no memory for it. Loop thread.
 */
bool invoke_foreign(struct platform *platform, struct http_conn *conn, struct http_request *request,
	const struct front_caller *caller, const struct function_name *name, str qualifier);

/* --- invoke_stream.c --- */

/* What the function streams, on its way; the context is a fast_invoke. */
extern const struct response_sink invoke_stream_sink;
/* The end of it, or all of an answer that came whole; frees the fast_invoke. */
void invoke_stream_done(void *fast, const struct invocation_result *result);
/* The client's connection takes more: a fast_invoke's user. */
void invoke_stream_drained(struct front_user *user);
