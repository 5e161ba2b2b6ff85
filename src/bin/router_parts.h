#pragma once
/* What the router is made of; shared by router.c and the requests that it answers itself (router_extra.c). */
#include "bin/settings.h"
#include "engine/platform.h"

#include "aws/front.h"

struct router {
	struct settings settings;
	struct runtimes *runtimes;
	struct platform platform;
	struct front *front;
	struct loop *loop;
	struct timer *sweep;
	uint64_t started_ms;
	char endpoint[160];
	bool is_draining;
	bool has_swept;
};

/* The paths below /_mayfly/ and the test controls: see front_options.extra. */
bool router_extra(void *context, struct http_conn *conn, struct http_request *request);
