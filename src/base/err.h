#pragma once
/*
 * Faults. A function that can fail returns int: 0 done; negative -errno is a FAULT,
 * never interpreted, raised once with err_raise(), passed up with err_pass(), logged
 * once at the top with err_log(); positive is an ANSWER, an enum of the callee's header,
 * handled by the caller and never forwarded.
 *
 * Each raise and pass leaves a line (file, line, function) in a small thread-local
 * trace, so that the one log line at the top tells the path.
 */
#include "base/str.h"

/* Raise a fault: `fault` is negative; starts a new trace. Returns it. */
#define err_raise(fault) err_raise_at((fault), __FILE__, __LINE__, __func__)

/* Pass what a callee returned: a negative leaves a trace line; anything else is returned as it is. */
#define err_pass(result) err_pass_at((result), __FILE__, __LINE__, __func__)

/* Start the trace; add to it. `fault` is negative. */
void err_trace_start(int fault, const char *file, int line, const char *function);
void err_trace_add(int fault, const char *file, int line, const char *function);

/*
 * What the macros call. Inline, so that passing a 0 costs nothing, and so that the compiler
 * sees that a raised fault is negative and that passing changes nothing.
 */
static inline int err_raise_at(int fault, const char *file, int line, const char *function)
{
	err_trace_start(fault, file, line, function);
	if (fault >= 0)
		__builtin_unreachable(); /* err_trace_start() has stopped the process */
	return fault;
}

static inline int err_pass_at(int result, const char *file, int line, const char *function)
{
	if (result < 0)
		err_trace_add(result, file, line, function);
	return result;
}

/* Log the fault with its trace, once, at the top: `what` says what could not be done. */
void err_log(int fault, const char *what);
