#pragma once
/* Inside of requests by function URL: what url_serve.c and url_stream.c share. For nobody else. */
#include "aws/front.h"
#include "engine/engine.h"
#include "engine/trace.h"
#include "services/lambda/url.h"
#include "services/lambda/url_book.h"

/* One request on its way: for the connection's reply. Freed with the answer, or when the client goes. */
struct url_request {
	struct front_user user;
	struct url_waiter waiter;
	struct platform *platform;
	struct http_conn *conn;
	struct http_request *request; /* the connection's, until the reply */
	const struct front_listener *listener;
	struct function_url *url; /* a reference, once it is known */
	struct invocation *invocation;
	struct buf event; /* what the engine borrows */
	/* of a response that is streamed: url_stream.c */
	struct buf fields;  /* lines of its head, until that is sent */
	struct buf prelude; /* what has come of it */
	bool is_prelude;    /* it has not come whole */
	str path;
	int status;	   /* of the response; 0: it has not begun */
	uint64_t begun_ms; /* clock_mono_ms() */
	char id[URL_ID_LEN + 1];
	char request_id[UUID_LEN + 1];
	char trace[TRACE_MAX]; /* empty: the caller has sent one */
};

/* With all it has; the connection is not its any more. */
void url_request_free(struct url_request *self);
/* The lines that every response of a function has, and those for browsers. */
void url_put_fields(struct buf *fields, const struct url_request *self, str trace);
/* The end of a request: the invocation did not run, or failed. */
void url_answer_refused(struct url_request *self, const struct invocation_result *result);
/* The end of a request: no response can be made of what the function returned. */
void url_answer_bad_gateway(struct url_request *self);

/* --- url_stream.c: InvokeMode RESPONSE_STREAM --- */

/* A response on its way; the context is a url_request. */
extern const struct response_sink url_stream_sink;
/* The end of it, or all of one that came whole. */
void url_stream_done(void *request, const struct invocation_result *result);
/* The end of a request whose URL is buffered: the response of a function that streams. */
void url_stream_whole(struct url_request *self, const struct invocation_result *result);
