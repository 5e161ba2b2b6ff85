/*
 * Where our cgroups go. In the trees of cgroup v1: right under the mount. In cgroup v2 with
 * its controllers, "no internal processes" rules (a cgroup either has processes or gives
 * controllers to its children), so:
 *
 *   the mount's root is the machine's root   MOUNT/mayfly-…, the root is exempt
 *   our cgroup holds us alone                we move to a leaf of it, base beside the leaf:
 *                                            a service of its own with Delegate=yes
 *   the mount's root is a container's        as above, with all other processes of it
 *   we are in such a leaf already            base beside it: we were replaced (SIGUSR2), or start
 *                                            again in a container
 *
 * Nothing is ever mounted here: that would be a mount in the warden's own namespace.
 */
#include "os/cgroup.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIND_OPEN = O_RDONLY | O_DIRECTORY | O_CLOEXEC, MOVE_ROUNDS_MAX = 100, BUSY_MS_MAX = 200 };

static const char own_leaf[] = "mayfly-warden";

/* The controllers a sandbox needs, as both versions call them. */
static const char *const controllers[CGROUP_TREES] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_PIDS] = "pids",
	[CGROUP_CPU] = "cpu",
};

/* Read a whole small file of /proc or a cgroup; cut at the size of `to`. */
static str find_read(int dir, const char *file, char *to, size_t size)
{
	size_t len = 0;
	scoped_fd fd = openat(dir, file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fd_read_all(fd, to, size, &len) < 0)
		return (str){ to, 0 };
	while (len && to[len - 1] == '\n')
		len--;
	return (str){ to, len };
}

static bool find_word(str words, const char *word)
{
	str item;

	while (str_next(&words, ' ', &item))
		if (str_eq(item, str_of(word)))
			return true;
	return false;
}

/* Open the mount points of all the trees; -1 for those that are not mounted. */
static int find_mounts(int mounts[static CGROUP_TREES])
{
	FILE *table = setmntent("/proc/self/mounts", "re");
	struct mntent *mount;

	if (!table)
		return err_raise(-errno);
	while ((mount = getmntent(table))) {
		bool is_v1 = !strcmp(mount->mnt_type, "cgroup");
		if (!strcmp(mount->mnt_type, "cgroup2") && mounts[CGROUP_UNIFIED] < 0)
			mounts[CGROUP_UNIFIED] = open(mount->mnt_dir, FIND_OPEN);
		for (int tree = CGROUP_MEMORY; is_v1 && tree < CGROUP_TREES; tree++)
			if (hasmntopt(mount, controllers[tree]) && mounts[tree] < 0)
				mounts[tree] = open(mount->mnt_dir, FIND_OPEN);
	}
	(void)endmntent(table);
	return 0;
}

const char *cgroup_controller(enum cgroup_tree tree)
{
	return controllers[tree];
}

int cgroups_look(struct cgroup_mounts *ret_mounts, int *ret_v2)
{
	int mounts[CGROUP_TREES] = { -1, -1, -1, -1 };
	struct cgroup_mounts seen = {};
	char text[1024];

	int r = find_mounts(mounts);
	if (r < 0)
		return err_pass(r);
	str v2 = find_read(mounts[CGROUP_UNIFIED], "cgroup.controllers", text, sizeof(text));
	seen.has_v2 = mounts[CGROUP_UNIFIED] >= 0;
	for (int tree = CGROUP_MEMORY; tree < CGROUP_TREES; tree++) {
		seen.in_v1[tree] = mounts[tree] >= 0;
		seen.in_v2[tree] = find_word(v2, controllers[tree]);
		fd_close(&mounts[tree]);
	}
	*ret_mounts = seen;
	*ret_v2 = mounts[CGROUP_UNIFIED];
	return 0;
}

str cgroup_home(str membership, bool *ret_is_moved)
{
	str line, path = {};

	while (str_next(&membership, '\n', &line))
		if (str_starts(line, S("0::/")))
			path = str_from(line, 4);
	size_t leaf_len = sizeof(own_leaf) - 1;
	bool is_moved = str_ends(path, str_of(own_leaf)) &&
		(path.len == leaf_len || path.at[path.len - leaf_len - 1] == '/');
	if (is_moved)
		path.len -= MIN(path.len, leaf_len + 1);
	*ret_is_moved = is_moved;
	return path;
}

