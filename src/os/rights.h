#pragma once
/* Giving up rights, for good, in this order. 0 or a fault each. */
#include <stdint.h>

/* First, while still root: lock the secure bits, so that no exec gives capabilities; empty the bounding set. */
[[nodiscard]] int rights_drop_bounding(void);

/* Become this user and this group alone; then all sets of capabilities are empty. */
[[nodiscard]] int rights_change_user(uint32_t uid);

/* No exec gives rights any more; needed before a seccomp filter too. */
[[nodiscard]] int rights_no_new_privs(void);

/* At most this much of an RLIMIT_…, soft and hard; never more than we have ourselves. */
[[nodiscard]] int rights_limit(int resource, uint64_t most);
