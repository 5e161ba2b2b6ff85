#pragma once
/* What `mayfly serve` told us: read once, believed only as far as it was checked. */
#include "wire/frames.h"

/*
 * Map the boot struct of a sealed memfd, for the life of the process. 0; or -EINVAL (with
 * the reason in *ret_reason) when it is not one; or a fault.
 */
[[nodiscard]] int boot_open(int fd, const struct warden_boot **ret_boot, const char **ret_reason);

/* NULL when the contents make sense, else what does not. */
[[nodiscard]] const char *boot_check(const struct warden_boot *boot);
