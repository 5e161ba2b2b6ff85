/* "Tracing header": a root is the version 1, eight hex digits of the time in seconds, and 96 random bits. */
#include "engine/trace.h"

#include "os/clock.h"
#include "os/random.h"

#include <inttypes.h>
#include <stdio.h>

void trace_new(char to[static TRACE_SIZE])
{
	uint64_t random[3];

	random_id_bytes(random, sizeof(random));
	(void)snprintf(to, TRACE_SIZE,
		"Root=1-%08x-%08x%016" PRIx64 ";Parent=%016" PRIx64 ";Sampled=0",
		(unsigned)(clock_real_ms() / 1000), (unsigned)random[0], random[1], random[2]);
}
