#pragma once
/* Clocks. */
#include <stdint.h>

/* Nanoseconds of the monotonic clock. */
uint64_t clock_mono_ns(void);

/* Milliseconds of the monotonic clock. */
uint64_t clock_mono_ms(void);

/* Milliseconds since 1970-01-01T00:00:00Z. */
uint64_t clock_real_ms(void);
