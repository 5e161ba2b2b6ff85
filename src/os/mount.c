/*
 * The newer calls (open_tree and its kin) work on descriptors and on mounts that have no place
 * yet: a bind gets its flags first and its place then, so there is no moment in which one is
 * visible and writable.
 */
#include "os/mount.h"

#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

int mount_bind(int from_dir, const char *from, int to_dir, const char *to, uint64_t attributes)
{
	struct mount_attr attr = { .attr_set = attributes };
	const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH;

	scoped_fd tree = open_tree(from_dir, from, flags);
	if (tree < 0 ||
		mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0 ||
		move_mount(tree, "", to_dir, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

int mount_change(int dir, uint64_t attributes)
{
	struct mount_attr attr = { .attr_set = attributes };

	return mount_setattr(dir, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int mount_make_private(void)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

int mount_pivot(int dir)
{
	/* The old root lands on top of the new one, and goes. */
	if (fchdir(dir) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
		umount2(".", MNT_DETACH) < 0)
		return -errno;
	return 0;
}
