#pragma once
/*
 * Faults on purpose, for a whole running process: allocations that fail now and then. Builds with a sanitizer have it
 * (MAYFLY_FAULTS), what is released does not. Unit tests fail the n-th allocation of one thread instead: fault_countdown
 * in base/mem.h.
 */
#include <stdbool.h>
#include <stdint.h>

#ifdef MAYFLY_FAULTS
/* Let every n-th allocation of the process fail from now on, whichever thread makes it; 0: none. */
void fault_set_every(uint32_t n);
/* Is it this one's turn? Any thread. */
[[nodiscard]] bool fault_is_due(void);
#endif
