/*
 * The allocator behind everything: calloc and reallocarray with a tripwire.
 *
 * The tripwire (fault_countdown) stands here and not in a wrapped libc symbol, so that it
 * counts our own allocations only: the n-th is the same one whatever libraries do, and a
 * torture test can tell "reached" from "never got there" by looking at the countdown.
 */
#include "base/mem.h"

#include "base/fault.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

_Thread_local int fault_countdown;

/* Can it be given at all, and is this not the allocation that has to fail? */
static bool mem_may_give(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(
		    count, size, &bytes)) /* libc looks too; sanitizers abort there */
		return false;
#ifdef MAYFLY_FAULTS
	if (fault_is_due())
		return false;
#endif
	return fault_countdown <= 0 || --fault_countdown > 0;
}

void *mem_new(size_t count, size_t size)
{
	assert(size > 0);
	if (!mem_may_give(count, size))
		return NULL;
	return calloc(count ? count : 1, size); /* calloc(0) may answer NULL: no failure here */
}

void *mem_grow(void *old, size_t count, size_t size)
{
	assert(count > 0 && size > 0); /* zero would free `old` */
	if (!mem_may_give(count, size))
		return NULL;
	return reallocarray(old, count, size);
}

void mem_free(void *at)
{
	free(at);
}

void mem_free_at(void *pointer_variable)
{
	void **at = pointer_variable;
	free(*at);
}
