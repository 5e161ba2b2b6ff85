/*
 * Responses that a runtime streams ("Lambda-Runtime-Function-Response-Mode: streaming", chunked) for a
 * caller who takes them as they come. For any other caller a streamed response is one like all, gathered by the
 * connection and held against the limit of answers.
 *
 *	runtime ── POST …/response ──► connection ── on_body ──► sink ──► the caller's connection
 *	   (waits)  ◄── not read any more ──────────── "enough" ◄─┘
 *
 * Nothing is kept here: what was read is given on before more is read, and a sink that has enough stops the reading.
 * The kernel's buffers fill, and then the function waits in its write. Its time goes on meanwhile.
 *
 * It ends in one of these ways:
 *	the body's end		without trailers: done; with the trailers of an error: with that
 *	above the limit		Function.ResponseSizeTooLarge, behind what fits
 *	the connection's end	Runtime.TruncatedResponse; mostly the runtime has crashed
 *	a time-out, a crash	as for every invocation
 */
#include "engine/response_stream.h"

#include "base/attr.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/invocation.h"
#include "engine/runtime_api.h"
#include "http/server.h"
#include "model/limits.h"
#include "wire/digest.h"
#include "wire/json_check.h"

#include <assert.h>

#define ERROR_TYPE S("Lambda-Runtime-Function-Error-Type")
#define ERROR_BODY S("Lambda-Runtime-Function-Error-Body")

bool response_is_stream(const struct http_head *head)
{
	return str_eq_fold(
		http_field(head, S("Lambda-Runtime-Function-Response-Mode")), S("streaming"));
}

/* The runtime's object, in base64, or one that says as much as is known. */
static void put_error_object(struct buf *object, str type, str encoded)
{
	size_t from = object->len, offset;

	if (encoded.len && base64_decode(encoded, object) == 0 &&
		json_check(str_from(buf_str(object), from), &offset))
		return;
	object->len = from;
	buf_put(object, S("{\"errorType\":"));
	buf_put_json(object, type);
	buf_put(object,
		S(",\"errorMessage\":\"The function failed while it was streaming its "
		  "response.\"}"));
}

bool response_trailer_error(str trailers, str *ret_type, struct buf *object)
{
	str type = http_trailer(trailers, ERROR_TYPE), body = http_trailer(trailers, ERROR_BODY);

	if (!type.len && !body.len)
		return false;
	put_error_object(object, type, body);
	*ret_type = type;
	return true;
}

void response_stream_begin(
	struct environment *env, struct http_conn *conn, const struct http_head *head)
{
	assert(env->answering == conn && !env->is_streaming);
	env->is_streaming = true;
	http_stream_body(conn);
	invocation_begin(env->invocation, http_field(head, S("Content-Type")));
}

int response_stream_on_body(struct environment *env, struct http_conn *conn, str content)
{
	struct invocation *invocation = env->invocation;

	assert(env->answering == conn && env->is_streaming);
	if (!invocation || invocation->is_ended) { /* without it; its environment goes, too */
		http_conn_abort(conn);
		return 0;
	}
	str fitting = str_slice(content, 0, LIMIT_STREAM_BYTES - invocation->streamed);
	if (fitting.len && !invocation_piece(invocation, fitting))
		http_stream_pause(conn, true);
	if (fitting.len == content.len)
		return 0;
	invocation_fail(invocation, "error", "Function.ResponseSizeTooLarge",
		"Response payload size exceeded maximum allowed payload size (%d bytes).",
		LIMIT_STREAM_BYTES);
	return 413;
}

void response_stream_end(
	struct invocation *invocation, struct http_conn *conn, const struct http_request *request)
{
	struct answer answer = { .is_stream = true };
	struct buf object;
	str type;

	assert(invocation->has_begun && request->body_len == invocation->streamed);
	buf_init(&object, 2 * HTTP_HEAD_MAX);
	if (response_trailer_error(request->trailers, &type, &object)) {
		invocation_fail_with(invocation, buf_str(&object), runtime_api_error_type(type));
		runtime_api_accepted(conn);
	} else {
		http_conn_set_user(conn, invocation);
		invocation_respond(invocation, conn, &answer);
	}
	buf_done(&object);
}

void response_stream_on_lost(struct environment *env)
{
	struct invocation *invocation = env->invocation;

	if (!invocation || invocation->is_ended)
		return;
	env->is_stream_lost = true;
	invocation_fail(invocation, "error", RESPONSE_TRUNCATED,
		"RequestId: %s Error: The response broke off before its end",
		invocation->request_id);
}

void response_stream_resume(struct environment *env)
{
	if (env->answering && env->is_streaming)
		http_stream_pause(env->answering, false);
}
