/* One counter for all threads: which of them meets the n-th allocation is chance, and that is wanted. */
#include "base/fault.h"

#ifdef MAYFLY_FAULTS

#include <stdatomic.h>

static _Atomic uint32_t every, counted;

void fault_set_every(uint32_t n)
{
	atomic_store_explicit(&every, n, memory_order_relaxed);
}

bool fault_is_due(void)
{
	uint32_t n = atomic_load_explicit(&every, memory_order_relaxed);

	return n && atomic_fetch_add_explicit(&counted, 1, memory_order_relaxed) % n == n - 1;
}

#endif
