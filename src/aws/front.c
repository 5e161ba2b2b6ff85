/*
 * The front, on the loop thread: connections in, requests told apart.
 *
 *	request ──► /_…, GET / ───────────────────────► answered here
 *	        └─► identify ──► …/invocations ──► fast ──► the engine
 *	                     └─► everything else ──► a call on a worker (front_call.c)
 *
 * Nothing on the way to the fast path allocates, except what the connection has read. The limits of bodies
 * are chosen by path, before the body is read: only uploads of code may be large, and those go to disk.
 */
#include "aws/front.h"

#include "aws/encode.h"
#include "aws/front_call.h"
#include "aws/page.h"
#include "aws/request_id.h"
#include "aws/signature.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "model/limits.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
	IDLE_MS = 350'000,
	HANDSHAKE_MS = 10'000,
	REQUEST_MS = 120'000,
	DRAIN_TICK_MS = 20,
	REGION_MAX = 63
};

/* Above the payload's limit by this much a request is still read, so that its refusal can say why. */
#define PAYLOAD_SLACK	(1 * MIB)
#define CALL_BODY_MAX	(6 * MIB)
#define CALL_MEMORY_MAX (1 * MIB)

#define FUNCTIONS_PATH	 S("/2015-03-31/functions")
#define LAYERS_PATH	 S("/2018-10-31/layers")
#define INVOCATIONS_PATH S("/invocations")
#define STREAMING_PATH	 S("/2021-11-15/functions")
#define STREAMS_PATH	 S("/response-streaming-invocations")
#define CODE_PATH	 S("/_mayfly/code/")
#define HEALTH_PATH	 S("/_localstack/health")

static bool path_is_invocations(str path)
{
	return (str_ends(path, INVOCATIONS_PATH) && str_starts(path, FUNCTIONS_PATH)) ||
		(str_ends(path, STREAMS_PATH) && str_starts(path, STREAMING_PATH));
}

/* --- what is answered here --- */

static void reply_json(struct http_conn *conn, int status, const struct buf *body)
{
	http_reply(conn,
		&(struct http_reply){
			.status = body->err ? 500 : status,
			.fields = S("Content-Type: application/json\r\n"),
			.body = buf_str(body),
		});
}

/* LocalStack's form, which its users' scripts wait for. */
static void reply_health(struct front *front, struct http_conn *conn)
{
	struct buf body;

	buf_init(&body, 64 * KIB);
	buf_put(&body, S("{\"services\":{"));
	for (size_t i = 0; i < front->options.service_count; i++) {
		if (i)
			buf_put_char(&body, ',');
		buf_put_json(&body, front->options.services[i]->model->name);
		buf_put(&body, S(":\"available\""));
	}
	buf_put(&body, S("},\"edition\":\"mayfly\",\"version\":"));
	buf_put_json(&body, front->options.version);
	buf_put_char(&body, '}');
	reply_json(conn, 200, &body);
	buf_done(&body);
}

static void reply_root(struct front *front, struct http_conn *conn)
{
	struct buf body;

	buf_init(&body, 4 * KIB);
	buf_put(&body, S("{\"name\":\"mayfly\",\"version\":"));
	buf_put_json(&body, front->options.version);
	buf_put(&body, S(",\"status\":\"running\"}"));
	reply_json(conn, 200, &body);
	buf_done(&body);
}

static void reply_not_found(struct http_conn *conn)
{
	struct buf body;

	buf_init(&body, 4 * KIB);
	buf_put(&body, S("{\"message\":\"There is nothing here.\"}"));
	reply_json(conn, 404, &body);
	buf_done(&body);
}

static void reply_error(struct http_conn *conn, const struct identity *identity, str request_id,
	int status, str code, str message)
{
	struct encoded answer;

	encode_init(&answer);
	int r = encode_error(
		&(struct encode_error){
			.service = identity->model,
			.protocol = identity->protocol,
			.status = status,
			.code = code,
			.message = message,
			.request_id = request_id,
		},
		&answer);
	bool is_whole = r >= 0 && !answer.fields.err && !answer.body.err;
	http_reply(conn,
		&(struct http_reply){
			.status = is_whole ? answer.status : 500,
			.fields = is_whole ? buf_str(&answer.fields) : S(""),
			.body = is_whole ? buf_str(&answer.body) : S(""),
		});
	encode_done(&answer);
}

/* --- requests --- */

str front_account(const struct front_listener *listener, const struct identity *identity)
{
	str access_key = identity->claim.access_key;
	uint64_t number;

	if (identity->has_session)
		return str_of(identity->session.account);
	return access_key.len == 12 && str_to_u64(access_key, UINT64_MAX, &number) == 0
		? access_key
		: str_of(listener->account);
}

