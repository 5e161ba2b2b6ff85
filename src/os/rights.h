#pragma once
/* Giving up rights, for good. 0 or a fault each. */
#include <stdint.h>

/*
 * Become this user and this group alone, without capabilities and without a way to get any: empty
 * bounding set, locked secure bits, NO_NEW_PRIVS. Only root can. The kernel forgets with it that the
 * process wanted to die with its parent.
 */
[[nodiscard]] int rights_drop(uint32_t uid);

/*
 * The part of it that takes a hundred calls, ahead, for children to inherit: no program that this
 * process or a child executes gets capabilities. Those that it has itself it keeps.
 */
[[nodiscard]] int rights_seal(void);

/* At most this much of an RLIMIT_…, soft and hard; never more than we have ourselves. */
[[nodiscard]] int rights_limit(int resource, uint64_t most);

/* As many open files as we may have, and `wanted` where we may raise the limit. */
[[nodiscard]] int rights_raise_files(uint64_t wanted);
