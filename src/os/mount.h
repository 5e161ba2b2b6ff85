#pragma once
/* Mounts, made where nobody sees them half done. 0 or -errno each, without a trace: they run in jails. */
#include <stdint.h>

/*
 * Put a copy of the mount tree at `from` in `from_dir` (AT_FDCWD: a path; "": the directory itself)
 * at `to` in `to_dir`, which exists, with these MOUNT_ATTR_… flags from the first moment on.
 */
[[nodiscard]] int mount_bind(
	int from_dir, const char *from, int to_dir, const char *to, uint64_t attributes);

/* Set flags of a mount that is there already, by a descriptor of its root. */
[[nodiscard]] int mount_change(int dir, uint64_t attributes);

/* Nothing that is mounted in this namespace shows in another one, or the other way. */
[[nodiscard]] int mount_make_private(void);

/* Make the mount at `dir` the root of this namespace, for good: the old root is gone. */
[[nodiscard]] int mount_pivot(int dir);
