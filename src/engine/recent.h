#pragma once
/*
 * What functions did in the last minutes, for CloudWatch: gathered on the loop thread, taken from there now and then, and
 * written into the store by a worker (see platform_flush_metrics()).
 */
#include "base/map.h"
#include "model/metric.h"

struct engine;
struct invocation;

/* A qualifier of a function in a minute. */
struct recent {
	str key;      /* minute/account/region/name:qualifier, into `text` */
	str scope;    /* account/region */
	str resource; /* name:qualifier, or name */
	str function; /* name */
	uint64_t minute_ms;
	uint64_t attempts, invocations, errors, throttles;
	struct metric duration, concurrency; /* milliseconds; invocations at a time */
	char text[];
};

enum { RECENT_MAX = 4096 };

struct recents {
	struct map map; /* key → struct recent */
	uint64_t lost;	/* invocations that found no room since they were last taken */
};

/* An invocation has ended: it ran, or it was throttled. */
void recent_add(struct engine *engine, const struct invocation *invocation);

/* All that was gathered, the caller's: free it with recents_done(). Then nothing is there. */
void engine_take_recents(struct engine *engine, struct recents *ret_recents);
void recents_done(struct recents *recents);
