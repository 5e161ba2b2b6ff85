/*
 * Requests by function URL, on the loop thread.
 *
 *	request ─► book ─► preflight? ─► who may? ─► event ─► engine ─► answer ─► response
 *
 * A warm one never leaves the loop: its URL's configuration is in the book, the event is written into one buffer beside
 * the request, and what the function returns is read where it lies in the runtime's connection. Only a URL that the node
 * has not met lately waits for a worker.
 *
 * Errors are worded as Lambda words them for URLs: what is wrong with the function is 502 and says no more than
 * "Internal Server Error", whatever it was; the log says it.
 */
#include "services/lambda/url.h"

#include "aws/signature.h"
#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/recent.h"
#include "engine/trace.h"
#include "model/limits.h"
#include "os/clock.h"
#include "services/lambda/caller.h"
#include "services/lambda/relaxed.h"
#include "services/lambda/url_answer.h"
#include "services/lambda/url_book.h"
#include "services/lambda/url_event.h"
#include "services/lambda/url_parts.h"

#include <errno.h>
#include <stdio.h>

enum { FIELDS_MAX = 256 * 1024, ERROR_MAX = 8 * 1024, EVENT_ROOM = 4 * 1024 };

#define FORBIDDEN_TEXT                                                            \
	"Forbidden. For troubleshooting Function URL authorization issues, see: " \
	"https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"

static void measure(const struct url_request *self, enum recent_figure figure, double value)
{
	engine_measure(self->platform->engine,
		&(struct recent_value){ self->url->account, self->url->region, self->url->name,
			self->url->qualifier, figure, value });
}

void url_request_free(struct url_request *self)
{
	if (self->url) {
		measure(self, RECENT_URL_REQUESTS, 1);
		measure(self, RECENT_URL_4XX, self->status / 100 == 4);
		measure(self, RECENT_URL_5XX, self->status / 100 == 5);
		measure(self, RECENT_URL_LATENCY, (double)(clock_mono_ms() - self->begun_ms));
	}
	function_url_unref(self->url);
	buf_done(&self->event);
	buf_done(&self->fields);
	buf_done(&self->prelude);
	mem_free(self);
}

static void request_gone(struct front_user *user)
{
	struct url_request *self = list_entry(user, struct url_request, user);

	url_book_forget(&self->waiter);
	if (self->invocation)
		invocation_abandon(self->invocation);
	url_request_free(self);
}

static void request_drained(struct front_user *user)
{
	struct url_request *self = list_entry(user, struct url_request, user);

	if (self->invocation)
		invocation_resume(self->invocation);
}

/* --- answers --- */

static const struct http_head *request_head(const struct url_request *self)
{
	return &self->request->head;
}

static void put_id(struct buf *fields, const struct url_request *self)
{
	buf_put(fields, S("x-amzn-RequestId: "));
	buf_put(fields, str_of(self->request_id));
	buf_put(fields, S("\r\n"));
}

/* The end of a request: half a head, or half a body, would mislead the client. */
static void answer(struct url_request *self, int status, struct buf *fields, str body, int fault)
{
	http_conn_set_user(self->conn, NULL);
	self->status = fields->err || fault ? 500 : status;
	if (fields->err || fault)
		http_conn_abort(self->conn);
	else
		http_reply(self->conn,
			&(struct http_reply){
				.status = status, .fields = buf_str(fields), .body = body });
	buf_done(fields);
	url_request_free(self);
}

/* An error, as JSON with one message (at == NULL: null). */
struct url_error {
	int status;
	const char *type;
	str member; /* "Message", with its quotes and colon */
	str message;
	str reason;	      /* of a throttle */
	unsigned retry_after; /* seconds; 0: not told */
};

static void answer_error(struct url_request *self, const struct url_error *error)
{
	struct buf fields, body;

	buf_init(&fields, FIELDS_MAX);
	buf_init(&body, ERROR_MAX);
	buf_put(&fields, S("Content-Type: application/json\r\n"));
	put_id(&fields, self);
	buf_putf(&fields, "x-amzn-ErrorType: %s\r\n", error->type);
	if (error->retry_after)
		buf_putf(&fields, "Retry-After: %u\r\n", error->retry_after);
	if (self->url && self->url->has_cors)
		url_cors_put(&fields, &self->url->cors, request_head(self));
	buf_put_char(&body, '{');
	if (error->reason.len) {
		buf_put(&body, S("\"Reason\":"));
		buf_put_json(&body, error->reason);
		buf_put(&body, S(",\"Type\":\"User\","));
	}
	buf_put(&body, error->member.len ? error->member : S("\"Message\":"));
	if (error->message.at)
		buf_put_json(&body, error->message);
	else
		buf_put(&body, S("null"));
	buf_put_char(&body, '}');
	answer(self, error->status, &fields, buf_str(&body), body.err);
	buf_done(&body);
}

