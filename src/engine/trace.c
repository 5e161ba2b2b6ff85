/* Ids of traces are no secrets: they come from the generator of identifiers. */
#include "engine/trace.h"

#include "os/clock.h"
#include "os/random.h"

void trace_make(str received, char to[static TRACE_MAX])
{
	struct trace_seed seed = { .now_s = clock_real_ms() / 1000 };

	random_id_bytes(seed.random, sizeof(seed.random));
	trace_begin(received, &seed, to);
}

void trace_sample(bool is_active, char trace[static TRACE_MAX])
{
	uint64_t segment;

	random_id_bytes(&segment, sizeof(segment));
	trace_decide(is_active, segment, trace);
}
