/*
 * InvokeWithResponseStream: the function's response as messages of an event stream, each in a chunk of its own.
 *
 *	sink: begin ──► head        piece ──► PayloadChunk        done ──► InvokeComplete, end
 *
 * A response that comes whole is one PayloadChunk. When the client's connection holds back more than a little,
 * the function is made to wait, until all of that has left.
 *
 * InvokeComplete is empty when all went well. Otherwise its ErrorCode is the type of an error that Lambda found after the
 * response had begun ("Runtime.TruncatedResponse", "Sandbox.Timedout"…), and "Unhandled", the FunctionError of Invoke, for all
 * others; ErrorDetails is the error object that Invoke would answer.
 */
#include "services/lambda/invoke_parts.h"

#include "base/attr.h"
#include "base/list.h"
#include "base/mem.h"
#include "http/server.h"
#include "wire/digest.h"
#include "wire/eventstream.h"

enum {
	FIELDS_MAX = 4096,
	BACKLOG_MAX = 64 * 1024, /* bytes that a client may be behind before the function waits */
	CHUNK_MAX = 8 * 1024 * 1024,   /* of a response that comes whole: more than AWS's limit */
	DETAILS_MAX = 64 * 1024,       /* a longer error object is told in the chunk alone */
	COMPLETE_MAX = 8 * DETAILS_MAX /* escaped six times as long, and the log */
};

static void send_event(struct fast_invoke *fast, str event_type, str content_type, str payload)
{
	struct eventstream_frame frame;

	eventstream_frame_event(&frame, event_type, content_type, payload);
	const str pieces[] = {
		{ frame.head, frame.head_len },
		payload,
		{ frame.tail, sizeof(frame.tail) },
	};
	static_assert(ARRAY_LEN(pieces) <= HTTP_STREAM_PIECES_MAX);
	http_stream_send(fast->conn, pieces, ARRAY_LEN(pieces));
}

static void send_chunk(struct fast_invoke *fast, str content)
{
	send_event(fast, S("PayloadChunk"), S("application/octet-stream"), content);
}

/* The function's own content type travels beside that of the event stream. */
static void stream_begin(void *context, const struct response_start *start)
{
	struct fast_invoke *fast = context;
	struct buf fields;
	str type = start->content_type.len ? start->content_type : S("application/octet-stream");

	buf_init(&fields, FIELDS_MAX);
	invoke_put_common_fields(
		&fields, S("application/vnd.amazon.eventstream"), fast->request_id);
	invoke_put_field(&fields, "X-Amz-Executed-Version", start->version);
	invoke_put_field(&fields, "X-Amzn-Trace-Id", start->trace);
	invoke_put_field(&fields, "x-amzn-Remapped-Content-Type", type);
	if (fields.err)
		http_conn_abort(fast->conn);
	http_stream_begin(
		fast->conn, &(struct http_reply){ .status = 200, .fields = buf_str(&fields) });
	buf_done(&fields);
}

static bool stream_piece(void *context, str content)
{
	struct fast_invoke *fast = context;

	send_chunk(fast, content);
	return http_stream_backlog(fast->conn) < BACKLOG_MAX;
}

const struct response_sink invoke_stream_sink = { .begin = stream_begin, .piece = stream_piece };

void invoke_stream_drained(struct front_user *user)
{
	invocation_resume(list_entry(user, struct fast_invoke, user)->invocation);
}

static void put_member(struct buf *body, const char *name, str value)
{
	if (body->len > 1)
		buf_put_char(body, ',');
	buf_putf(body, "\"%s\":", name);
	buf_put_json(body, value);
}

static void put_complete(struct buf *body, const struct invocation_result *result)
{
	struct buf tail;

	buf_put_char(body, '{');
	if (result->is_error) {
		bool is_ours = result->has_begun && result->own_error.len;
		put_member(body, "ErrorCode", is_ours ? result->own_error : S("Unhandled"));
		if (result->payload.len <= DETAILS_MAX)
			put_member(body, "ErrorDetails", result->payload);
	}
	if (result->tail.len) {
		buf_init(&tail, 2 * result->tail.len);
		base64_put(&tail, result->tail);
		put_member(body, "LogResult", buf_str(&tail));
		buf_done(&tail);
	}
	buf_put_char(body, '}');
}

/* It came whole, well or not: what there is, in one chunk. */
static void send_whole(struct fast_invoke *fast, const struct invocation_result *result)
{
	str rest = result->payload;

	stream_begin(fast,
		&(struct response_start){
			.version = result->version,
			.trace = result->trace,
			.content_type = result->content_type.len && !result->is_error
				? result->content_type
				: S("application/json"),
		});
	for (; rest.len; rest = str_from(rest, CHUNK_MAX))
		send_chunk(fast, str_slice(rest, 0, CHUNK_MAX));
}

void invoke_stream_done(void *context, const struct invocation_result *result)
{
	struct fast_invoke *fast = context;
	struct buf body;

	http_conn_set_user(fast->conn, NULL);
	if (result->outcome != INVOKE_DONE && !result->has_begun) {
		invoke_reply_refused(fast, result);
		mem_free(fast);
		return;
	}
	buf_init(&body, COMPLETE_MAX);
	if (!result->has_begun)
		send_whole(fast, result);
	put_complete(&body, result);
	if (body.err ||
		result->outcome != INVOKE_DONE) /* half a stream must not look like a whole one */
		http_conn_abort(fast->conn);
	else
		send_event(fast, S("InvokeComplete"), S("application/json"), buf_str(&body));
	http_stream_end(fast->conn);
	buf_done(&body);
	mem_free(fast);
}
