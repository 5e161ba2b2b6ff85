#include "os/cradles.h"

#include "base/test.h"
#include "os/child.h"
#include "os/fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct cradles cradles;
static int null = -1;

static bool is_same(int a, int b)
{
	struct stat one, other;

	return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino &&
		one.st_dev == other.st_dev;
}

static void its_numbers_are_kept_for_it(void)
{
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	cradles_init(&cradles, null);
	for (int fd = CRADLE_FIRST; fd < CRADLES_END; fd++)
		CHECK(is_same(fd, null) && fcntl(fd, F_GETFD) == FD_CLOEXEC);
}

static void what_is_laid_into_one_is_there_until_it_is_emptied(void)
{
	scoped_fd root = open("/", O_PATH | O_CLOEXEC);
	const int fds[CRADLE_FDS] = { root, -1, -1, -1, root };
	int low[CRADLE_FDS];

	int cradle = cradle_lay(&cradles, fds, low);
	CHECK(cradle >= 0);
	CHECK(low[0] >= CRADLE_FIRST && low[0] < CRADLES_END && is_same(low[0], root));
	CHECK(low[1] == -1 && low[2] == -1 && low[3] == -1 && is_same(low[4], root));
	CHECK(fcntl(low[4], F_GETFD) == FD_CLOEXEC);
	cradle_empty(&cradles, &cradle);
	CHECK(cradle == -1 && is_same(low[0], null) && is_same(low[4], null));
	cradle_empty(&cradles, &cradle); /* nothing */
}

static void there_are_so_many_and_no_more(void)
{
	const int fds[CRADLE_FDS] = { null, null, null, null, null };
	int taken[CRADLES], low[CRADLE_FDS];

	for (int i = 0; i < CRADLES; i++) {
		taken[i] = cradle_lay(&cradles, fds, low);
		CHECK(taken[i] >= 0);
	}
	CHECK(cradle_lay(&cradles, fds, low) == -1);
	int third = taken[3];
	cradle_empty(&cradles, &taken[3]);
	CHECK(cradle_lay(&cradles, fds, low) == third);
	taken[3] = third;
	for (int i = 0; i < CRADLES; i++)
		cradle_empty(&cradles, &taken[i]);
}

static void who_is_born_in_one_has_what_lies_low_and_nothing_else(void)
{
	scoped_fd root = open("/", O_PATH | O_CLOEXEC), pidfd = -1;
	scoped_fd high = fcntl(root, F_DUPFD_CLOEXEC, CRADLES_END + 100);
	const int fds[CRADLE_FDS] = { root, -1, -1, -1, -1 };
	int low[CRADLE_FDS], status = -1;

	int cradle = cradle_lay(&cradles, fds, low);
	CHECK(cradle >= 0 && high > CRADLES_END);
	int r = child_start(
		&(struct child_how){ .cgroup = -1, .name = "born", .files_below = CRADLES_END },
		&pidfd);
	if (r == 0) {
		bool is_right = is_same(low[0], root) && is_same(null, null) &&
			fcntl(high, F_GETFD) < 0;
		(void)close(null); /* its own */
		_exit(is_right ? 0 : 1);
	}
	CHECK(r > 0 && child_wait(pidfd, 10'000) == 0 && child_reap(pidfd, &status) == 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(is_same(high, root) && fcntl(null, F_GETFD) == FD_CLOEXEC);
	cradle_empty(&cradles, &cradle);
}

static void there_are_none_where_the_numbers_are_taken(void)
{
	struct cradles others;
	const int fds[CRADLE_FDS] = { null, null, null, null, null };
	int low[CRADLE_FDS];

	cradles_init(&others, null); /* the first ones have them */
	CHECK(cradle_lay(&others, fds, low) == -1);
}

TESTS(TEST(its_numbers_are_kept_for_it), TEST(what_is_laid_into_one_is_there_until_it_is_emptied),
	TEST(there_are_so_many_and_no_more),
	TEST(who_is_born_in_one_has_what_lies_low_and_nothing_else),
	TEST(there_are_none_where_the_numbers_are_taken))
