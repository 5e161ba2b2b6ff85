#pragma once
/*
 * X-Ray's tracing header: "Root=1-6922fd41-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=1", perhaps with more
 * behind it (Lineage=…), which is handed on. What a client sends as one is foreign.
 */
#include "base/str.h"

enum { TRACE_MAX = 768, TRACE_ROOT_MAX = 36, TRACE_SEGMENT_MAX = 17 };

/* What new ids are made of: random bits, and the time. */
struct trace_seed {
	uint64_t random[3];
	uint64_t now_s;
};

/* The trace that a request belongs to: the one that it names, or a new one. A header that is none is ignored. */
void trace_begin(str received, const struct trace_seed *seed, char to[static TRACE_MAX]);

/*
 * The function's own: whoever traced the request before has decided whether it is sampled; if nobody has, it is when its
 * tracing is active. The segment of a function that is sampled is the parent of what it calls.
 */
void trace_decide(bool is_active, uint64_t segment, char trace[static TRACE_MAX]);

/* Is it sampled? If so: its root and the function's segment. */
[[nodiscard]] bool trace_is_sampled(str trace, char ret_root[static TRACE_ROOT_MAX],
	char ret_segment[static TRACE_SEGMENT_MAX]);
