/* LISTEN_PID keeps it from being taken by a child that inherits the environment by accident. */
#include "os/handover.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "os/child.h"
#include "os/socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LISTEN_FD = 3 /* SD_LISTEN_FDS_START */, FD_MIN = 10 };

static char **kept_words;

int handover_keep_words(int argc, char **argv)
{
	assert(argc > 0 && !kept_words);
	char **words = mem_new((size_t)argc + 1, sizeof(*words));
	if (!words)
		return err_raise(-ENOMEM);
	for (int i = 0; i < argc; i++) {
		words[i] = str_dup(str_of(argv[i]));
		if (!words[i]) {
			while (i-- > 0)
				mem_free(words[i]);
			mem_free(words);
			return err_raise(-ENOMEM);
		}
	}
	for (int i = 1; i < argc; i++)
		memset(argv[i], 0, strlen(argv[i]));
	kept_words = words;
	return 0;
}

int handover_exec(const char *program, int input, int listener)
{
	assert(kept_words);
	const int fds[] = { input, STDOUT_FILENO, STDERR_FILENO, listener };
	char pid[16];

	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	if (setenv("LISTEN_PID", pid, true) < 0 || setenv("LISTEN_FDS", "1", true) < 0)
		return err_raise(-errno);
	int r = child_set_fds(fds, ARRAY_LEN(fds));
	if (r < 0)
		return err_raise(r);
	execv(program, kept_words);
	return err_raise(-errno);
}

int handover_take(int *ret_listener)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	uint64_t number;
	char name[64];

	*ret_listener = -1;
	if (!pid || !count || str_to_u64(str_of(pid), INT_MAX, &number) < 0 ||
		number != (uint64_t)getpid())
		return 0;
	bool is_one = strcmp(count, "1") == 0;
	if (unsetenv("LISTEN_PID") < 0 || unsetenv("LISTEN_FDS") < 0 ||
		unsetenv("LISTEN_FDNAMES") < 0)
		return err_raise(-errno);
	int r = is_one ? socket_name(LISTEN_FD, name, sizeof(name)) : -EINVAL;
	if (r < 0)
		return r == -EINVAL ? r : err_pass(r);
	int fd = fcntl(LISTEN_FD, F_DUPFD_CLOEXEC, FD_MIN);
	if (fd < 0)
		return err_raise(-errno);
	(void)close(LISTEN_FD);
	*ret_listener = fd;
	return 0;
}
