#pragma once
/*
 * A token bucket: so many at once, and as many again evenly over each period. Pure arithmetic; a
 * zeroed bucket is a full one.
 */
#include <stdbool.h>
#include <stdint.h>

struct bucket_rate {
	uint32_t amount;    /* the bucket's size, and how much flows in … */
	uint32_t period_ms; /* … in this time */
};

struct bucket {
	uint64_t spent; /* tokens × period_ms that are missing */
	uint64_t at_ms; /* when that was so */
};

/* How many whole tokens there are at this time (of a clock that never goes back). */
[[nodiscard]] uint32_t bucket_level(
	const struct bucket *bucket, const struct bucket_rate *rate, uint64_t now_ms);

/* Take one: false, and nothing is taken, when there is none. */
[[nodiscard]] bool bucket_take(
	struct bucket *bucket, const struct bucket_rate *rate, uint64_t now_ms);

/* In how many ms there will be `count` tokens (at most the bucket's size): 0 when there are. */
[[nodiscard]] uint64_t bucket_wait_ms(const struct bucket *bucket, const struct bucket_rate *rate,
	uint32_t count, uint64_t now_ms);
