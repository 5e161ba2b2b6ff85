#pragma once
/* Files and directories, held by descriptor. */
#include "base/str.h"

#include <sys/types.h>

struct dir_spec {
	const char *name;
	uid_t owner; /* and group */
	mode_t mode;
};

/*
 * Open a directory in `parent` (AT_FDCWD: a path), made if it is missing, with this owner and mode
 * from now on. -EPERM when it belongs to somebody else (not root). 0 and *ret_dir, or a fault.
 */
[[nodiscard]] int dir_open(int parent, const struct dir_spec *spec, int *ret_dir);

/* Make all directories above an absolute path, 0755. 0 or a fault. */
[[nodiscard]] int dir_make_parents(int root, const char *path);

/*
 * Open a directory by name below `parent`, never through a link and never out of it or its file
 * system. 0 and *ret_dir; -ENOENT when there is none; or a fault.
 */
[[nodiscard]] int dir_open_beneath(int parent, const char *name, int *ret_dir);

/*
 * Open (make) a file and lock it for this process alone: no child inherits it, it goes with the
 * process. 0 and *ret_fd, or -EAGAIN when another process has it, or a fault.
 */
[[nodiscard]] int file_open_lock(int dir, const char *name, int *ret_fd);

/*
 * Open (make) a file and lock it, waiting for others, for the descriptor and its copies: a child that
 * keeps one has the lock too, until the last is closed. 0 and *ret_fd, or a fault.
 */
[[nodiscard]] int file_open_lock_to_pass(int dir, const char *name, int *ret_fd);
