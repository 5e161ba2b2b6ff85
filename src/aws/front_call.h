#pragma once
/* Inside of the front: one request on its way through a worker. For nobody else. */
#include "aws/encode.h"
#include "aws/front.h"
#include "aws/identify.h"
#include "base/list.h"
#include "os/loop.h"
#include "os/random.h"

struct front {
	struct front_options options;
	struct front_keys *keys;
	struct list listeners;
	unsigned calls; /* with workers */
	struct timer *drain_timer;
	void (*on_drained)(void *context);
	void *on_drained_context;
};

struct front_listener {
	struct front *front;
	struct list link;
	struct http_server *server;
	bool must_sign;
	bool is_inner;
	char account[16];
	char region[64];
};

/* One request: owned by itself until its answer. */
struct front_call {
	struct front_user user;
	struct work work;
	struct front *front;
	struct http_conn *conn; /* NULL: the client has gone */
	bool must_sign;
	bool is_secure;
	struct front_keys *keys; /* those of its arrival */
	/* the request, copied */
	char *head_text;
	struct http_head head;
	char *body_text;
	str body;
	int body_fd;
	struct identity identity;
	char request_id[UUID_LEN + 1];
	char account[16];
	char region[64];
	struct arena arena;
	/* the answer */
	struct encoded answer;
};

/* Copy a request and hand it to a worker; false when that failed (nothing is kept). */
bool front_call_start(struct front_listener *listener, struct http_conn *conn,
	const struct http_request *request, const struct front_caller *caller);

/* The account whose requests these are: temporary credentials are of one, a key of twelve digits names it. */
str front_account(const struct front_listener *listener, const struct identity *identity);
