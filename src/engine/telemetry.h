#pragma once
/*
 * The Lambda Telemetry API (2022-07-01) and its predecessor, the Logs API (2020-08-15), of an environment with
 * external extensions. telemetry.c has what is told and to whom, telemetry_api.c how one subscribes,
 * telemetry_delivery.c the way into the sandbox.
 */
#include "base/buf.h"
#include "engine/log_lines.h"
#include "engine/telemetry_request.h"
#include "model/function.h"

struct environment;
struct extension;
struct http_conn;
struct http_request;
struct log_init;
struct log_report;
struct runtime_pack;
struct timer;
struct watch;

enum { TELEMETRY_SUBSCRIBERS_MAX = 10 }; /* each extension has one subscription */

enum telemetry_state {
	DELIVERY_RESTING,
	DELIVERY_ASKED, /* the guard is asked for a connection */
	DELIVERY_SENDING,
	DELIVERY_RECEIVING,
	DELIVERY_FAILED, /* it will be tried again */
};

struct telemetry_subscriber {
	struct telemetry *telemetry;
	const struct extension *extension; /* NULL: the place is free */
	struct telemetry_wish wish;
	struct timer *timer; /* the batch is due; else the delivery has failed, or takes too long */
	struct buf batch;    /* events, joined by commas */
	uint32_t items;
	uint64_t dropped_records, dropped_bytes; /* not told yet */
	/* the delivery that is under way */
	enum telemetry_state state;
	struct buf out; /* the whole request */
	size_t sent;
	uint32_t out_items;
	unsigned tries;
	int fd;
	struct watch *watch;
	char answer[16]; /* its first bytes */
	size_t answer_len;
};

struct telemetry {
	struct environment *env;
	struct function_version
		version;    /* a view of the environment's, in JSON and without levels */
	struct buf backlog; /* platform events before anybody has subscribed, a line each */
	bool is_closed;	    /* initialisation is over */
	struct telemetry_subscriber list[TELEMETRY_SUBSCRIBERS_MAX];
};

/* --- telemetry.c --- */

/* 0 and env->host->telemetry, or a fault. */
[[nodiscard]] int telemetry_new(struct environment *env, struct telemetry **ret_telemetry);
/* NULL is fine. */
void telemetry_free(struct telemetry *telemetry);
/* Nobody can subscribe any more: what was kept for them is forgotten. */
void telemetry_close(struct telemetry *telemetry);

/* Events of the platform: nothing when nobody can hear them. */
void telemetry_init_start(
	struct environment *env, const struct log_init *init, const struct runtime_pack *pack);
void telemetry_init_done(struct environment *env, const struct log_init *init);
void telemetry_extension(struct environment *env, const struct log_extension *extension);
void telemetry_start(struct environment *env, const struct log_start *start);
/* The runtime is done with it; extensions, which may wait for this word, need not be. */
void telemetry_runtime_done(struct environment *env, const struct log_report *report);
/* All are. */
void telemetry_report(struct environment *env, const struct log_report *report);
/* What the function (or an extension) has printed. */
void telemetry_line(struct environment *env, enum telemetry_type type, str line);

/* One more event, in JSON, for this one; what does not fit is dropped, and told later. */
void telemetry_put(struct telemetry_subscriber *subscriber, str event);
/* "platform.telemetrySubscription", or of the Logs API, in the log and for all. */
void telemetry_subscribed(struct environment *env, const struct telemetry_subscriber *subscriber);

/* --- telemetry_api.c --- */

/* Is this a request of one of the two APIs? Then it has been answered. */
[[nodiscard]] bool telemetry_api_route(
	struct environment *env, struct http_conn *conn, const struct http_request *request);

/* --- telemetry_delivery.c --- */

/* There is more to deliver: now, or when the batch is full or old enough. */
void telemetry_wake(struct telemetry_subscriber *subscriber, bool is_urgent);
/* All of them, now: their extensions are about to end. */
void telemetry_flush(struct environment *env);
/* The timer of a subscriber. */
void telemetry_on_time(void *subscriber);
/* The guard has made the connection number `ticket` (taken), or could not: -1. */
void telemetry_on_connected(struct telemetry *telemetry, uint64_t ticket, int fd);
/* Let go of what a delivery has. */
void telemetry_hang_up(struct telemetry_subscriber *subscriber);
