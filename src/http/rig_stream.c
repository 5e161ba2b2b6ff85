#include "http/rig.h"

#include "base/attr.h"
#include "base/test.h"

#include <assert.h>
#include <string.h>

enum { FLOOD_PIECE = 20'000, FLOOD_BACKLOG = 64 * 1024 };

void rig_stream_on_head(struct rig *rig, struct http_conn *conn, const struct http_head *head)
{
	if (!str_eq(head->path, S("/upload")))
		return;
	rig->shown = 0;
	http_stream_body(conn);
}

int rig_stream_on_body(void *context, struct http_conn *conn, str content)
{
	struct rig *rig = context;
	bool is_first = rig->shown == 0;

	CHECK(content.len > 0);
	rig->shown += content.len;
	if (!is_first)
		return 0;
	if (content.at[0] == 'P') { /* pause */
		rig->paused = conn;
		http_stream_pause(conn, true);
	}
	if (content.at[0] == 'A')
		http_conn_abort(conn);
	return content.at[0] == 'R' ? 413 : 0;
}

static void rig_stream_flood(struct rig *rig, struct http_conn *conn)
{
	static const char zeros[FLOOD_PIECE];

	while (rig->flood_left > 0 && http_stream_backlog(conn) < FLOOD_BACKLOG) {
		size_t len = (size_t)MIN(rig->flood_left, (uint64_t)FLOOD_PIECE);
		const str pieces[] = { { zeros, len / 2 }, { zeros, len - len / 2 } };
		http_stream_send(conn, pieces, ARRAY_LEN(pieces));
		rig->flood_left -= len;
		rig->backlog_max = MAX(rig->backlog_max, http_stream_backlog(conn));
		if (!http_conn_is_alive(conn))
			return;
	}
	if (rig->flood_left == 0)
		http_stream_end(conn);
}

bool rig_stream_on_request(struct rig *rig, struct http_conn *conn, const struct http_head *head)
{
	bool is_flood = str_eq(head->path, S("/flood"));

	if (!is_flood && !str_eq(head->path, S("/pieces")))
		return false;
	http_stream_begin(
		conn, &(struct http_reply){ .status = 200, .fields = S("X-Rig: yes\r\n") });
	if (is_flood) {
		CHECK(str_to_u64(head->query, UINT32_MAX, &rig->flood_left) == 0);
		rig_stream_flood(rig, conn);
		return true;
	}
	http_stream_send(conn, &S("one"), 1);
	http_stream_send(conn, &S(""), 1); /* is not the end */
	rig->pieces = conn;
	return true;
}

void rig_stream_on_drained(void *context, struct http_conn *conn)
{
	struct rig *rig = context;

	CHECK(http_stream_backlog(conn) == 0);
	rig_stream_flood(rig, conn);
}

void rig_stream_go(struct rig *rig)
{
	if (rig->paused)
		http_stream_pause(rig->paused, false);
	rig->paused = NULL;
	if (!rig->pieces)
		return;
	http_stream_send(rig->pieces, (const str[]){ S("t"), S("w"), S("o") }, 3);
	http_stream_end(rig->pieces);
	rig->pieces = NULL;
}

void rig_stream_on_gone(struct rig *rig, const struct http_conn *conn)
{
	if (rig->pieces == conn)
		rig->pieces = NULL;
	if (rig->paused == conn)
		rig->paused = NULL;
}
