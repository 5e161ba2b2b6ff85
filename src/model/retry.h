#pragma once
/*
 * When an asynchronous invocation is tried again, as the Lambda developer guide has it ("How Lambda handles errors and
 * retries with asynchronous invocation"): errors of the function a few times, with fixed waits; throttles and errors of
 * the system with an exponential back-off; neither beyond a greatest age.
 */
#include <stdbool.h>
#include <stdint.h>

enum {
	RETRY_ATTEMPTS_MAX = 2,
	RETRY_AGE_MIN_S = 60,
	RETRY_AGE_MAX_S = 21'600,
	RETRY_WAIT_MS = 60'000, /* what AWS waits before the first retry */
};

struct retry_rules {
	unsigned attempts_max; /* retries after errors of the function */
	uint64_t age_max_ms;
	uint64_t wait_ms; /* RETRY_WAIT_MS, or less for tests: all other waits shrink with it */
};

/* How often it has not worked so far. */
struct retry_count {
	unsigned errors;   /* of the function */
	unsigned refusals; /* throttles and errors of the system, since the last run */
};

enum retry_verdict { RETRY_LATER, RETRY_EXHAUSTED, RETRY_TOO_OLD };

/*
 * The function has failed: it is counted. RETRY_LATER and *ret_wait_ms, or no more: it was the last attempt, or the next one
 * would come after the greatest age.
 */
[[nodiscard]] enum retry_verdict retry_after_error(const struct retry_rules *rules, uint64_t age_ms,
	struct retry_count *count, uint64_t *ret_wait_ms);

/* It could not be run: it is counted. The wait until the next try, which ends at the greatest age at the latest. */
[[nodiscard]] uint64_t retry_after_refusal(
	const struct retry_rules *rules, uint64_t age_ms, struct retry_count *count);

/* It must not be tried any more. */
[[nodiscard]] bool retry_is_too_old(const struct retry_rules *rules, uint64_t age_ms);
