/*
 * Function URLs with InvokeMode RESPONSE_STREAM: what the function writes, in chunks as it writes it.
 *
 * A response of the type application/vnd.awslambda.http-integration-response begins with a prelude: a JSON object with statusCode,
 * headers and cookies, and eight NUL bytes. Until that is there nothing can be said to the client; from then on, and with
 * any other type at once, bytes are passed on. An error that comes later cannot be told any more: the connection is closed
 * before the body's end, which no client takes for a whole response.
 *
 * What a function returns that does not stream is the body as it is: nothing is inferred from it, unlike with BUFFERED.
 */
#include "services/lambda/url_parts.h"

#include "base/attr.h"
#include "base/err.h"
#include "http/server.h"
#include "services/lambda/url_answer.h"

#include <assert.h>

enum {
	FIELDS_MAX = 256 * 1024,
	PRELUDE_MAX = 64 * 1024,
	BACKLOG_MAX = 64 * 1024 /* bytes that a client may be behind before the function waits */
};

#define HTTP_INTEGRATION S("application/vnd.awslambda.http-integration-response")

static const str delimiter = S_INIT("\0\0\0\0\0\0\0\0");

static void put_content_type(struct buf *fields, str type, str otherwise)
{
	bool is_line = type.len && str_find(type, '\r') < 0 && str_find(type, '\n') < 0;

	buf_put(fields, S("Content-Type: "));
	buf_put(fields, is_line ? type : otherwise);
	buf_put(fields, S("\r\n"));
}

/* The head, with the lines that have been put together. Without memory for all of them there is none. */
static void begin_reply(struct url_request *self, int status)
{
	self->status = status;
	if (self->fields.err)
		http_conn_abort(self->conn);
	http_stream_begin(self->conn,
		&(struct http_reply){ .status = status, .fields = buf_str(&self->fields) });
	buf_done(&self->fields);
}

/* --- the prelude --- */

/* No response can be made of it. What the function goes on to write is for nobody. */
static void give_up(struct url_request *self)
{
	invocation_abandon(self->invocation);
	self->invocation = NULL;
	url_answer_bad_gateway(self);
}

/* False when it is none, or the memory for it is missing. */
static bool begin_with_prelude(struct url_request *self, str prelude)
{
	struct url_answer made;

	int r = url_answer_read_prelude(prelude, &made);
	if (r < 0)
		err_log(r, "read the prelude of a response");
	if (r == URL_ANSWER_GOOD) {
		buf_put(&self->fields, buf_str(&made.fields));
		begin_reply(self, made.status);
	}
	url_answer_done(&made);
	return r == URL_ANSWER_GOOD;
}

/* Gather it; behind its end the body begins. */
static void take_prelude(struct url_request *self, str content)
{
	size_t had = self->prelude.len, room = PRELUDE_MAX - had;

	buf_put(&self->prelude, str_slice(content, 0, room));
	str gathered = buf_str(&self->prelude);
	size_t from = had - MIN(had, delimiter.len - 1);
	ptrdiff_t hit = str_find_str(str_from(gathered, from), delimiter);
	if (hit < 0 && !self->prelude.err && gathered.len < PRELUDE_MAX)
		return;
	size_t len = from + (size_t)hit;
	if (hit < 0 || !begin_with_prelude(self, str_slice(gathered, 0, len))) {
		give_up(self);
		return;
	}
	self->is_prelude = false;
	const str body[] = { str_from(gathered, len + delimiter.len), str_from(content, room) };
	http_stream_send(self->conn, body, ARRAY_LEN(body));
	buf_done(&self->prelude);
}

/* --- as it comes --- */

static void stream_begin(void *context, const struct response_start *start)
{
	struct url_request *self = context;

	buf_init(&self->fields, FIELDS_MAX);
	buf_init(&self->prelude, PRELUDE_MAX);
	url_put_fields(&self->fields, self, start->trace);
	self->is_prelude = str_eq_fold(start->content_type, HTTP_INTEGRATION);
	if (self->is_prelude)
		return;
	put_content_type(&self->fields, start->content_type, S("application/octet-stream"));
	begin_reply(self, 200);
}

static bool stream_piece(void *context, str content)
{
	struct url_request *self = context;

	if (self->is_prelude) {
		take_prelude(self, content); /* it may be gone after this; what waits is little */
		return true;
	}
	http_stream_send(self->conn, &content, 1);
	return http_stream_backlog(self->conn) < BACKLOG_MAX;
}

const struct response_sink url_stream_sink = { .begin = stream_begin, .piece = stream_piece };

/* --- the end --- */

/* It came whole: the body as it is. */
static void answer_whole(struct url_request *self, const struct invocation_result *result)
{
	buf_init(&self->fields, FIELDS_MAX);
	url_put_fields(&self->fields, self, result->trace);
	put_content_type(&self->fields, result->content_type, S("application/json"));
	http_conn_set_user(self->conn, NULL);
	if (self->fields.err)
		http_conn_abort(self->conn);
	else
		http_reply(self->conn,
			&(struct http_reply){ .status = 200,
				.fields = buf_str(&self->fields),
				.body = result->payload });
	url_request_free(self);
}

static void end_reply(struct url_request *self, bool is_whole)
{
	http_conn_set_user(self->conn, NULL);
	if (!is_whole)
		http_conn_abort(self->conn);
	http_stream_end(self->conn);
	url_request_free(self);
}

void url_stream_done(void *context, const struct invocation_result *result)
{
	struct url_request *self = context;
	bool is_good = result->outcome == INVOKE_DONE && !result->is_error;

	self->invocation = NULL;
	if (!result->has_begun && is_good) {
		answer_whole(self, result);
	} else if (!result->has_begun) {
		url_answer_refused(self, result);
	} else if (!self->is_prelude) {
		end_reply(self, is_good);
	} else if (!is_good || self->prelude.len) { /* it ended in the middle of the prelude */
		url_answer_bad_gateway(self);
	} else { /* nothing was written, not even that */
		put_content_type(&self->fields, S(""), S("application/octet-stream"));
		begin_reply(self, 200);
		end_reply(self, true);
	}
}

/* The same response in one piece: nobody waits for it any more. */
void url_stream_whole(struct url_request *self, const struct invocation_result *result)
{
	str rest = result->payload;
	bool is_prelude = str_eq_fold(result->content_type, HTTP_INTEGRATION) && rest.len;
	ptrdiff_t hit = is_prelude ? str_find_str(rest, delimiter) : -1;

	stream_begin(self,
		&(struct response_start){ .trace = result->trace,
			.content_type = is_prelude ? HTTP_INTEGRATION : S("") });
	if (is_prelude && (hit < 0 || !begin_with_prelude(self, str_slice(rest, 0, (size_t)hit)))) {
		url_answer_bad_gateway(self);
		return;
	}
	rest = is_prelude ? str_from(rest, (size_t)hit + delimiter.len) : rest;
	http_stream_send(self->conn, &rest, 1);
	end_reply(self, true);
}
