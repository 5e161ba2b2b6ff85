/*
 * Process 1 of a sandbox: the warden's own image, gone on living in the jail. It starts the
 * runtime, collects orphans, and when the runtime ends says how and ends too, whereupon the
 * kernel kills whatever is left in the pid namespace. It has the identity and the filter of
 * the function that it guards; what protects it is that a process 1 gets no signal from its
 * namespace that it does not handle, and that nobody without rights may look into it.
 *
 * It blocks and waits: it is one process a sandbox, and there is nothing else to do.
 */
#include "init/init.h"

#include "os/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENV_COUNT_MAX = 1024 };

static char env_block[ENV_BLOCK_MAX + 1];
static char *env_vector[ENV_COUNT_MAX + 1];

/* Cut the block, which the router filled from what a customer said, at its NUL bytes. */
static int init_read_env(int fd)
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

/* Try the program's places in order. Returns only if none works: the most telling -errno. */
static int init_exec(const struct pack_spec *pack)
{
	int error = -ENOENT;

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

/*
 * vfork: the child runs in our memory until it has exec'ed, so its error is ours to read
 * and nothing is copied.
 */
static int init_start(const struct pack_spec *pack, pid_t *ret_pid)
{
	static volatile int error;

	pid_t pid = vfork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)setsid();
		error = init_exec(pack);
		_exit(127);
	}
	*ret_pid = pid;
	return error;
}

/* Collect everybody's children until the runtime's own end. */
static int init_wait(pid_t runtime)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid == runtime)
			return status;
		if (pid < 0 && errno != EINTR)
			return -1; /* cannot be: the runtime is our child */
	}
}

void note_send(int report, const struct note *note, const int *fds, size_t fd_count)
{
	(void)!fd_send(report, note, sizeof(*note), fds, fd_count);
}

void note_failure(int report, const char *step, int error)
{
	struct note note = { .kind = NOTE_FAILED, .value = error };

	(void)snprintf(note.step, sizeof(note.step), "%s", step);
	note_send(report, &note, NULL, 0);
}

_Noreturn void init_run(const struct init *init)
{
	pid_t runtime;

	int r = init_read_env(init->env);
	if (r == 0)
		r = init_start(init->pack, &runtime);
	if (r < 0) {
		note_failure(init->report, "exec", -r);
		_exit(127);
	}
	/* The log must end with the runtime and its children, so nobody else may hold it. */
	for (int fd = 0; fd < 3; fd++)
		(void)close(fd);
	(void)close(init->env);
	(void)prctl(PR_SET_NAME, "mayfly-init");
	note_send(init->report, &(struct note){ .kind = NOTE_STARTED }, NULL, 0);
	int status = init_wait(runtime);
	note_send(init->report, &(struct note){ .kind = NOTE_ENDED, .value = status }, NULL, 0);
	_exit(0);
}
