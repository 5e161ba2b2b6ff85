/*
 * The newer calls (open_tree and its kin) work on descriptors and on mounts that have no place
 * yet: a bind gets its flags first and its place then, so there is no moment in which one is
 * visible and writable. Where nobody is who could look, the older one is half as many calls.
 */
#include "os/mount.h"

#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

int mount_detached(int from_dir, const char *from, uint64_t attributes, int *ret_tree)
{
	/* The copy of a shared mount, as systemd has them all, is one more of its peers. */
	struct mount_attr attr = { .attr_set = attributes, .propagation = MS_PRIVATE };
	const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH;

	scoped_fd tree = open_tree(from_dir, from, flags);
	if (tree < 0 ||
		mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	*ret_tree = fd_take(&tree);
	return 0;
}

int mount_overlay(const int *dirs, size_t count, uint64_t attributes, int *ret_tree)
{
	char lower[256]; /* the kernel's limit: paths themselves would not fit */
	size_t len = 0;

	assert(count > 0 && count <= 8);
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(lower + len, sizeof(lower) - len, "%s/proc/self/fd/%d",
			i ? ":" : "", dirs[i]);
	scoped_fd context = fsopen("overlay", FSOPEN_CLOEXEC);
	if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "lowerdir", lower, 0) < 0 ||
		fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int tree = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)attributes);
	if (tree < 0)
		return -errno;
	*ret_tree = tree;
	return 0;
}

int mount_attach(int tree, int to_dir, const char *to)
{
	return move_mount(tree, "", to_dir, to, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

int mount_bind(int from_dir, const char *from, int to_dir, const char *to, uint64_t attributes)
{
	scoped_fd tree = -1;

	int r = mount_detached(from_dir, from, attributes, &tree);
	return r < 0 ? r : mount_attach(tree, to_dir, to);
}

int mount_cover(const char *from, const char *to, uint64_t attributes)
{
	struct mount_attr attr = { .attr_set = attributes };

	if (mount(from, to, NULL, MS_BIND, NULL) < 0 ||
		mount_setattr(AT_FDCWD, to, 0, &attr, sizeof(attr)) < 0)
		return -errno;
	return 0;
}

int mount_change(int dir, uint64_t set, uint64_t cleared)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = cleared };

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