/* Our home in the v2 tree, or the mount itself where the path cannot be seen. */
static int find_home(int mount, bool *ret_is_moved, int *ret_dir)
{
	char text[8192], path[4096];

	str home = cgroup_home(
		find_read(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)), ret_is_moved);
	if (str_to_array(home, path, sizeof(path)) == 0) {
		int dir = openat(mount, path[0] ? path : ".", FIND_OPEN);
		if (dir >= 0) {
			*ret_dir = dir;
			return 0;
		}
	}
	int dir = fcntl(mount, F_DUPFD_CLOEXEC, 0);
	if (dir < 0)
		return err_raise(-errno);
	*ret_is_moved = false;
	*ret_dir = dir;
	return 0;
}

static bool is_same_dir(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino &&
		x.st_dev == y.st_dev;
}

/* Does only this process live in the cgroup? */
static bool is_alone(int dir)
{
	char text[64], mine[24];

	(void)snprintf(mine, sizeof(mine), "%d", (int)getpid());
	return str_eq(find_read(dir, "cgroup.procs", text, sizeof(text)), str_of(mine));
}

/*
 * Move all processes of a cgroup into its leaf `mayfly-warden`, one write each. Who is not moved yet may
 * have children meanwhile: looked for again, until there are none.
 */
static int find_move_all(int dir)
{
	char text[65536];
	str item;

	if (mkdirat(dir, own_leaf, 0755) < 0 && errno != EEXIST)
		return err_raise(-errno);
	scoped_fd leaf = openat(dir, own_leaf, FIND_OPEN);
	if (leaf < 0)
		return err_raise(-errno);
	scoped_fd procs = openat(leaf, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (procs < 0)
		return err_raise(-errno);
	for (int left = MOVE_ROUNDS_MAX; left > 0; left--) {
		str rest = find_read(dir, "cgroup.procs", text, sizeof(text));
		if (!rest.len)
			break;
		while (rest.len && str_next(&rest, '\n', &item))
			if (write(procs, item.at, item.len) < 0 &&
				errno != ESRCH) /* it has ended meanwhile */
				return err_raise(-errno);
	}
	return 0;
}

/* Choose the directory that our base goes into on a host with cgroup v2 alone. */
static int find_v2_parent(int mount, int *ret_parent)
{
	scoped_fd own = -1;
	bool is_moved;

	/* Every cgroup but the machine's root has this file. */
	bool is_machine_root = faccessat(mount, "cgroup.type", F_OK, 0) < 0;
	int r = find_home(mount, &is_moved, &own);
	if (r < 0)
		return err_pass(r);
	if (is_moved && !is_same_dir(own, mount)) {
		*ret_parent = fd_take(&own);
		return 0;
	}
	if (is_alone(own) && !(is_machine_root && is_same_dir(own, mount))) {
		r = find_move_all(own);
		*ret_parent = fd_take(&own);
		return err_pass(r);
	}
	if (!is_machine_root)
		r = find_move_all(mount);
	*ret_parent = fcntl(mount, F_DUPFD_CLOEXEC, 0);
	return *ret_parent < 0 ? err_raise(-errno) : err_pass(r);
}

/*
 * Who is about to end is in no list any more and keeps the cgroup busy for a moment more. 0 or -errno.
 */
static int find_write_patiently(int fd, const char *text)
{
	for (int left = BUSY_MS_MAX; write(fd, text, strlen(text)) < 0; left--) {
		if (errno != EBUSY || left == 0)
			return -errno;
		(void)poll(NULL, 0, 1);
	}
	return 0;
}

/* Let the children of `dir` have the controllers. */
static int find_enable_controllers(int dir)
{
	for (int tree = CGROUP_MEMORY; tree < CGROUP_TREES; tree++) {
		char text[16];
		scoped_fd fd = openat(dir, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			return err_raise(-errno);
		(void)snprintf(text, sizeof(text), "+%s", controllers[tree]);
		int fault = find_write_patiently(fd, text);
		if (fault < 0) {
			log_error("cgroup_controller_refused",
				LOG_TEXT("controller", controllers[tree]),
				LOG_ERRNO("error", fault),
				LOG_TEXT("hint",
					fault == -EBUSY
						? "other processes live in this cgroup: start as a "
						  "service with Delegate=yes"
						: "is it enabled in the kernel and delegated?"));
			return err_raise(fault);
		}
	}
	return 0;
}

static int find_missing(const int mounts[static CGROUP_TREES], str v2)
{
	if (mounts[CGROUP_UNIFIED] < 0) {
		log_error("cgroup_v2_missing", LOG_TEXT("hint", "mount cgroup2 at /sys/fs/cgroup"));
		return err_raise(-ENOTSUP);
	}
	for (int tree = CGROUP_MEMORY; tree < CGROUP_TREES; tree++)
		if (mounts[tree] < 0 && !find_word(v2, controllers[tree])) {
			log_error("cgroup_controller_missing",
				LOG_TEXT("controller", controllers[tree]));
			return err_raise(-ENOTSUP);
		}
	return 0;
}

/* Decide the driver and the parents in all trees. */
static int find_trees(struct cgroups *cg, int mounts[static CGROUP_TREES])
{
	char text[1024];
	str v2 = find_read(mounts[CGROUP_UNIFIED], "cgroup.controllers", text, sizeof(text));
	bool is_v2 = true;

	int r = find_missing(mounts, v2);
	if (r < 0)
		return err_pass(r);
	for (int tree = CGROUP_MEMORY; tree < CGROUP_TREES; tree++)
		is_v2 &= find_word(v2, controllers[tree]);
	if (!is_v2) {
		cg->driver = &cgroup_hybrid;
		for (int tree = 0; tree < CGROUP_TREES; tree++)
			cg->parents[tree] = fd_take(&mounts[tree]);
		if (cg->parents[CGROUP_MEMORY] < 0 || cg->parents[CGROUP_PIDS] < 0 ||
			cg->parents[CGROUP_CPU] < 0)
			return err_raise(-ENOTSUP); /* some controllers in v1 and some in v2 */
		return 0;
	}
	cg->driver = &cgroup_v2;
	r = find_v2_parent(mounts[CGROUP_UNIFIED], &cg->parents[CGROUP_UNIFIED]);
	if (r == 0)
		r = find_enable_controllers(cg->parents[CGROUP_UNIFIED]);
	return err_pass(r);
}

int cgroups_make(struct cgroups *cg)
{
	for (int tree = 0; tree < CGROUP_TREES; tree++) {
		if (cg->parents[tree] < 0)
			continue;
		if (mkdirat(cg->parents[tree], cg->base, 0755) < 0 && errno != EEXIST)
			return err_raise(-errno);
		cg->bases[tree] = openat(cg->parents[tree], cg->base, FIND_OPEN | O_NOFOLLOW);
		if (cg->bases[tree] < 0)
			return err_raise(-errno);
	}
	if (cg->driver == &cgroup_v2)
		return err_pass(find_enable_controllers(cg->bases[CGROUP_UNIFIED]));
	return 0;
}

int cgroups_find(struct cgroups *cg, const char *base)
{
	int mounts[CGROUP_TREES];

	*cg = (struct cgroups){ .write_flags = O_WRONLY };
	(void)snprintf(cg->base, sizeof(cg->base), "%s", base);
	for (int tree = 0; tree < CGROUP_TREES; tree++)
		cg->parents[tree] = cg->bases[tree] = mounts[tree] = -1;
	int r = find_mounts(mounts);
	if (r == 0)
		r = find_trees(cg, mounts);
	for (int tree = 0; tree < CGROUP_TREES; tree++)
		fd_close(&mounts[tree]);
	if (r < 0)
		return err_pass(r);

	cgroups_sweep(cg); /* what an earlier instance left */
	return 0;
}
