#include "os/handover.h"

#include "base/test.h"
#include "os/fd.h"
#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a child, so that descriptor 3 and the environment are its own: what `run` returns. */
static int in_a_child(int (*run)(void))
{
	int status = 0;

	pid_t pid = fork();
	if (pid == 0)
		_exit(run());
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int listener_at_3(void)
{
	int fd = -1;

	if (socket_listen(S("127.0.0.1:0"), 8, &fd) < 0)
		return -1;
	if (fd != 3) {
		(void)dup2(fd, 3);
		(void)close(fd);
	}
	return 0;
}

static void tell(const char *pid, const char *count)
{
	char own[16];

	snprintf(own, sizeof(own), "%d", getpid());
	setenv("LISTEN_PID", pid ? pid : own, 1);
	setenv("LISTEN_FDS", count, 1);
}

static int take_one(void)
{
	int fd;

	if (listener_at_3() < 0)
		return 1;
	tell(NULL, "1");
	if (handover_take(&fd) != 0 || fd < 4 || !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
		return 2;
	if (fcntl(3, F_GETFD) >= 0 || getenv("LISTEN_PID") || getenv("LISTEN_FDS"))
		return 3;
	return handover_take(&fd) == 0 && fd == -1 ? 0 : 4; /* once */
}

static void one_socket_is_taken_once(void)
{
	CHECK(in_a_child(take_one) == 0);
}

static int take_of_another(void)
{
	int fd;

	if (listener_at_3() < 0)
		return 1;
	tell("1", "1");
	return handover_take(&fd) == 0 && fd == -1 && fcntl(3, F_GETFD) >= 0 ? 0 : 2;
}

static void what_was_meant_for_another_process_is_left_alone(void)
{
	CHECK(in_a_child(take_of_another) == 0);
}

static int take_two(void)
{
	int fd;

	if (listener_at_3() < 0)
		return 1;
	tell(NULL, "2");
	return handover_take(&fd) == -EINVAL ? 0 : 2;
}

static int take_a_file(void)
{
	int fd, null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)dup2(null, 3);
	tell(NULL, "1");
	return handover_take(&fd) == -EINVAL ? 0 : 2;
}

static void anything_but_one_listening_socket_is_refused(void)
{
	CHECK(in_a_child(take_two) == 0);
	CHECK(in_a_child(take_a_file) == 0);
}

static int exec_with_socket(void)
{
	static char script[] = "test \"$LISTEN_PID:$LISTEN_FDS\" = \"$$:1\" || exit 1\n"
			       "test -S /proc/$$/fd/3 || exit 2\n"
			       "test -e /proc/$$/fd/17 && exit 3\n"
			       "test \"$(readlink /proc/$$/fd/0)\" = /dev/null || exit 4\n"
			       "exit 9";
	char name[] = "sh", flag[] = "-c";
	char *argv[] = { name, flag, script, NULL };
	int fd = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (socket_listen(S("127.0.0.1:0"), 8, &fd) < 0)
		return 20;
	(void)dup2(null, 17);
	if (handover_keep_words(3, argv) < 0 || script[0])
		return 22;
	(void)!handover_exec("/bin/sh", null, fd);
	return 21;
}

static void a_program_gets_its_words_the_socket_and_nothing_else(void)
{
	CHECK(in_a_child(exec_with_socket) == 9);
}

static int exec_nothing(void)
{
	char name[] = "x";
	char *argv[] = { name, NULL };
	int fd = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (socket_listen(S("127.0.0.1:0"), 8, &fd) < 0)
		return 20;
	if (handover_keep_words(1, argv) < 0)
		return 22;
	return handover_exec("/nothing/is/here", null, fd) == -ENOENT ? 0 : 21;
}

static void a_program_that_is_not_there_is_a_fault(void)
{
	CHECK(in_a_child(exec_nothing) == 0);
}

TESTS(TEST(one_socket_is_taken_once), TEST(what_was_meant_for_another_process_is_left_alone),
	TEST(anything_but_one_listening_socket_is_refused),
	TEST(a_program_gets_its_words_the_socket_and_nothing_else),
	TEST(a_program_that_is_not_there_is_a_fault))
