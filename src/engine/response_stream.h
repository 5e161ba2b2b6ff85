#pragma once
/* A response that the runtime streams: see response_stream.c. */
#include "base/buf.h"

#include <stdbool.h>

struct environment;
struct http_conn;
struct http_head;
struct http_request;
struct invocation;

/* The type of the error of a response that broke off: by a crash, or a connection that was closed. */
#define RESPONSE_TRUNCATED "Runtime.TruncatedResponse"

/* Does the runtime stream this answer? */
[[nodiscard]] bool response_is_stream(const struct http_head *head);
/*
 * The error that the trailers of a streamed answer tell: its type as the runtime says it, and its object
 * (appended to `object`). False when they tell none.
 */
[[nodiscard]] bool response_trailer_error(str trailers, str *ret_type, struct buf *object);

/* At its head: the running invocation's sink gets the body of this connection as it comes. */
void response_stream_begin(
	struct environment *env, struct http_conn *conn, const struct http_head *head);
/* Content of it: 0, or a status to refuse the rest with. */
[[nodiscard]] int response_stream_on_body(
	struct environment *env, struct http_conn *conn, str content);
/* It is whole: the end of the invocation. */
void response_stream_end(
	struct invocation *invocation, struct http_conn *conn, const struct http_request *request);
/* Its connection has gone before that. */
void response_stream_on_lost(struct environment *env);
/* Read more of it again, if it was paused. */
void response_stream_resume(struct environment *env);