static bool region_is_plain(str region)
{
	for (size_t i = 0; i < region.len; i++) {
		char c = region.at[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return region.len > 0 && region.len <= REGION_MAX;
}

static bool is_web(const struct front *front, const struct http_head *head)
{
	return front->options.is_web && front->options.is_web(head);
}

static int on_head(void *context, struct http_conn *conn, const struct http_head *head,
	uint64_t *ret_body_max, uint64_t *ret_memory_max)
{
	const struct front_listener *listener = context;
	str expected = http_field(head, S("Expect"));

	(void)conn;
	/* RFC 9110 10.1.1: an expectation that cannot be met is answered with 417. */
	if (expected.at && !head->expect_continue)
		return 417;
	if (path_is_invocations(head->path) || is_web(listener->front, head)) {
		*ret_body_max = listener->front->options.payload_max + PAYLOAD_SLACK;
		*ret_memory_max = *ret_body_max;
	} else if (str_starts(head->path, FUNCTIONS_PATH) || str_starts(head->path, LAYERS_PATH)) {
		*ret_body_max = LIMIT_REQUEST_BYTES;
		*ret_memory_max = CALL_MEMORY_MAX;
	} else {
		*ret_body_max = CALL_BODY_MAX;
		*ret_memory_max = CALL_BODY_MAX;
	}
	return 0;
}

/* What is answered on the loop thread is checked there, where that must be: false when it was refused. */
static bool is_signed(struct front_listener *listener, struct http_conn *conn,
	const struct http_request *request, const struct identity *identity, str request_id)
{
	const struct front *front = listener->front;
	struct signature_refusal refusal;

	if (!listener->must_sign)
		return true;
	int r = signature_check(front->keys->keys, front->keys->count, &request->head, identity,
		request->body, 0, &refusal);
	if (r == SIGNATURE_REFUSED)
		reply_error(
			conn, identity, request_id, refusal.status, refusal.code, refusal.message);
	if (r < 0) {
		err_log(r, "check a signature");
		reply_error(conn, identity, request_id, 500, S("InternalFailure"),
			S("The signature could not be checked."));
	}
	return r == SIGNATURE_VALID;
}

/*
 * What is below /_… is the operator's: no function sees it, and where requests must be signed these must be, too. Not so the
 * addresses that were given out to download code from: they are signed in a way of their own.
 */
static bool refuse_extra(
	struct front_listener *listener, struct http_conn *conn, const struct http_request *request)
{
	char request_id[UUID_LEN + 1];
	struct identity identity;

	if (str_starts(request->head.path, CODE_PATH))
		return false;
	if (listener->is_inner) {
		reply_not_found(conn);
		return true;
	}
	request_id_next(request_id);
	identify(&listener->front->options, &request->head, request->body, &identity);
	return !is_signed(listener, conn, request, &identity, str_of(request_id));
}

/* Prometheus's page; with a signature for S3 it is the bucket of this name. */
static bool is_metrics(const struct http_head *head)
{
	return head->verb == HTTP_GET && str_eq(head->path, S("/metrics")) &&
		str_find_str(http_field(head, S("Authorization")), S("/s3/aws4_request")) < 0;
}

/* Paths of no AWS API: true when answered. */
static bool answer_local(
	struct front_listener *listener, struct http_conn *conn, struct http_request *request)
{
	struct front *front = listener->front;
	bool is_look = request->head.verb == HTTP_GET || request->head.verb == HTTP_HEAD;
	str path = request->head.path;

	/* A signed look at the root is a call of S3's, not a person's or a load balancer's. */
	if (is_look && str_eq(path, S("/")) && !request->head.query.len &&
		!http_field(&request->head, S("Authorization")).at) {
		reply_root(front, conn);
		return true;
	}
	if (is_look && str_eq(path, HEALTH_PATH)) {
		reply_health(front, conn);
		return true;
	}
	if (!str_starts(path, S("/_")) && !str_starts(path, S("/moto-api/")) &&
		!is_metrics(&request->head))
		return false;
	if (refuse_extra(listener, conn, request))
		return true;
	if (!front->options.extra || !front->options.extra(front->options.context, conn, request))
		reply_not_found(conn);
	return true;
}

static bool is_invocation(const struct http_request *request, const struct identity *identity)
{
	return request->head.verb == HTTP_POST && request->body_fd < 0 && identity->service &&
		path_is_invocations(request->head.path) &&
		str_eq(identity->model->name, S("lambda"));
}

int front_check_signer(const struct front_listener *listener, const struct http_request *request,
	struct front_signer *ret_signer, struct signature_refusal *ret_refusal)
{
	const struct front_keys *keys = listener->front->keys;
	struct identity identity;

	identify_signer(&listener->front->options, &request->head, &identity);
	*ret_signer = (struct front_signer){
		.access_key = identity.claim.access_key,
		.service = identity.claim.service,
		.account = front_account(listener, &identity),
		.session = identity.session,
	};
	if (identity.has_session)
		ret_signer->account = str_of(ret_signer->session.account);
	if (!listener->must_sign && identity.claim.present && !identity.has_session &&
		!signature_is_known(keys->keys, keys->count, identity.claim.access_key))
		return SIGNATURE_VALID;
	return err_pass(signature_check(keys->keys, keys->count, &request->head, &identity,
		request->body, request->body_fd, ret_refusal));
}

/* For an address of its own: nobody's call until `web` has looked. */
static void on_web(
	struct front_listener *listener, struct http_conn *conn, struct http_request *request)
{
	const struct front_options *options = &listener->front->options;
	char request_id[UUID_LEN + 1];

	request_id_next(request_id);
	options->web(options->context, conn, request,
		&(struct front_caller){
			.account = str_of(listener->account),
			.region = str_of(listener->region),
			.request_id = { request_id, UUID_LEN },
			.listener = listener,
		});
}

static struct front_caller caller_of(const struct front_listener *listener,
	const struct identity *identity, const char request_id[static UUID_LEN + 1])
{
	return (struct front_caller){
		.service = identity->model,
		.account = front_account(listener, identity),
		.region = region_is_plain(identity->claim.region) ? identity->claim.region
								  : str_of(listener->region),
		.access_key = identity->claim.access_key,
		.session = identity->has_session ? &identity->session : NULL,
		.request_id = { request_id, UUID_LEN },
		.listener = listener,
	};
}

/* What operators do. */
static bool answer_control(struct front_listener *listener, struct http_conn *conn,
	struct http_request *request, const struct identity *identity,
	const struct front_caller *caller)
{
	const struct front_options *options = &listener->front->options;

	if (!str_starts(request->head.path, S("/_mayfly/async")))
		return false;
	if (listener->is_inner || !options->control)
		reply_not_found(conn);
	else if (is_signed(listener, conn, request, identity, caller->request_id) &&
		!options->control(options->context, conn, request, caller))
		reply_not_found(conn);
	return true;
}

/* What a link may lead to: it tells nothing, or is signed in a way of its own. */
static bool is_open_to_pages(const struct http_head *head)
{
	return (head->verb == HTTP_GET || head->verb == HTTP_HEAD) &&
		((str_eq(head->path, S("/")) && !head->query.len) ||
			str_eq(head->path, HEALTH_PATH) || str_starts(head->path, CODE_PATH));
}

/* Who must not sign is believed, but not what a page in the browser of somebody on this machine says. */
static bool refuse_page(const struct front_listener *listener, struct http_conn *conn,
	const struct http_request *request, const struct identity *identity, str request_id)
{
	if (listener->must_sign || is_open_to_pages(&request->head) || !page_asks(&request->head))
		return false;
	reply_error(conn, identity, request_id, 403, S("AccessDeniedException"),
		S("Web pages cannot call this endpoint: requests need no valid signature here."));
	return true;
}

static void on_request(void *context, struct http_conn *conn, struct http_request *request)
{
	struct front_listener *listener = context;
	struct front *front = listener->front;
	char request_id[UUID_LEN + 1];
	struct identity identity;

	http_conn_set_user(conn, NULL);
	if (is_web(front, &request->head)) {
		on_web(listener, conn, request);
		return;
	}
	request_id_next(request_id);
	identify(&front->options, &request->head, request->body, &identity);
	if (refuse_page(listener, conn, request, &identity, str_of(request_id)))
		return;
	const struct front_caller caller = caller_of(listener, &identity, request_id);
	if (answer_control(listener, conn, request, &identity, &caller) ||
		answer_local(listener, conn, request))
		return;
	if (front->options.fast && is_invocation(request, &identity)) {
		if (!is_signed(listener, conn, request, &identity, caller.request_id) ||
			front->options.fast(front->options.context, conn, request, &caller))
			return;
	}
	if (!front_call_start(listener, conn, request, &caller))
		reply_error(conn, &identity, caller.request_id, 503,
			S("ServiceUnavailableException"),
			S("The request could not be taken. Try again."));
}

static void on_gone(void *context, struct http_conn *conn, bool request_open)
{
	struct front_user *user = http_conn_user(conn);

	(void)context;
	if (request_open && user)
		user->gone(user);
}

static void on_drained(void *context, struct http_conn *conn)
{
	struct front_user *user = http_conn_user(conn);

	(void)context;
	if (user && user->drained)
		user->drained(user);
}

static void on_refuse(void *context, int status, struct buf *fields, struct buf *body)
{
	char request_id[UUID_LEN + 1];

	(void)context;
	request_id_next(request_id);
	buf_put(fields, S("Content-Type: application/json\r\nx-amzn-RequestId: "));
	buf_put(fields, str_of(request_id));
	buf_put(fields, S("\r\n"));
	if (status != 413) {
		buf_put(body,
			S("{\"message\":\"The request is not valid HTTP, or is too large.\"}"));
		return;
	}
	buf_put(fields, S("x-amzn-ErrorType: RequestEntityTooLargeException\r\n"));
	buf_put(body,
		S("{\"message\":\"Request must be smaller than 70167211 bytes for uploads of code, and "
		  "6291456 bytes otherwise.\"}"));
}

static const struct http_server_ops ops = {
	.on_head = on_head,
	.on_request = on_request,
	.on_drained = on_drained,
	.on_gone = on_gone,
	.on_refuse = on_refuse,
};

/* --- listeners --- */

int front_listen(struct front *front, const struct front_listen_options *options,
	struct front_listener **ret_listener)
{
	struct front_listener *listener = mem_one(struct front_listener);
	if (!listener)
		return err_raise(-ENOMEM);

	listener->front = front;
	listener->must_sign = options->must_sign;
	listener->is_inner = options->is_inner;
	list_init(&listener->link);
	int r = str_to_array(options->account, listener->account, sizeof(listener->account));
	if (r == 0)
		r = str_to_array(options->region, listener->region, sizeof(listener->region));
	if (r == 0)
		r = http_server_new(
			&(struct http_server_options){
				.loop = front->options.loop,
				.listener = options->fd,
				.ops = &ops,
				.context = listener,
				.conns_max = front->options.conns_max,
				.idle_ms = IDLE_MS,
				.request_ms = REQUEST_MS,
				.is_eager_close_detected = true,
				.tls = front->options.tls,
				.handshake_ms = HANDSHAKE_MS,
			},
			&listener->server);
	if (r < 0) {
		mem_free(listener);
		return err_pass(r);
	}
	list_push_back(&front->listeners, &listener->link);
	*ret_listener = listener;
	return 0;
}

void front_unlisten(struct front_listener *listener)
{
	list_remove(&listener->link);
	http_server_free(listener->server);
	mem_free(listener);
}

void front_listener_change(struct front_listener *listener, bool must_sign, unsigned conns_max)
{
	listener->must_sign = must_sign;
	http_server_set_conns_max(listener->server, conns_max);
}

/* --- life --- */

int front_set_keys(struct front *front, const struct front_key *keys, size_t count)
{
	struct front_keys *set = front_keys_new(keys, count);
	if (!set)
		return err_raise(-ENOMEM);

	front_keys_unref(front->keys);
	front->keys = set;
	return 0;
}

/* Open requests end one by one; looking now and then is simpler than hearing of each. */
static void on_drain_tick(void *context)
{
	struct front *front = context;
	bool is_busy = front->calls > 0;

	list_each(link, &front->listeners) {
		struct front_listener *listener = list_entry(link, struct front_listener, link);
		is_busy = is_busy ||
			(listener->is_inner ? http_server_open_requests(listener->server) > 0
					    : !http_server_is_quiet(listener->server));
	}
	if (is_busy) {
		timer_set(front->drain_timer, DRAIN_TICK_MS);
		return;
	}
	void (*done)(void *context) = front->on_drained;
	front->on_drained = NULL;
	done(front->on_drained_context);
}

int front_new(const struct front_options *options, struct front **ret_front)
{
	struct front *front = mem_one(struct front);
	if (!front)
		return err_raise(-ENOMEM);

	front->options = *options;
	list_init(&front->listeners);
	int r = front_set_keys(front, options->keys, options->key_count);
	if (r == 0)
		r = timer_new(options->loop, on_drain_tick, front, &front->drain_timer);
	if (r < 0) {
		front_keys_unref(front->keys);
		mem_free(front);
		return err_pass(r);
	}
	*ret_front = front;
	return 0;
}

void front_free(struct front *front)
{
	if (!front)
		return;
	assert(!front->calls);
	list_each(link, &front->listeners)
		front_unlisten(list_entry(link, struct front_listener, link));
	timer_free(front->drain_timer);
	front_keys_unref(front->keys);
	mem_free(front);
}

void front_drain(struct front *front, void (*done)(void *context), void *context)
{
	assert(!front->on_drained);
	front->on_drained = done;
	front->on_drained_context = context;
	list_each(link, &front->listeners) {
		struct front_listener *listener = list_entry(link, struct front_listener, link);
		if (!listener->is_inner)
			http_server_drain(listener->server);
	}
	timer_set(front->drain_timer, DRAIN_TICK_MS);
}
