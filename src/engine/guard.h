#pragma once
/* The router's end of the line to a guard (wire/guard.h). Loop thread only. */
#include "wire/guard.h"

#include <stdint.h>

struct extension_host;
struct guard;
struct loop;

/*
 * A line: 0, *ret_guard, and *ret_theirs, the guard's end, which is the caller's to pass on and close; or
 * a fault. What comes is told to the host, from the loop and from guard_read().
 */
[[nodiscard]] int guard_new(
	struct loop *loop, struct extension_host *host, int *ret_theirs, struct guard **ret_guard);
/* Nothing comes any more. Not from inside a callback. NULL is fine. */
void guard_free(struct guard *guard);
/* Take what has come by now. */
void guard_read(struct guard *guard);
/* Let it begin; extensions print to `log` (borrowed). 0 or a fault. */
[[nodiscard]] int guard_begin(struct guard *guard, int log);
/* Ask it something. One that does not listen is one that will be killed: nothing is returned. */
void guard_ask(
	struct guard *guard, enum guard_op op, uint32_t who, uint32_t value, uint64_t ticket);
