#include "os/file.h"

#include "base/test.h"
#include "os/fd.h"
#include "os/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/file-test-XXXXXX";
static int top = -1;

static void begin(void)
{
	if (top < 0)
		top = mkdtemp(folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	CHECK(top >= 0 && tree_clear(top) == 0);
}

static void a_directory_is_made_with_its_mode_or_corrected(void)
{
	struct dir_spec spec = { "d", getuid(), 0711 };
	struct stat st;

	begin();
	for (int round = 0; round < 2; round++) {
		scoped_fd dir = -1;
		CHECK(dir_open(top, &spec, &dir) == 0);
		CHECK(fstat(dir, &st) == 0 && (st.st_mode & 07777) == spec.mode);
		spec.mode = 0700; /* the second time it is there, with another mode */
	}
}

static void a_link_in_the_place_of_a_directory_is_refused(void)
{
	struct dir_spec spec = { "link", getuid(), 0700 };
	scoped_fd dir = -1;

	begin();
	CHECK(mkdirat(top, "real", 0755) == 0 && symlinkat("real", top, "link") == 0);
	CHECK(dir_open(top, &spec, &dir) < 0 && dir < 0);
}

static void somebody_elses_directory_is_refused(void)
{
	struct dir_spec spec = { "theirs", 0, 0700 };
	scoped_fd dir = -1;

	begin();
	CHECK(mkdirat(top, "theirs", 0755) == 0);
	if (geteuid() != 0 || fchownat(top, "theirs", 12345, 12345, 0) < 0)
		return; /* only root can make the case */
	CHECK(dir_open(top, &spec, &dir) == -EPERM);
	spec.owner = 12345;
	CHECK(dir_open(top, &spec, &dir) == 0);
}

static void parents_are_made_absolute_or_below_a_root(void)
{
	char path[64];

	begin();
	(void)snprintf(path, sizeof(path), "%s/a/b/c", folder);
	CHECK(dir_make_parents(AT_FDCWD, path) == 0);
	CHECK(faccessat(top, "a/b", F_OK, 0) == 0 && faccessat(top, "a/b/c", F_OK, 0) < 0);
	CHECK(dir_make_parents(top, "/x/y/z") == 0);
	CHECK(faccessat(top, "x/y", F_OK, 0) == 0 && faccessat(top, "x/y/z", F_OK, 0) < 0);
}

static void a_name_cannot_lead_out_of_its_directory(void)
{
	scoped_fd dir = -1;

	begin();
	CHECK(mkdirat(top, "in", 0755) == 0 && mkdirat(top, "out", 0755) == 0);
	CHECK(symlinkat("../out", top, "in/link") == 0);
	scoped_fd in = openat(top, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir_open_beneath(in, "../out", &dir) < 0);
	CHECK(dir_open_beneath(in, "/tmp", &dir) < 0);
	CHECK(dir_open_beneath(in, "link", &dir) < 0);
	CHECK(dir_open_beneath(in, "none", &dir) == -ENOENT);
	CHECK(dir < 0);
	CHECK(dir_open_beneath(top, "in", &dir) == 0);
}

static int in_a_child(int (*run)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run());
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int try_lock(void)
{
	int fd;

	return file_open_lock(top, "lock", &fd) == -EAGAIN ? 1 : 0;
}

static void a_lock_keeps_other_processes_out_and_is_not_inherited(void)
{
	scoped_fd lock = -1;

	begin();
	CHECK(file_open_lock(top, "lock", &lock) == 0);
	CHECK(in_a_child(try_lock) ==
		1); /* it has a copy of the descriptor, and still not the lock */
	fd_close(&lock);
	CHECK(in_a_child(try_lock) == 0);
}

static void a_lock_to_pass_is_held_by_whoever_has_a_copy(void)
{
	int lock = -1, ends[2];
	char byte;

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	CHECK(file_open_lock_to_pass(top, "lock", &lock) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(ends[1]);
		(void)!read(ends[0], &byte, 1); /* until the test lets go */
		_exit(0);
	}
	fd_close(&lock);
	CHECK(in_a_child(try_lock) == 1); /* the child has it */
	(void)close(ends[1]);
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(in_a_child(try_lock) == 0);
	(void)close(ends[0]);
	CHECK(file_open_lock_to_pass(top, "lock", &lock) == 0); /* it waits for nobody now */
	fd_close(&lock);
	CHECK(tree_clear(top) == 0 && rmdir(folder) == 0);
}

TESTS(TEST(a_directory_is_made_with_its_mode_or_corrected),
	TEST(a_link_in_the_place_of_a_directory_is_refused),
	TEST(somebody_elses_directory_is_refused), TEST(parents_are_made_absolute_or_below_a_root),
	TEST(a_name_cannot_lead_out_of_its_directory),
	TEST(a_lock_keeps_other_processes_out_and_is_not_inherited),
	TEST(a_lock_to_pass_is_held_by_whoever_has_a_copy))
