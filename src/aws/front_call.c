/*
 * A call, on a worker thread: verify, route, decode, check, handle, encode. Reads top to bottom; the loop thread only
 * starts it and sends what it has made.
 */
#include "aws/front_call.h"

#include "aws/constraints.h"
#include "aws/decode.h"
#include "aws/signature.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "wire/gzip.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	ARENA_MAX = 64 * 1024 * 1024,
	MESSAGE_MAX = 64 * 1024,
	UNPACKED_MAX = 6 * 1024 * 1024, /* as large as a body may be that was not packed */
};

/* --- answers that need no model --- */

static void answer_plain(struct front_call *self, int status, str code, str message)
{
	int r = encode_error(
		&(struct encode_error){
			.service = self->identity.model,
			.protocol = self->identity.protocol,
			.status = status,
			.code = code,
			.message = message,
			.request_id = str_of(self->request_id),
		},
		&self->answer);
	if (r < 0)
		err_log(r, "encode an error");
}

/* What AWS has and mayfly has not (yet): said by name. */
static void answer_no_service(struct front_call *self, str name)
{
	str text = arena_strf(&self->arena,
		"The service '" STR_FMT "' is not available in mayfly yet.", STR_ARG(name));

	answer_plain(self, 501, S("NotImplementedException"), text);
}

static void answer_no_handler(struct front_call *self, const struct aws_operation *operation)
{
	str text = arena_strf(&self->arena,
		"The operation " STR_FMT " of the service '" STR_FMT
		"' is not available in mayfly yet.",
		STR_ARG(operation->name), STR_ARG(self->identity.model->name));

	answer_plain(self, 501, S("NotImplementedException"), text);
}

/* No operation of AWS's: each protocol has its own words for it. */
static void answer_unknown(struct front_call *self)
{
	const struct aws_service *model = self->identity.model;
	str text;

	switch (self->identity.protocol) {
	case AWS_QUERY:
	case AWS_EC2:
		text = arena_strf(&self->arena,
			"Could not find operation " STR_FMT " for version " STR_FMT,
			STR_ARG(identify_action(&self->head, self->body)),
			STR_ARG(model ? model->api_version : S("")));
		answer_plain(self, 400, S("InvalidAction"), text);
		return;
	case AWS_JSON:
		answer_plain(self, 400, S("UnknownOperationException"), (str){});
		return;
	default:
		answer_plain(self, 404, S("UnknownOperationException"),
			S("The request names no operation of a service that is known here."));
	}
}

/* --- the call --- */

static const struct call_route *handler_find(const struct call_service *service, str operation)
{
	for (size_t i = 0; i < service->route_count; i++) {
		if (str_eq(str_of(service->routes[i].operation), operation))
			return &service->routes[i];
	}
	return NULL;
}

/* Which operation is asked for: true and *ret_route, when the service has it. */
static bool operation_find(struct front_call *self, struct route *ret_route)
{
	const struct aws_service *model = self->identity.model;

	*ret_route = (struct route){};
	switch (model->protocol) {
	case AWS_JSON:
		ret_route->operation = aws_operation_find(model, identify_target(&self->head));
		return ret_route->operation;
	case AWS_QUERY:
	case AWS_EC2:
		ret_route->operation = aws_operation_find(
			model, identify_action(&self->head, self->body));
		return ret_route->operation;
	default:
		return route_find(model, &self->head, ret_route, NULL);
	}
}

static void call_fill(
	struct front_call *self, struct call *call, const struct aws_operation *operation)
{
	*call = (struct call){
		.service = self->identity.model,
		.operation = operation,
		.account = str_of(self->account),
		.region = str_of(self->region),
		.access_key = self->identity.claim.access_key,
		.session = self->identity.has_session ? &self->identity.session : NULL,
		.host = http_field(&self->head, S("Host")),
		.is_secure = self->is_secure,
		.source_ip = S("127.0.0.1"),
		.request_id = str_of(self->request_id),
		.trace = http_field(&self->head, S("X-Amzn-Trace-Id")),
		.http_path = self->head.path,
		.arena = &self->arena,
		.platform = self->front->options.platform,
	};
	if (!call->host.len)
		call->host = S("localhost");
	buf_init(&call->fields, ENCODE_FIELDS_MAX);
}

static void call_answer_error(struct front_call *self, const struct call *call)
{
	int r = encode_error(
		&(struct encode_error){
			.service = call->service,
			.status = call->error_status,
			.code = call->error_code,
			.message = call->error_message,
			.type = call->error_type,
			.extra = call->error_extra,
			.request_id = call->request_id,
		},
		&self->answer);
	if (r < 0)
		err_log(r, "encode an error");
}

