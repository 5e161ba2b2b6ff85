/*
 * "If the function returns an error, Lambda attempts to run it two more times, with a one-minute wait between the first
 * two attempts, and two minutes between the second and third." "The retry interval increases exponentially from 1 second
 * after the first attempt to a maximum of 5 minutes."
 */
#include "model/retry.h"

#include "base/attr.h"

enum { BACKOFF_DOUBLINGS_MAX = 16 };

/* In the unit of the rules: AWS's minute is their wait. */
static uint64_t scaled(const struct retry_rules *rules, uint64_t ms)
{
	return MAX(ms * rules->wait_ms / RETRY_WAIT_MS, 1);
}

bool retry_is_too_old(const struct retry_rules *rules, uint64_t age_ms)
{
	return age_ms >= rules->age_max_ms;
}

enum retry_verdict retry_after_error(const struct retry_rules *rules, uint64_t age_ms,
	struct retry_count *count, uint64_t *ret_wait_ms)
{
	count->errors++;
	count->refusals = 0;
	if (count->errors > rules->attempts_max)
		return RETRY_EXHAUSTED;
	uint64_t wait_ms = scaled(rules, (uint64_t)RETRY_WAIT_MS * count->errors);
	if (retry_is_too_old(rules, age_ms + wait_ms))
		return RETRY_TOO_OLD;
	*ret_wait_ms = wait_ms;
	return RETRY_LATER;
}

uint64_t retry_after_refusal(
	const struct retry_rules *rules, uint64_t age_ms, struct retry_count *count)
{
	const uint64_t first_ms = 1000, most_ms = 300'000;
	uint64_t left_ms = age_ms < rules->age_max_ms ? rules->age_max_ms - age_ms : 0;
	uint64_t wait_ms = first_ms << MIN(count->refusals, (unsigned)BACKOFF_DOUBLINGS_MAX);

	count->refusals++;
	return MIN(scaled(rules, MIN(wait_ms, most_ms)), left_ms);
}
