/* From a jailed child to the program of a pack. */
#include "init/init.h"
#include "os/fd.h"
#include "zygote/guard.h"
#include "zygote/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { ENV_COUNT_MAX = 1024 };

static char env_block[ENV_BLOCK_MAX + 1];
static char *env_vector[ENV_COUNT_MAX + 1];

/* Cut the block, which the router filled from what a customer said, at its NUL bytes. */
static int exec_read_env(int fd)
{
	size_t len, count = 0;

	int r = fd_read_all(fd, env_block, ENV_BLOCK_MAX, &len);
	if (r < 0)
		return r;
	for (size_t at = 0; at < len;) {
		if (count == ENV_COUNT_MAX)
			return -E2BIG;
		env_vector[count++] = env_block + at;
		while (at < len && env_block[at])
			at++;
		at++;
	}
	return 0;
}

char **exec_env(void)
{
	return env_vector;
}

int exec_program(const struct pack_spec *pack)
{
	int error = -ENOENT;

	/* The program's places in order; of several failures the most telling. */
	for (uint32_t i = 0; i < pack->argv_alternatives; i++) {
		char *argv[PACK_ARGV_MAX + 1] = {};
		for (uint32_t k = 0; k < pack->argc[i]; k++)
			argv[k] = (char *)pack->argv[i][k];
		execve(argv[0], argv, env_vector);
		if (errno != ENOENT)
			error = -errno;
	}
	return error;
}

/* The program that maps the image and goes on as what was saved. */
static int exec_restore(void)
{
	char *argv[] = { (char *)"mayfly-restore", NULL }, *envp[] = { NULL };

	(void)fcntl(JAIL_FD_ENV, F_SETFD, 0); /* for what is restored to read */
	execveat(JAIL_FD_RESTORE, "", argv, envp, AT_EMPTY_PATH);
	return -errno;
}

_Noreturn void zygote_run(const struct zygote *zygote, const struct pack_spec *packs)
{
	struct zygote_birth birth = {};
	int r;

	do
		r = zygote_next(zygote, &birth);
	while (r > 0);
	if (r < 0) /* the warden has gone, and we with it */
		_exit(r == -EPIPE ? 0 : 1);
	if (birth.work == ZYGOTE_MOUNTER)
		_exit(0);
	r = birth.work == ZYGOTE_RESTORE ? exec_restore() : exec_read_env(JAIL_FD_ENV);
	if (r == 0 && birth.work == ZYGOTE_GUARD)
		guard_run(&packs[birth.pack]);
	if (r == 0)
		r = exec_program(&packs[birth.pack]);
	note_failure(JAIL_FD_REPORT, "exec", -r);
	_exit(127);
}
