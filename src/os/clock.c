/* clock_gettime() of these clocks does not enter the kernel (vDSO) and cannot fail. */
#include "os/clock.h"

#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1'000'000'000 + (uint64_t)now.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t clock_mono_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1'000'000;
}

uint64_t clock_real_ms(void)
{
	return clock_ns(CLOCK_REALTIME) / 1'000'000;
}
