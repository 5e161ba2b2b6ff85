/*
 * The requests of `mayfly async`, below /_mayfly/async: what waits and what has failed of asynchronous invocations, and
 * what to do about it.
 *
 *	GET  /_mayfly/async                              each function that has any
 *	GET  /_mayfly/async?function=NAME[&whole=yes]    those of one, with their events
 *	POST /_mayfly/async/redrive?function=NAME        what has failed waits again
 *	POST /_mayfly/async/purge?function=NAME          forget all of them
 */
#include "bin/router_parts.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "http/server.h"
#include "os/loop.h"
#include "services/lambda/async.h"
#include "wire/http.h"

enum async_errand { ERRAND_LIST, ERRAND_REDRIVE, ERRAND_PURGE };

struct async_request {
	struct front_user user;
	struct work work;
	struct router *router;
	struct http_conn *conn; /* NULL: the client has gone */
	enum async_errand errand;
	char lane[1024]; /* account/region/function, or empty: all */
	bool is_whole;
	int result;
	char *answer; /* jansson's */
};

static void request_gone(struct front_user *user)
{
	list_entry(user, struct async_request, user)->conn = NULL;
}

static int request_do(struct async_request *request, json_t **ret_answer)
{
	struct async *async = request->router->platform.async;
	json_t *list = NULL;
	uint64_t count = 0;
	int r;

	if (request->errand == ERRAND_LIST) {
		r = async_admin_list(async, str_of(request->lane), request->is_whole, &list);
		*ret_answer = r == 0
			? json_pack("{s:o}", request->lane[0] ? "events" : "functions", list)
			: NULL;
		return err_pass(r);
	}
	r = request->errand == ERRAND_REDRIVE
		? async_admin_redrive(async, str_of(request->lane), &count)
		: async_admin_purge(async, str_of(request->lane), &count);
	*ret_answer = r == 0
		? json_pack("{s:I}", request->errand == ERRAND_REDRIVE ? "redriven" : "purged",
			  (json_int_t)count)
		: NULL;
	return err_pass(r);
}

static void request_run(struct work *work)
{
	struct async_request *request = list_entry(work, struct async_request, work);
	json_auto_t *answer = NULL;

	request->result = request_do(request, &answer);
	if (request->result < 0)
		err_log(request->result, "look into the queue of asynchronous invocations");
	request->answer = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
}

static void reply(struct http_conn *conn, int status, const char *body)
{
	http_reply(conn,
		&(struct http_reply){ .status = status,
			.fields = S("Content-Type: application/json\r\n"),
			.body = str_of(body) });
}

static void request_done(struct work *work)
{
	struct async_request *request = list_entry(work, struct async_request, work);

	if (request->conn) {
		http_conn_set_user(request->conn, NULL);
		if (request->answer)
			reply(request->conn, 200, request->answer);
		else
			reply(request->conn, 500,
				"{\"message\":\"That did not work; see the daemon's log.\"}");
	}
	mem_free(request->answer);
	mem_free(request);
}

/* function=NAME&whole=yes: false when it cannot be understood. */
static bool request_read(
	struct async_request *request, const struct front_caller *caller, str query)
{
	struct buf lane;
	str name, value;

	buf_init_over(&lane, request->lane, sizeof(request->lane));
	while (uri_query_next(&query, &name, &value)) {
		if (str_eq(name, S("whole"))) {
			request->is_whole = true;
		} else if (str_eq(name, S("function")) && value.len && !lane.len) {
			buf_put(&lane, caller->account);
			buf_put_char(&lane, '/');
			buf_put(&lane, caller->region);
			buf_put_char(&lane, '/');
			if (uri_decode(value, &lane) < 0)
				return false;
		} else {
			return false;
		}
	}
	return buf_cstr(&lane) && str_find(buf_str(&lane), '\0') < 0;
}

static bool request_errand(const struct http_request *http, enum async_errand *ret_errand)
{
	bool is_post = http->head.verb == HTTP_POST;

	if (http->head.verb == HTTP_GET && str_eq(http->head.path, S("/_mayfly/async")))
		*ret_errand = ERRAND_LIST;
	else if (is_post && str_eq(http->head.path, S("/_mayfly/async/redrive")))
		*ret_errand = ERRAND_REDRIVE;
	else if (is_post && str_eq(http->head.path, S("/_mayfly/async/purge")))
		*ret_errand = ERRAND_PURGE;
	else
		return false;
	return true;
}

bool router_control(void *context, struct http_conn *conn, struct http_request *http,
	const struct front_caller *caller)
{
	struct router *router = list_entry(context, struct router, platform);
	enum async_errand errand;

	if (!request_errand(http, &errand))
		return false;
	struct async_request *request = mem_one(struct async_request);
	if (!request || !request_read(request, caller, http->head.query) ||
		(errand != ERRAND_LIST && !request->lane[0])) {
		mem_free(request);
		reply(conn, 400, "{\"message\":\"It takes function=NAME.\"}");
		return true;
	}
	request->user.gone = request_gone;
	request->router = router;
	request->conn = conn;
	request->errand = errand;
	request->work = (struct work){ .run = request_run, .done = request_done };
	http_conn_set_user(conn, request);
	if (loop_work(router->loop, &request->work) == 0)
		return true;
	http_conn_set_user(conn, NULL);
	mem_free(request);
	reply(conn, 500, "{\"message\":\"No worker could be found.\"}");
	return true;
}