static void call_answer_fault(struct front_call *self, struct call *call, int fault)
{
	err_log(fault, "answer a call");
	log_error("call_failed", LOG_STR("operation", call->operation->name),
		LOG_ERRNO("error", fault), LOG_STR("request", call->request_id));
	encode_done(&self->answer);
	encode_init(&self->answer);
	call->error_status = 500;
	int r = call_error(call,
		aws_error_find(call->service, S("ServiceException")) ? "ServiceException"
								     : "InternalFailure",
		"An internal error occurred; the daemon's log has request %s.", self->request_id);
	if (r == CALL_ERROR)
		call_answer_error(self, call);
	else
		self->answer.status = 500;
}

/* Does the input keep what the model demands? 0, CALL_ERROR, or a fault. */
static int call_check(struct front_call *self, struct call *call, const struct decode *decode)
{
	const char *code = self->identity.service->validation_code;
	struct buf message;

	if (!call->operation->input)
		return 0;
	buf_init(&message, MESSAGE_MAX);
	int r = constraints_check(call->operation->input, call->in, decode->blob_member, &message);
	if (r == CONSTRAINTS_BROKEN)
		r = call_error(call, code ? code : "ValidationException", STR_FMT,
			STR_ARG(buf_str(&message)));
	buf_done(&message);
	return err_pass(r);
}

/* Decode, check, handle: 0, CALL_ERROR, or a fault. */
static int call_run(
	struct front_call *self, struct call *call, const struct route *route, call_fn *run)
{
	struct decode decode = {
		.service = call->service,
		.route = route,
		.head = &self->head,
		.body = self->body,
		.body_fd = self->body_fd,
		.arena = &self->arena,
	};

	int r = decode_request(&decode, &call->in);
	if (r == DECODE_REFUSED)
		r = call_error(call, decode.code, STR_FMT, STR_ARG(decode.message));
	if (r == 0)
		r = call_check(self, call, &decode);
	if (r == 0) {
		call->blob_fd = decode.blob_fd;
		call->blob_len = decode.blob_len;
		call->blob_member = decode.blob_member ? decode.blob_member->name : (str){};
		call->out = json_object();
		r = call->out ? run(call) : err_raise(-ENOMEM);
	}
	decode_done(&decode);
	return err_pass(r);
}

static void call_answer(struct front_call *self, const struct route *route, call_fn *run)
{
	struct call call;

	call_fill(self, &call, route->operation);
	int r = call_run(self, &call, route, run);
	if (r == 0) {
		r = encode_output(&call, &self->answer);
	} else if (r == CALL_ERROR) {
		call_answer_error(self, &call);
	}
	if (r < 0)
		call_answer_fault(self, &call, r);
	json_decref(call.in);
	json_decref(call.out);
	json_decref(call.error_extra);
	buf_done(&call.fields);
}

/* False when it was refused. */
static bool call_is_signed(struct front_call *self)
{
	struct signature_refusal refusal;

	int r = signature_check(self->keys->keys, self->keys->count, &self->head, &self->identity,
		self->body, self->body_fd, &refusal);
	if (r == SIGNATURE_REFUSED)
		answer_plain(self, refusal.status, refusal.code, refusal.message);
	if (r < 0) {
		err_log(r, "check a signature");
		answer_plain(
			self, 500, S("InternalFailure"), S("The signature could not be checked."));
	}
	return r == SIGNATURE_VALID;
}

/* A client that has compressed a query has hidden in it which operation it asks for. */
static bool call_is_packed(const struct front_call *self)
{
	uint8_t protocol = self->identity.protocol;

	return str_eq_fold(http_field(&self->head, S("Content-Encoding")), S("gzip")) &&
		self->body_fd <= 0 &&
		(protocol == AWS_JSON || protocol == AWS_QUERY || !self->identity.service);
}

/* What is signed are the packed bytes; from here on the body is what they stand for. False when it was refused. */
static bool call_unpack(struct front_call *self)
{
	struct buf plain;

	buf_init(&plain, UNPACKED_MAX);
	int r = gzip_unpack(self->body, &plain);
	str body = r == GZIP_DONE ? arena_str(&self->arena, buf_str(&plain)) : (str){};
	buf_done(&plain);
	if (r == GZIP_BAD) {
		answer_plain(self, 400, S("SerializationException"),
			S("The body of the request is not what its Content-Encoding says."));
	} else if (r == GZIP_LARGE) {
		answer_plain(self, 413, S("RequestEntityTooLargeException"),
			S("Request must be smaller than 6291456 bytes, unpacked."));
	} else if (!body.at) {
		answer_plain(
			self, 500, S("InternalFailure"), S("There was no memory for the request."));
	} else {
		self->body = body;
		identify(&self->front->options, &self->head, self->body, &self->identity);
	}
	return body.at;
}

