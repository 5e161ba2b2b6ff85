/*
 * What is missing is kept instead of what is there, in units of a token's share of a millisecond: so
 * nothing is rounded away however often it is asked, and a rate that changes (a reservation does)
 * needs no conversion.
 */
#include "model/bucket.h"

#include "base/attr.h"

#include <assert.h>

static uint64_t bucket_spent(
	const struct bucket *bucket, const struct bucket_rate *rate, uint64_t now_ms)
{
	assert(rate->amount > 0 && rate->period_ms > 0 && now_ms >= bucket->at_ms);
	uint64_t elapsed_ms = MIN(now_ms - bucket->at_ms, (uint64_t)rate->period_ms);
	uint64_t spent = MIN(bucket->spent, (uint64_t)rate->amount * rate->period_ms);
	uint64_t back = elapsed_ms * rate->amount;

	return spent > back ? spent - back : 0;
}

uint32_t bucket_level(const struct bucket *bucket, const struct bucket_rate *rate, uint64_t now_ms)
{
	uint64_t spent = bucket_spent(bucket, rate, now_ms);
	uint64_t used = (spent + rate->period_ms - 1) / rate->period_ms;

	return rate->amount - (uint32_t)used;
}

bool bucket_take(struct bucket *bucket, const struct bucket_rate *rate, uint64_t now_ms)
{
	if (!bucket_level(bucket, rate, now_ms))
		return false;
	bucket->spent = bucket_spent(bucket, rate, now_ms) + rate->period_ms;
	bucket->at_ms = now_ms;
	return true;
}

uint64_t bucket_wait_ms(const struct bucket *bucket, const struct bucket_rate *rate, uint32_t count,
	uint64_t now_ms)
{
	uint64_t spent = bucket_spent(bucket, rate, now_ms);
	uint64_t allowed = (uint64_t)(rate->amount - MIN(count, rate->amount)) * rate->period_ms;

	return spent > allowed ? (spent - allowed + rate->amount - 1) / rate->amount : 0;
}
