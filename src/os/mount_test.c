#include "os/mount.h"

#include "base/test.h"
#include "os/child.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

static const char file[] = "dir/file";

/* Below the working directory, a tmpfs of its own: dir/file and an empty place. */
static int begin(void)
{
	if (mount_make_private() < 0 || mount("tmpfs", "/mnt", "tmpfs", 0, NULL) < 0 ||
		chdir("/mnt") < 0)
		return -1;
	if (mkdir("dir", 0755) < 0 || mkdir("place", 0755) < 0)
		return -1;
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : close(fd);
}

/* In mounts of its own, as root: the line of the first step that was not as expected, or 0. */
static int in_mounts(int (*run)(void))
{
	int pidfd, status = -1;

	if (geteuid() != 0) {
		printf("  not root: nothing was mounted\n");
		return 0;
	}
	int r = child_start(&(struct child_how){ CLONE_NEWNS, -1, "mount-test" }, &pidfd);
	if (r == 0)
		_exit(begin() < 0 ? 255 : run());
	CHECK(r > 0 && child_wait(pidfd, 10'000) == 0 && child_reap(pidfd, &status) == 0);
	fd_close(&pidfd);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		printf("  line %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return status;
}

#define EXPECT(condition)                \
	do {                             \
		if (!(condition))        \
			return __LINE__; \
	} while (0)

static int bind_read_only(void)
{
	EXPECT(mount_bind(AT_FDCWD, "dir", AT_FDCWD, "place",
		       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID) == 0);
	EXPECT(access("place/file", R_OK) == 0);
	EXPECT(open("place/file", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
	EXPECT(open(file, O_WRONLY | O_CLOEXEC) >= 0); /* where it comes from is as it was */
	struct statvfs st;
	EXPECT(statvfs("place", &st) == 0 && (st.f_flag & ST_RDONLY) && (st.f_flag & ST_NOSUID));
	EXPECT(mount_bind(AT_FDCWD, "no such", AT_FDCWD, "place", 0) == -ENOENT);
	return 0;
}

static void a_bind_has_its_flags_and_leaves_the_original_alone(void)
{
	CHECK(in_mounts(bind_read_only) == 0);
}

/* What the warden and a zygote's child do: cut here, put there. */
static int cut_and_put(void)
{
	int tree = -1, pidfd, status = -1;

	EXPECT(mount_detached(AT_FDCWD, "dir", MOUNT_ATTR_RDONLY, &tree) == 0);
	EXPECT(access("place/file", F_OK) < 0); /* it is nowhere */
	int r = child_start(&(struct child_how){ CLONE_NEWNS, -1, "mount-test" }, &pidfd);
	if (r == 0) {
		int place = open("place", O_PATH | O_DIRECTORY | O_CLOEXEC);
		_exit(mount_attach(tree, AT_FDCWD, "place") == 0 &&
					access("place/file", F_OK) == 0 && place >= 0
				? 0
				: 1);
	}
	EXPECT(r > 0 && child_wait(pidfd, 10'000) == 0 && child_reap(pidfd, &status) == 0);
	EXPECT(status == 0);
	EXPECT(access("place/file", F_OK) < 0); /* it is in the other's mounts only */
	return 0;
}

static void a_tree_can_be_put_into_other_mounts(void)
{
	CHECK(in_mounts(cut_and_put) == 0);
}

static int share(void)
{
	scoped_fd tree = -1;

	EXPECT(mkdir("dir/in", 0755) == 0 && mount("none", "/mnt", NULL, MS_SHARED, NULL) == 0);
	EXPECT(mount_detached(AT_FDCWD, "dir", 0, &tree) == 0);
	EXPECT(mount_attach(tree, AT_FDCWD, "place") == 0 && access("place/in", F_OK) == 0);
	EXPECT(mount("tmpfs", "/mnt/dir/in", "tmpfs", 0, NULL) == 0);
	EXPECT(mkdir("/mnt/dir/in/later", 0755) == 0 && access("place/in/later", F_OK) < 0);
	EXPECT(umount("/mnt/dir/in") == 0 && mount("tmpfs", "place/in", "tmpfs", 0, NULL) == 0);
	EXPECT(mkdir("place/in/later", 0755) == 0 && access("/mnt/dir/in/later", F_OK) < 0);
	return 0;
}

static void what_is_mounted_later_does_not_show_in_a_copy_of_a_shared_mount(void)
{
	CHECK(in_mounts(share) == 0);
}

static int change(void)
{
	scoped_fd dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	EXPECT(mount_change(dir, MOUNT_ATTR_RDONLY, 0) == 0);
	EXPECT(open(file, O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
	EXPECT(mount_change(dir, 0, MOUNT_ATTR_RDONLY) == 0);
	EXPECT(open(file, O_WRONLY | O_CLOEXEC) >= 0);
	return 0;
}

static void a_mount_can_become_read_only_and_writable_again(void)
{
	CHECK(in_mounts(change) == 0);
}

static int pivot(void)
{
	scoped_fd dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	EXPECT(mount_pivot(dir) == 0);
	EXPECT(access("/dir/file", F_OK) == 0 && access("/usr", F_OK) < 0 &&
		access("/../usr", F_OK) < 0);
	return 0;
}

static void after_a_pivot_the_old_root_is_gone(void)
{
	CHECK(in_mounts(pivot) == 0);
}

TESTS(TEST(a_bind_has_its_flags_and_leaves_the_original_alone),
	TEST(a_tree_can_be_put_into_other_mounts),
	TEST(what_is_mounted_later_does_not_show_in_a_copy_of_a_shared_mount),
	TEST(a_mount_can_become_read_only_and_writable_again),
	TEST(after_a_pivot_the_old_root_is_gone))