/* No such URL: Lambda does not tell it from one that lets nobody in, but for the words. */
static void answer_unknown(struct url_request *self)
{
	answer_error(self, &(struct url_error){ .status = 403, .type = "AccessDeniedException" });
}

static void answer_forbidden(struct url_request *self)
{
	answer_error(self,
		&(struct url_error){ .status = 403,
			.type = "AccessDeniedException",
			.message = S(FORBIDDEN_TEXT) });
}

static void answer_fault(struct url_request *self, int fault, const char *what)
{
	err_log(fault, what);
	answer_error(self,
		&(struct url_error){ .status = 500,
			.type = "InternalServerErrorException",
			.message = S("Internal Server Error") });
}

/* The function failed, or returned what no response can be made of. */
void url_answer_bad_gateway(struct url_request *self)
{
	struct buf fields;

	buf_init(&fields, FIELDS_MAX);
	buf_put(&fields, S("Content-Type: application/json\r\n"));
	put_id(&fields, self);
	if (self->url->has_cors)
		url_cors_put(&fields, &self->url->cors, request_head(self));
	answer(self, 502, &fields, S("Internal Server Error"), 0);
}

static void answer_large(struct url_request *self, uint64_t payload_max)
{
	char text[128];

	snprintf(text, sizeof(text),
		"Request must be smaller than %llu bytes for the InvokeFunction operation",
		(unsigned long long)payload_max + LIMIT_PAYLOAD_SLACK_BYTES);
	answer_error(self,
		&(struct url_error){ .status = 413,
			.type = "RequestTooLargeException",
			.message = str_of(text) });
}

static void answer_preflight(struct url_request *self)
{
	struct buf fields;

	buf_init(&fields, FIELDS_MAX);
	buf_put(&fields, S("Content-Type: application/json\r\n"));
	put_id(&fields, self);
	url_cors_put_preflight(&fields, &self->url->cors, request_head(self));
	answer(self, 200, &fields, S(""), 0);
}

/* --- what became of the invocation --- */

/* It did not run. */
void url_answer_refused(struct url_request *self, const struct invocation_result *result)
{
	char text[256];

	switch (result->outcome) {
	case INVOKE_NO_FUNCTION:
	case INVOKE_NO_QUALIFIER:
		answer_unknown(self);
		return;
	case INVOKE_THROTTLED:
		answer_error(self,
			&(struct url_error){ .status = 429,
				.type = "TooManyRequestsException",
				.member = S("\"message\":"),
				.message = result->throttle_message,
				.reason = result->detail,
				.retry_after = result->retry_after_s });
		return;
	case INVOKE_RECURSIVE: /* the words are the model's */
		answer_error(self,
			&(struct url_error){ .status = 400,
				.type = "RecursiveInvocationException",
				.message = S(
					"Lambda has detected your function being invoked in a recursive "
					"loop with other Amazon Web Services resources and stopped your "
					"function's invocation.") });
		return;
	case INVOKE_TOO_LARGE:
		answer_large(self, result->payload_max);
		return;
	case INVOKE_PENDING:
	case INVOKE_SNAPSHOT_PENDING:
	case INVOKE_STATE_FAILED:
		snprintf(text, sizeof(text),
			"The operation cannot be performed at this time. The function is currently in the "
			"following state: %s",
			result->outcome == INVOKE_STATE_FAILED ? "Failed" : "Pending");
		answer_error(self,
			&(struct url_error){ .status = 409,
				.type = "ResourceConflictException",
				.message = str_of(text) });
		return;
	case INVOKE_FAULT:
		answer_error(self,
			&(struct url_error){ .status = 500,
				.type = "InternalServerErrorException",
				.message = S("Internal Server Error") });
		return;
	case INVOKE_NO_RUNTIME:
	case INVOKE_NO_TENANT: /* functions with tenants have no URLs */
	case INVOKE_TENANT_UNWANTED:
	case INVOKE_DONE:
		break;
	}
	url_answer_bad_gateway(self);
}

