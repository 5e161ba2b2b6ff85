#pragma once
/* Mounts, made where nobody sees them half done. 0 or -errno each, without a trace: they run in jails. */
#include <stddef.h>
#include <stdint.h>

/*
 * Put a copy of the mount tree at `from` in `from_dir` (AT_FDCWD: a path; "": the directory itself)
 * at `to` in `to_dir`, which exists, with these MOUNT_ATTR_… flags from the first moment on.
 */
[[nodiscard]] int mount_bind(
	int from_dir, const char *from, int to_dir, const char *to, uint64_t attributes);

/*
 * Put a copy of the mount at the path `from` at the path `to`, and give it these flags: half as many
 * calls, for who is alone there, and does not mind the moment between the two.
 */
[[nodiscard]] int mount_cover(const char *from, const char *to, uint64_t attributes);

/*
 * A copy of the mount tree at `from` in `from_dir`, as mount_bind() takes them, which is nowhere yet:
 * *ret_tree (the caller's) can be sent to a process of another mount namespace and put there. What is
 * mounted in the one or the other later stays there.
 */
[[nodiscard]] int mount_detached(
	int from_dir, const char *from, uint64_t attributes, int *ret_tree);

/* A read-only overlay of directories, the uppermost first, that is nowhere yet. At most 8. */
[[nodiscard]] int mount_overlay(const int *dirs, size_t count, uint64_t attributes, int *ret_tree);

/* Put a tree that is nowhere yet at `to` in `to_dir`, which exists. */
[[nodiscard]] int mount_attach(int tree, int to_dir, const char *to);

/* Set flags of a mount that is there already, and clear others, by a descriptor of its root. */
[[nodiscard]] int mount_change(int dir, uint64_t set, uint64_t cleared);

/* Nothing that is mounted in this namespace shows in another one, or the other way. */
[[nodiscard]] int mount_make_private(void);

/* Make the mount at `dir` the root of this namespace, for good: the old root is gone. */
[[nodiscard]] int mount_pivot(int dir);
