#include "os/child.h"

#include "base/attr.h"
#include "base/test.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct child_how plain = { .cgroup = -1, .name = "child-test" };

static int end_of(int pidfd)
{
	int status = -1;

	CHECK(child_wait(pidfd, 10'000) == 0);
	CHECK(child_reap(pidfd, &status) == 0);
	fd_close(&pidfd);
	return status;
}

static void the_status_of_an_exit_and_of_a_signal_come_back(void)
{
	int pidfd, status;

	int r = child_start(&plain, &pidfd);
	if (r == 0)
		_exit(7);
	CHECK(r > 0);
	status = end_of(pidfd);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);

	r = child_start(&plain, &pidfd);
	if (r == 0)
		for (;;)
			(void)pause();
	CHECK(child_reap(pidfd, &status) == -EAGAIN);
	CHECK(child_wait(pidfd, 0) == -ETIMEDOUT);
	child_kill(pidfd);
	status = end_of(pidfd);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void a_child_starts_with_clean_signals_its_name_and_a_session(void)
{
	struct sigaction action;
	sigset_t blocked;
	char name[16] = "";
	int pidfd;

	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &blocked, NULL);
	int r = child_start(&plain, &pidfd);
	if (r == 0) {
		(void)sigprocmask(SIG_BLOCK, NULL, &blocked);
		(void)sigaction(SIGPIPE, NULL, &action);
		(void)prctl(PR_GET_NAME, name);
		bool is_fine = !sigismember(&blocked, SIGTERM) && action.sa_handler == SIG_DFL &&
			!strcmp(name, "child-test") && getsid(0) == getpid();
		_exit(is_fine ? 0 : 1);
	}
	CHECK(end_of(pidfd) == 0);
	(void)sigprocmask(SIG_UNBLOCK, &blocked, NULL);
}

static void a_child_knows_that_its_parent_has_died(void)
{
	int middle, self, result[2];
	char answer = 0;

	/* The grandchild is told of the middle one's death before it asks to be killed with it. */
	CHECK(pipe2(result, O_CLOEXEC) == 0);
	int r = child_start(&plain, &middle);
	if (r == 0) {
		int grandchild;
		if (child_self(&self) < 0)
			_exit(1);
		r = child_start(&plain, &grandchild);
		if (r == 0) {
			(void)prctl(PR_SET_PDEATHSIG, 0);
			(void)child_wait(self, 10'000);
			answer = child_die_with_parent(self) == -ESRCH ? 'y' : 'n';
			(void)!write(result[1], &answer, 1);
			_exit(0);
		}
		_exit(0);
	}
	(void)close(result[1]);
	CHECK(read(result[0], &answer, 1) == 1 && answer == 'y');
	(void)close(result[0]);
	(void)end_of(middle);
}

static void a_child_dies_with_its_parent(void)
{
	int middle, self, result[2];
	char byte;

	CHECK(pipe2(result, O_CLOEXEC) == 0);
	int r = child_start(&plain, &middle);
	if (r == 0) {
		int grandchild;
		if (child_self(&self) < 0)
			_exit(1);
		r = child_start(&plain, &grandchild);
		if (r == 0) {
			if (child_die_with_parent(self) < 0) /* it was quicker */
				_exit(0);
			for (;;)
				(void)pause();
		}
		_exit(0);
	}
	(void)close(result[1]);
	CHECK(read(result[0], &byte, 1) == 0); /* the last holder of the other end is gone */
	(void)close(result[0]);
	(void)end_of(middle);
}

static int fd_is(int fd, int like)
{
	char a[64], b[64], path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t x = readlink(path, a, sizeof(a));
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", like);
	ssize_t y = readlink(path, b, sizeof(b));
	return x > 0 && x == y && !memcmp(a, b, (size_t)x);
}

static void descriptors_are_set_even_when_they_overlap(void)
{
	int ends[2], pidfd;

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	int r = child_start(&plain, &pidfd);
	if (r == 0) {
		int extra = fcntl(0, F_DUPFD, 40);
		int swapped[] = { ends[1], 2, ends[0], 0 };
		if (dup2(ends[0], 50) < 0 || dup2(ends[1], 51) < 0)
			_exit(9);
		r = child_set_fds(swapped, ARRAY_LEN(swapped));
		bool rest = fcntl(extra, F_GETFD) < 0 && fcntl(50, F_GETFD) < 0 &&
			fcntl(4, F_GETFD) < 0;
		_exit(r == 0 && rest && fd_is(0, 2) && !(fcntl(3, F_GETFD) & FD_CLOEXEC) ? 0 : 1);
	}
	CHECK(end_of(pidfd) == 0);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

static void all_descriptors_but_the_kept_are_closed(void)
{
	int pidfd;

	int r = child_start(&plain, &pidfd);
	if (r == 0) {
		for (int fd = 3; fd < 30; fd++)
			(void)dup2(0, fd);
		int kept[] = { 20, -1, 5, 7, 6 };
		child_keep_fds(kept, ARRAY_LEN(kept));
		int open = 0, right = 0;
		for (int fd = 0; fd < 64; fd++)
			open += fcntl(fd, F_GETFD) >= 0;
		for (size_t i = 0; i < ARRAY_LEN(kept); i++)
			right += kept[i] >= 0 && fcntl(kept[i], F_GETFD) >= 0;
		_exit(open == 7 && right == 4 ? 0 : 1); /* with 0, 1 and 2 */
	}
	CHECK(end_of(pidfd) == 0);
}

static void a_channel_blocks_only_the_child(void)
{
	scoped_fd ours = -1, theirs = -1;

	CHECK(child_channel(&ours, &theirs) == 0);
	CHECK(fcntl(ours, F_GETFL) & O_NONBLOCK);
	CHECK(!(fcntl(theirs, F_GETFL) & O_NONBLOCK));
	CHECK((fcntl(ours, F_GETFD) & FD_CLOEXEC) && (fcntl(theirs, F_GETFD) & FD_CLOEXEC));
	CHECK(fd_send(theirs, "ab", 2, NULL, 0) == 0 && fd_send(theirs, "c", 1, NULL, 0) == 0);
	char byte[8];
	size_t len, count;
	CHECK(fd_receive(ours, byte, sizeof(byte), &len, NULL, 0, &count) == 0 && len == 2);
}

static void a_sibling_is_its_parents_parents_and_raise_hits_it(void)
{
	static const struct child_how sibling = { .cgroup = -1, .is_sibling = true };
	int middle, status = 0;

	int r = child_start(&plain, &middle);
	if (r == 0) {
		int pidfd;
		r = child_start(&sibling, &pidfd);
		if (r == 0) {
			/* By the thread's number as the C library remembers it: the parent's would be wrong. */
			(void)raise(SIGUSR1);
			_exit(1);
		}
		_exit(r > 0 && child_wait(pidfd, 10'000) == 0 && waitpid(-1, NULL, 0) < 0 ? 3 : 4);
	}
	status = end_of(middle);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	CHECK(waitpid(-1, &status, 0) > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

static void handle(int signal)
{
	(void)signal;
}

static void a_sibling_keeps_the_handlers_of_the_program_that_it_goes_on_in(void)
{
	static const struct child_how sibling = { .cgroup = -1, .is_sibling = true };
	struct sigaction before;
	int middle, status = 0;

	int r = child_start(&plain, &middle);
	if (r == 0) {
		int pidfd;
		(void)signal(SIGUSR2, handle);
		r = child_start(&sibling, &pidfd);
		if (r == 0)
			_exit(sigaction(SIGUSR2, NULL, &before) == 0 && before.sa_handler == handle
					? 5
					: 6);
		_exit(0);
	}
	(void)end_of(middle);
	CHECK(waitpid(-1, &status, 0) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 5);
}

TESTS(TEST(the_status_of_an_exit_and_of_a_signal_come_back),
	TEST(a_child_starts_with_clean_signals_its_name_and_a_session),
	TEST(a_child_knows_that_its_parent_has_died), TEST(a_child_dies_with_its_parent),
	TEST(descriptors_are_set_even_when_they_overlap),
	TEST(all_descriptors_but_the_kept_are_closed), TEST(a_channel_blocks_only_the_child),
	TEST(a_sibling_is_its_parents_parents_and_raise_hits_it),
	TEST(a_sibling_keeps_the_handlers_of_the_program_that_it_goes_on_in))
