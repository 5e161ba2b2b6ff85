#pragma once
/* What the router is made of; shared by router.c and the requests that it answers itself (router_extra.c). */
#include "bin/settings.h"
#include "engine/platform.h"
#include "wire/boot.h"

#include "aws/front.h"

struct router {
	struct settings settings;
	struct runtimes *runtimes;
	struct platform platform;
	struct tls_identity *tls; /* NULL: HTTP only */
	struct front *front;
	struct front_listener *listener; /* the public one */
	struct loop *loop;
	struct timer *sweep;
	uint64_t started_ms;
	unsigned cpus;
	int runnable; /* for host_runnable() */
	char endpoint[160];
	bool is_draining;
	const char *drain_waits_for;
	struct timer *drain_watch;
	bool has_swept;
};

/* router_reread.c: the parts as the settings say, at the start and whenever these change. */
void router_apply_log(const struct router *router);
void router_apply_platform(struct router *router);
void router_apply_engine(struct router *router);
void router_apply_async(struct router *router);
[[nodiscard]] int router_apply_front(struct router *router);
/* See warden_events.on_reread. */
void router_on_reread(void *context, int file);

/* router_tls.c: the certificate that the warden gave us, if there is one; and its renewal: see warden_events.on_renew. */
[[nodiscard]] int router_open_tls(struct router *router);
void router_on_renew(void *context, const int files[static TLS_FILES]);

/*
 * router_key.c: the key in the working directory, made when there is none. 0 or a fault (-EBADMSG: what is there is no
 * key). Blocks on the disk.
 */
[[nodiscard]] int router_open_session_key(uint8_t key[static SESSION_KEY_LEN]);

/* router_metrics.c: GET /metrics, with what a worker has seen of the queue of events. */
struct queue_figures;
void router_reply_metrics(
	struct router *router, struct http_conn *conn, const struct queue_figures *queue);

/* The paths below /_mayfly/async: see front_options.control. */
bool router_control(void *context, struct http_conn *conn, struct http_request *request,
	const struct front_caller *caller);

/* The paths below /_mayfly/ and the test controls: see front_options.extra. */
bool router_extra(void *context, struct http_conn *conn, struct http_request *request);