static void front_call_run(struct work *work)
{
	struct front_call *self = list_entry(work, struct front_call, work);
	struct route route = {};

	if (self->must_sign && !call_is_signed(self))
		return;
	if (call_is_packed(self) && !call_unpack(self))
		return;
	const struct call_service *service = self->identity.service;
	if (!service && self->identity.row) {
		answer_no_service(self, self->identity.row->name);
		return;
	}
	if (!service || !operation_find(self, &route)) {
		answer_unknown(self);
		return;
	}
	const struct call_route *handler = handler_find(service, route.operation->name);
	if (handler)
		call_answer(self, &route, handler->run);
	else
		answer_no_handler(self, route.operation);
}

/* --- from and to the loop --- */

static void front_call_free(struct front_call *self)
{
	if (self->body_fd > 0)
		close(self->body_fd);
	mem_free(self->head_text);
	mem_free(self->body_text);
	arena_done(&self->arena);
	encode_done(&self->answer);
	front_keys_unref(self->keys);
	mem_free(self);
}

static void front_call_done(struct work *work)
{
	struct front_call *self = list_entry(work, struct front_call, work);

	self->front->calls--;
	if (self->conn) {
		http_conn_set_user(self->conn, NULL);
		bool is_whole = !self->answer.fields.err && !self->answer.body.err &&
			self->answer.status;
		http_reply(self->conn,
			&(struct http_reply){
				.status = is_whole ? self->answer.status : 500,
				.fields = is_whole ? buf_str(&self->answer.fields) : S(""),
				.body = is_whole ? buf_str(&self->answer.body) : S(""),
			});
	}
	front_call_free(self);
}

static void front_call_gone(struct front_user *user)
{
	struct front_call *self = list_entry(user, struct front_call, user);

	self->conn = NULL;
}

/* All views of a head point into one run of bytes that begins with its method: move them to a copy of it. */
static int head_copy(struct front_call *self, const struct http_head *head)
{
	const char *end = head->target.at + head->target.len;

	for (size_t i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		end = MAX(end, field->name.at + field->name.len);
		end = MAX(end, field->value.at + field->value.len);
	}
	const char *from = head->method.at;
	size_t len = (size_t)(end - from);
	self->head_text = mem_new(1, len + 1);
	if (!self->head_text)
		return err_raise(-ENOMEM);
	memcpy(self->head_text, from, len);
	self->head = *head;
	str *const views[] = { &self->head.method, &self->head.target, &self->head.path,
		&self->head.query };
	for (size_t i = 0; i < ARRAY_LEN(views); i++) {
		if (views[i]->at)
			views[i]->at = self->head_text + (views[i]->at - from);
	}
	for (size_t i = 0; i < head->field_count; i++) {
		struct http_field *field = &self->head.fields[i];
		field->name.at = self->head_text + (field->name.at - from);
		if (field->value.len)
			field->value.at = self->head_text + (field->value.at - from);
		else
			field->value = S("");
	}
	return 0;
}

static int body_copy(struct front_call *self, const struct http_request *request)
{
	if (request->body_fd >= 0) {
		self->body_fd = fcntl(request->body_fd, F_DUPFD_CLOEXEC, 3);
		return self->body_fd < 0 ? err_raise(-errno) : 0;
	}
	if (!request->body.len)
		return 0;
	self->body_text = mem_new(1, request->body.len);
	if (!self->body_text)
		return err_raise(-ENOMEM);
	memcpy(self->body_text, request->body.at, request->body.len);
	self->body = (str){ self->body_text, request->body.len };
	return 0;
}

bool front_call_start(struct front_listener *listener, struct http_conn *conn,
	const struct http_request *request, const struct front_caller *caller)
{
	struct front *front = listener->front;
	struct front_call *self = mem_one(struct front_call);
	if (!self)
		return false;

	self->user.gone = front_call_gone;
	self->work = (struct work){ .run = front_call_run, .done = front_call_done };
	self->front = front;
	self->conn = conn;
	self->must_sign = listener->must_sign;
	self->is_secure = http_conn_is_secure(conn);
	self->keys = front_keys_ref(front->keys);
	arena_init(&self->arena, ARENA_MAX);
	encode_init(&self->answer);
	int r = head_copy(self, &request->head);
	if (r == 0)
		r = body_copy(self, request);
	if (r == 0)
		r = str_to_array(caller->request_id, self->request_id, sizeof(self->request_id));
	if (r == 0)
		r = str_to_array(caller->account, self->account, sizeof(self->account));
	if (r == 0)
		r = str_to_array(caller->region, self->region, sizeof(self->region));
	if (r == 0) {
		identify(&front->options, &self->head, self->body, &self->identity);
		r = loop_work(front->options.loop, &self->work);
	}
	if (r < 0) {
		err_log(r, "hand a call to a worker");
		front_call_free(self);
		return false;
	}
	front->calls++;
	http_conn_set_user(conn, self);
	return true;
}