void url_put_fields(struct buf *fields, const struct url_request *self, str trace)
{
	put_id(fields, self);
	buf_put(fields, S("X-Amzn-Trace-Id: "));
	buf_put(fields, trace);
	buf_put(fields, S("\r\n"));
	if (self->url->has_cors)
		url_cors_put(fields, &self->url->cors, request_head(self));
}

static void answer_function(struct url_request *self, const struct url_answer *made, str trace)
{
	struct buf fields;

	buf_init(&fields, FIELDS_MAX);
	url_put_fields(&fields, self, trace);
	buf_put(&fields, buf_str(&made->fields));
	answer(self, made->status, &fields, made->body, 0);
}

static void on_done(void *context, const struct invocation_result *result)
{
	struct url_request *self = context;
	struct url_answer made;

	self->invocation = NULL;
	if (result->outcome != INVOKE_DONE || result->is_error) {
		url_answer_refused(self, result);
		return;
	}
	if (result->is_stream) {
		url_stream_whole(self, result);
		return;
	}
	int r = url_answer_read(result->payload, &made);
	if (r == URL_ANSWER_GOOD)
		answer_function(self, &made, result->trace);
	else if (r == URL_ANSWER_BAD)
		url_answer_bad_gateway(self);
	else
		answer_fault(self, r, "read what a function returned");
	url_answer_done(&made);
}

/* --- who may --- */

static bool is_let_in(const struct url_request *self, const struct front_signer *signer)
{
	const struct session *session = signer->session.account[0] ? &signer->session : NULL;
	struct lambda_caller caller;

	lambda_caller_init(&caller, signer->account, self->url->region, session);
	return function_url_lets_in(self->url, &caller);
}

/*
 * AWS_IAM: a signature of the function's account, whose own policies are not looked at, or of one that the function's
 * policy lets in. False when it was answered here.
 */
static bool check_signer(struct url_request *self, struct front_signer *signer)
{
	struct signature_refusal refusal;

	int r = front_check_signer(self->listener, self->request, signer, &refusal);
	if (r < 0) {
		answer_fault(self, r, "check a signature");
		return false;
	}
	if (r == SIGNATURE_VALID && !str_eq(signer->service, S("lambda"))) {
		r = SIGNATURE_REFUSED;
		refusal = (struct signature_refusal){ 403, S("InvalidSignatureException"),
			S("Credential should be scoped to correct service: 'lambda'. ") };
	}
	if (!signer->access_key.len || (r == SIGNATURE_VALID && !is_let_in(self, signer))) {
		answer_forbidden(self);
		return false;
	}
	if (r == SIGNATURE_VALID)
		return true;
	answer_error(self,
		&(struct url_error){ .status = refusal.status,
			.type = refusal.code.at, /* a constant */
			.member = S("\"message\":"),
			.message = refusal.message });
	return false;
}

/* --- the invocation --- */

/* "Root=…" of the trace that is made here. */
static str trace_root(const struct url_request *self)
{
	str rest = str_of(self->trace), root = {};

	return str_cut(&rest, ';', &root) ? root : S("");
}

/* 0, or the buffer's error: -EOVERFLOW when it is too much for any function. */
static int write_event(struct url_request *self, const struct url_caller *caller)
{
	const struct http_request *request = self->request;
	char peer[SOCKET_PEER_SIZE];
	size_t len = request->body.len;

	http_conn_peer(self->conn, peer);
	buf_init(&self->event, lambda_payload_max(self->platform));
	/* Base64 is a third longer; text mostly is as long as it was. */
	if (len + len / 3 + EVENT_ROOM < self->event.ceiling)
		(void)buf_reserve(&self->event, len + len / 3 + EVENT_ROOM);
	url_event_put(&self->event,
		&(struct url_event){
			.head = request_head(self),
			.body = request->body,
			.path = self->path,
			.id = str_of(self->id),
			.request_id = str_of(self->request_id),
			.source_ip = str_of(peer),
			.trace = trace_root(self),
			.account = self->url->account,
			.caller = caller,
			.now_ms = clock_real_ms(),
			.is_secure = http_conn_is_secure(self->conn),
		});
	return self->event.err;
}

static void invoke(struct url_request *self)
{
	str received = http_field(request_head(self), S("X-Amzn-Trace-Id"));
	const struct function_url *url = self->url;

	int r = engine_invoke(self->platform->engine,
		&(struct invocation_ask){
			.account = url->account,
			.region = url->region,
			.name = url->name,
			.qualifier = url->qualifier,
			.request_id = str_of(self->request_id),
			.payload = buf_str(&self->event),
			.trace = self->trace[0] ? str_of(self->trace) : received,
			.sink = url->is_streaming ? &url_stream_sink : NULL,
			.done = url->is_streaming ? url_stream_done : on_done,
			.context = self,
		},
		&self->invocation);
	if (r < 0)
		answer_fault(self, r, "begin an invocation");
}

