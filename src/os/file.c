/*
 * Locks of two of fcntl()'s kinds. One belongs to a process, so that neither a forked child nor a
 * leaked descriptor can keep what a dead process had locked; the other to an open file, so
 * that it can be handed over without a moment in which nobody has it.
 */
#include "os/file.h"

#include "base/err.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int dir_open(int parent, const struct dir_spec *spec, int *ret_dir)
{
	/* A path may go through links of its owner's; a name in a directory of ours may not be one. */
	int follow = parent == AT_FDCWD ? 0 : O_NOFOLLOW;
	struct stat st;

	if (mkdirat(parent, spec->name, 0700) < 0 && errno != EEXIST)
		return err_raise(-errno);
	scoped_fd dir = openat(parent, spec->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | follow);
	if (dir < 0 || fstat(dir, &st) < 0)
		return err_raise(-errno);
	if (st.st_uid != 0 && st.st_uid != spec->owner)
		return err_raise(-EPERM);
	if (fchown(dir, spec->owner, spec->owner) < 0 || fchmod(dir, spec->mode) < 0)
		return err_raise(-errno);
	*ret_dir = fd_take(&dir);
	return 0;
}

int dir_make_parents(int root, const char *path)
{
	char part[PATH_MAX];

	for (size_t i = 1; path[i]; i++) {
		if (path[i] != '/')
			continue;
		/* Without its first slash below a root of the caller's. */
		int from = root == AT_FDCWD ? 0 : 1;
		(void)snprintf(part, sizeof(part), "%.*s", (int)i - from, path + from);
		if (mkdirat(root, part, 0755) < 0 && errno != EEXIST)
			return err_raise(-errno);
	}
	return 0;
}

int dir_open_beneath(int parent, const char *name, int *ret_dir)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	int dir = (int)syscall(SYS_openat2, parent, name, &how, sizeof(how));
	if (dir < 0)
		return errno == ENOENT ? -ENOENT : err_raise(-errno);
	*ret_dir = dir;
	return 0;
}

static int file_open(int dir, const char *name, int command, int *ret_fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	scoped_fd fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_raise(-errno);
	while (fcntl(fd, command, &whole) < 0) {
		if (errno == EAGAIN || errno == EACCES)
			return -EAGAIN;
		if (errno != EINTR)
			return err_raise(-errno);
	}
	*ret_fd = fd_take(&fd);
	return 0;
}

int file_open_lock(int dir, const char *name, int *ret_fd)
{
	return file_open(dir, name, F_SETLK, ret_fd);
}

int file_open_lock_to_pass(int dir, const char *name, int *ret_fd)
{
	return err_pass(file_open(dir, name, F_OFD_SETLKW, ret_fd));
}
