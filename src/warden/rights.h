#pragma once
/* Giving up rights, for good: used by the router's child and by the jail. 0 or -errno each. */
#include <stdint.h>

/* First, while still root: lock the secure bits and empty the bounding set. */
[[nodiscard]] int rights_drop_bounding(void);

/* Become this user and this group alone. */
[[nodiscard]] int rights_change_user(uint32_t uid);

/* All sets of capabilities empty. */
[[nodiscard]] int rights_drop_capabilities(void);

/* No exec gives rights any more. */
[[nodiscard]] int rights_no_new_privs(void);