/* The URL is known. */
static void go(struct url_request *self)
{
	struct front_signer signer = {};
	bool is_signed = self->url->is_iam;

	if (self->url->has_cors && url_cors_is_preflight(request_head(self))) {
		answer_preflight(self);
		return;
	}
	if (is_signed && !check_signer(self, &signer))
		return;
	if (!is_signed && !self->url->is_open) {
		answer_forbidden(self);
		return;
	}
	if (!http_field(request_head(self), S("X-Amzn-Trace-Id")).len)
		trace_make(S(""), self->trace);
	char arn[SESSION_ARN_MAX] = "";
	if (signer.session.account[0])
		session_put_arn(&signer.session, arn);
	const struct url_caller caller = {
		.access_key = signer.access_key, .account = signer.account, .arn = str_of(arn)
	};
	int r = write_event(self, is_signed ? &caller : NULL);
	if (r == -EOVERFLOW)
		answer_large(self, self->event.ceiling);
	else if (r < 0)
		answer_fault(self, err_raise(r), "write an event");
	else
		invoke(self);
}

static void on_found(struct url_waiter *waiter, struct function_url *url, int fault)
{
	struct url_request *self = list_entry(waiter, struct url_request, waiter);

	if (fault < 0) {
		answer_fault(self, fault, "read a function URL");
	} else if (!url) {
		answer_unknown(self);
	} else {
		self->url = function_url_ref(url);
		go(self);
	}
}

/* --- which URL --- */

/* The id and the path behind the address, in either form; false when it is neither. */
static bool url_split(const struct http_head *head, str *ret_id, str *ret_path)
{
	str host = http_field(head, S("Host")), id;

	if (str_cut(&host, '.', &id) && str_starts_fold(host, str_from(URL_HOST, 1))) {
		*ret_id = id;
		*ret_path = head->path;
		return true;
	}
	if (!str_starts(head->path, URL_PATH))
		return false;
	str rest = str_from(head->path, URL_PATH.len);
	ptrdiff_t slash = str_find(rest, '/');
	*ret_id = slash < 0 ? rest : str_slice(rest, 0, (size_t)slash);
	*ret_path = slash < 0 ? S("/") : str_from(rest, (size_t)slash);
	return true;
}

bool lambda_url_is(const struct http_head *head)
{
	str id, path;

	return url_split(head, &id, &path);
}

/* Names of hosts know no case. False when no URL has such an id. */
static bool id_take(str id, char to[static URL_ID_LEN + 1])
{
	if (id.len != URL_ID_LEN)
		return false;
	for (size_t i = 0; i < id.len; i++) {
		char c = id.at[i];
		to[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
		if (!(to[i] >= 'a' && to[i] <= 'z') && !(to[i] >= '0' && to[i] <= '9'))
			return false;
	}
	to[id.len] = '\0';
	return true;
}

void lambda_url_serve(void *context, struct http_conn *conn, struct http_request *request,
	const struct front_caller *caller)
{
	struct platform *platform = context;
	struct url_request *self = mem_one(struct url_request);
	struct function_url *url;
	str id = {};

	if (!self) {
		http_conn_abort(conn);
		return;
	}
	self->user.gone = request_gone;
	self->user.drained = request_drained;
	self->waiter.found = on_found;
	list_init(&self->waiter.link);
	self->platform = platform;
	self->conn = conn;
	self->begun_ms = clock_mono_ms();
	self->request = request;
	self->listener = caller->listener;
	snprintf(self->request_id, sizeof(self->request_id), STR_FMT, STR_ARG(caller->request_id));
	http_conn_set_user(conn, self);
	if (!url_split(&request->head, &id, &self->path) || !id_take(id, self->id)) {
		answer_unknown(self);
		return;
	}
	int r = url_book_find(platform->urls, str_of(self->id), &self->waiter, &url);
	if (r < 0)
		answer_fault(self, r, "look up a function URL");
	else if (r == URL_BOOK_FOUND)
		on_found(&self->waiter, url, 0);
}

void lambda_urls_changed(struct platform *platform, str account, str region, str name)
{
	url_book_changed(platform->urls, account, region, name);
}
