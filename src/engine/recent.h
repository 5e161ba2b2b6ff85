#pragma once
/*
 * What functions did in the last minutes, for CloudWatch: gathered on the loop thread, taken from there now and then, and
 * written into the store by a worker (see platform_flush_metrics()).
 */
#include "base/map.h"
#include "model/metric.h"

struct engine;
struct invocation;

/* What is measured beside invocations. The first are ones and zeros, the last milliseconds. */
enum recent_figure {
	RECENT_ASYNC_RECEIVED,
	RECENT_ASYNC_DROPPED,
	RECENT_DEAD_LETTER_ERRORS,
	RECENT_DESTINATION_FAILURES,
	RECENT_RECURSION_DROPPED,
	RECENT_URL_REQUESTS,
	RECENT_URL_4XX,
	RECENT_URL_5XX,
	RECENT_COUNTS,
	RECENT_ASYNC_AGE = RECENT_COUNTS,
	RECENT_URL_LATENCY,
	RECENT_EXTENSIONS, /* after the function had answered */
	RECENT_FIGURES
};
enum { RECENT_SPREADS = RECENT_FIGURES - RECENT_COUNTS };

/* A qualifier of a function in a minute. */
struct recent {
	str key;      /* minute/account/region/name:qualifier, into `text` */
	str scope;    /* account/region */
	str resource; /* name:qualifier, or name */
	str function; /* name */
	uint64_t minute_ms;
	uint64_t attempts, invocations, errors, throttles;
	struct metric duration, concurrency; /* milliseconds; invocations at a time */
	struct {
		uint64_t ones, zeros;
	} counts[RECENT_COUNTS];
	struct metric *spreads[RECENT_SPREADS]; /* owned; NULL: there was none */
	char text[];
};

enum { RECENT_MAX = 4096, RECENT_KEY_MAX = 256 };

struct recents {
	struct map map; /* key → struct recent */
	uint64_t lost;	/* invocations that found no room since they were last taken */
};

/* An invocation has ended: it ran, or it was throttled. */
void recent_add(struct engine *engine, const struct invocation *invocation);

/* One more value, of the function of this key (account/region/name). */
void recent_measure(struct engine *engine, str function, str qualifier, enum recent_figure figure,
	double value);

/* One value of a function's. An empty qualifier: as it was named. */
struct recent_value {
	str account, region, name, qualifier;
	enum recent_figure figure;
	double value; /* 0 or 1 of what is counted, else milliseconds */
};
/* Loop thread. Never fails: without room for it it is counted as lost. */
void engine_measure(struct engine *engine, const struct recent_value *value);

/* All that was gathered, the caller's: free it with recents_done(). Then nothing is there. */
void engine_take_recents(struct engine *engine, struct recents *ret_recents);
void recents_done(struct recents *recents);
