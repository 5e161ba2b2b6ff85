/*
 * The Lambda metadata endpoint, version 2026-01-15, on the listener of the Runtime API ("Using the Lambda metadata endpoint"):
 * in which Availability Zone the environment is. Its token is a defence of the function's: what a function can be talked into
 * fetching is fetched without it.
 */
#include "engine/metadata_api.h"

#include "engine/environment.h"
#include "engine/pool.h"
#include "http/server.h"
#include "model/zone.h"

#include <string.h>

#define BEARER "Bearer "

/* "Authorization – The token value … with the Bearer scheme" */
static bool has_token(const struct environment *env, const struct http_head *head)
{
	str said = http_field(head, S("Authorization"));

	return str_starts(said, S(BEARER)) &&
		str_eq(str_from(said, strlen(BEARER)), str_of(env->metadata_token));
}

static void refuse(struct http_conn *conn, int status, str text)
{
	http_reply(conn,
		&(struct http_reply){ .status = status,
			.fields = S("Content-Type: text/plain; charset=utf-8\r\n"),
			.body = text });
}

static void reply_zone(const struct environment *env, struct http_conn *conn)
{
	/* "the TTL is reduced during initialization so that clients refresh metadata after restore" */
	unsigned seconds = env->snapshot ? 1 : 43'200;
	char id_text[128], body_text[256], fields_text[128];
	struct buf id, body, fields;

	buf_init_over(&id, id_text, sizeof(id_text));
	zone_put_id(&id, env->pool->version->region);
	buf_init_over(&body, body_text, sizeof(body_text));
	buf_put(&body, S("{\"AvailabilityZoneID\":"));
	buf_put_json(&body, buf_str(&id));
	buf_put_char(&body, '}');
	buf_init_over(&fields, fields_text, sizeof(fields_text));
	buf_putf(&fields,
		"Content-Type: application/json\r\nCache-Control: private, max-age=%u, immutable\r\n",
		seconds);
	if (id.err || body.err || fields.err) { /* a region with such a name */
		refuse(conn, 500, S("Internal Server Error\n"));
		return;
	}
	http_reply(conn,
		&(struct http_reply){
			.status = 200, .fields = buf_str(&fields), .body = buf_str(&body) });
}

bool metadata_api_route(
	const struct environment *env, struct http_conn *conn, const struct http_request *request)
{
	const struct http_head *head = &request->head;

	if (!str_eq(head->path, S("/2026-01-15/metadata/execution-environment")))
		return false;
	if (head->verb != HTTP_GET)
		refuse(conn, 405, S("Method Not Allowed\n"));
	else if (!has_token(env, head))
		refuse(conn, 401, S("Unauthorized\n"));
	else
		reply_zone(env, conn);
	return true;
}
