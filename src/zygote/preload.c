/*
 * What makes an interpreter a zygote: preloaded into it, this library stands in for the C library's
 * fork(). The bootstrap of a language, when all is loaded, calls its fork in a loop:
 *
 *	while os.fork() != 0: pass
 *
 * and each call waits for a question of the warden's. In the child, which is in a sandbox by then,
 * it returns 0 as fork() does, so the interpreter renews whatever it has to in a child (its random
 * state, its locks) by its own rules; descriptor JAIL_FD_ENV has the new environment. From then on
 * fork() is the C library's. No language needs C of its own for this.
 *
 * A snapshot goes the same way: in a process that has MAYFLY_SNAPSHOT=1 in its environment when it calls
 * fork(), this one call writes the image of the process to descriptor JAIL_FD_IMAGE, and returns once here
 * (positive, or -1), and 0 in each process that is ever restored from it, where JAIL_FD_IMAGE has the
 * new environment: see snapshot/snapshot.h.
 * A bootstrap sets the variable right before, so that no other fork() is taken for it; MAYFLY_SNAPSHOT_BYTES
 * may bound what is written.
 *
 * Otherwise the library is only at work in a process that the warden has started so (MAYFLY_ZYGOTE); the
 * variables that brought it here are gone before the interpreter looks at its environment. They are
 * gone from /proc/self/environ too, which shows the memory that exec put the environment in: a child
 * has its function's there. MAYFLY_ZYGOTE is as long as the longest of them.
 */
#include "init/init.h"
#include "snapshot/snapshot.h"
#include "zygote/zygote.h"

#include "os/fd.h"
#include "os/rights.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
	struct zygote zygote;
	struct filter filter;
	bool is_waiting; /* for questions: fork() is ours */
	bool is_ready;	 /* the warden was told */
	char *env;	 /* where exec put the environment */
	size_t env_size;
} preload;

static bool preload_read_filter(void)
{
	size_t len = 0;

	int r = fd_read_all(
		ZYGOTE_FD_FILTER, (char *)&preload.filter, sizeof(preload.filter), &len);
	(void)close(ZYGOTE_FD_FILTER);
	return r == 0 && len == sizeof(preload.filter);
}

/* The strings lie one behind the other. */
static void preload_find_env(char *room)
{
	const char *end = environ[0];

	preload.env = environ[0];
	for (char **entry = environ; *entry == end; entry++)
		end += strlen(*entry) + 1;
	preload.env_size = (size_t)(end - preload.env);
	memset(room, 0, strlen(room)); /* once, here: in a child it would be pages of its own */
}

/* What exec would do. The interpreter has copies of what it knows of the old one. */
static void preload_show_env(void)
{
	(void)clearenv();
	ssize_t len = pread(JAIL_FD_ENV, preload.env, preload.env_size, 0);
	for (size_t i = len < 0 ? 0 : (size_t)len; i < preload.env_size; i++)
		if (preload.env[i]) /* the rest is zero already, and shared */
			preload.env[i] = 0;
}

[[gnu::constructor]] static void preload_begin(void)
{
	char *room = getenv("MAYFLY_ZYGOTE");

	if (!room || !preload_read_filter()) {
		(void)unsetenv("LD_PRELOAD");
		return;
	}
	preload_find_env(room);
	(void)unsetenv("LD_PRELOAD");
	preload.zygote = (struct zygote){
		.socket = ZYGOTE_FD_SOCKET,
		.parent = ZYGOTE_FD_PARENT,
		.null = STDIN_FILENO,
		.restore = -1,
		.filter = &preload.filter,
	};
	preload.is_waiting = true;
	(void)!rights_seal(); /* children would do it, and say if it fails */
	for (int fd = ZYGOTE_FD_SOCKET; fd < ZYGOTE_FD_FILTER; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* One thread only: others would not exist in the child, and what they hold would be held for ever. */
static bool preload_is_alone(void)
{
	return unshare(CLONE_VM) == 0; /* changes nothing, and is refused if there are others */
}

static pid_t preload_fork(void)
{
	struct zygote_birth birth;

	if (!preload_is_alone()) {
		errno = EBUSY;
		return -1;
	}
	if (!preload.is_ready)
		note_send(preload.zygote.socket, &(struct note){ .kind = NOTE_READY }, NULL, 0);
	preload.is_ready = true;
	int r = zygote_next(&preload.zygote, &birth);
	if (r < 0) {
		errno = -r;
		return -1;
	}
	if (r > 0)
		return r; /* not the child's number: nobody here waits for it */
	if (birth.work == ZYGOTE_MOUNTER)
		_exit(0);
	preload.is_waiting = false;
	preload_show_env();
	(void)close(JAIL_FD_REPORT);
	(void)close(JAIL_FD_PARENT);
	(void)close(JAIL_FD_RESTORE); /* if it is there; the image stays, for fork() to save to */
	(void)fcntl(JAIL_FD_IMAGE, F_SETFD, FD_CLOEXEC);
	return 0;
}

static pid_t preload_save(pid_t (*real)(void))
{
	const char *bytes_max = getenv("MAYFLY_SNAPSHOT_BYTES");
	const struct snapshot_how how = {
		.image = JAIL_FD_IMAGE,
		.bytes_max = bytes_max ? strtoull(bytes_max, NULL, 10) : 0,
		.fork = real,
	};

	(void)unsetenv("MAYFLY_SNAPSHOT");
	pid_t r = snapshot_fork(&how);
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

static bool preload_is_to_save(void)
{
	const char *value = getenv("MAYFLY_SNAPSHOT");

	return value && strcmp(value, "1") == 0;
}

[[gnu::visibility("default")]] pid_t fork(void);

pid_t fork(void)
{
	if (preload.is_waiting)
		return preload_fork();
	pid_t (*real)(void) = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
	if (!real) {
		errno = ENOSYS;
		return -1;
	}
	return preload_is_to_save() ? preload_save(real) : real();
}
