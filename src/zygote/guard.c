/*
 *	warden ── zygote ── guard ──┬── /opt/extensions/a     Extensions API ──┐
 *	                     ▲      ├── /opt/extensions/b    ──────────────────┤
 *	                     │      └── the runtime          ─── Runtime API ──┤
 *	                     └──────────── struct guard_frame ─────────────── router
 *
 * "Lambda … starts all the extensions" before the runtime, and an extension goes on when the runtime is
 * dead: somebody has to be there before and after. It is the zygote's child, gone on living in the jail as
 * process 1 does, with the rights of the function: what protects it is that nobody without rights may look
 * into it (it is not dumpable). It decides nothing: the order of things is the router's.
 *
 * The warden takes it for the runtime: its end is the end of the sandbox. It ends when the router lets
 * go of it; and, so that the warden sees the kernel's hand, by SIGKILL when a SIGKILL that nobody asked for
 * has ended the runtime.
 *
 * Nothing is allocated here.
 */
#include "zygote/guard.h"

#include "base/attr.h"
#include "os/fd.h"
#include "wire/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXTENSIONS_DIR "/opt/extensions"

enum { ENV_COUNT_MAX = 1024, DIRENTS_SIZE = 8192 };

static struct {
	const struct pack_spec *pack;
	int signals;		     /* signalfd: SIGCHLD */
	int log;		     /* of extensions */
	pid_t pids[GUARDED_MAX + 1]; /* the last is the runtime; 0: none */
	bool is_kill_asked;	     /* of the runtime */
	char names[GUARDED_MAX + 1][GUARD_NAME_MAX];
	char *env[ENV_COUNT_MAX + 1]; /* of extensions */
} guard;

static void guard_say(const struct guard_frame *frame, int fd)
{
	if (fd_send(JAIL_FD_IMAGE, frame, sizeof(*frame), &fd, fd >= 0) < 0)
		_exit(1); /* the router has gone: so do we */
}

/* --- which extensions there are --- */

/* What getdents64(2) writes. */
struct guard_dirent {
	uint64_t inode;
	int64_t offset;
	unsigned short len;
	unsigned char type;
	char name[];
};

static bool is_extension(int dir, const char *name)
{
	struct stat st;

	return strlen(name) < GUARD_NAME_MAX && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
		fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode);
}

/* Keep the first of them, in the order of their names: one more than there may be. */
static size_t guard_keep_name(size_t count, const char *name)
{
	size_t at = count;

	while (at > 0 && strcmp(guard.names[at - 1], name) > 0)
		at--;
	if (at == GUARDED_MAX + 1)
		return count;
	if (count == GUARDED_MAX + 1)
		count--;
	memmove(guard.names[at + 1], guard.names[at], (count - at) * GUARD_NAME_MAX);
	(void)snprintf(guard.names[at], GUARD_NAME_MAX, "%s", name);
	return count + 1;
}

static size_t guard_list(void)
{
	static _Alignas(struct guard_dirent) char bytes[DIRENTS_SIZE];
	size_t count = 0;
	long len;
	scoped_fd dir = open(EXTENSIONS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0;

	while ((len = syscall(SYS_getdents64, dir, bytes, sizeof(bytes))) > 0)
		for (long at = 0; at < len;) {
			const struct guard_dirent *entry = (const void *)(bytes + at);
			if (is_extension(dir, entry->name))
				count = guard_keep_name(count, entry->name);
			at += entry->len;
		}
	return count;
}

/*
 * "…the following environment variables are not available to extensions": those that are about
 * the runtime.
 */
static void guard_make_env(void)
{
	static const char *const not_theirs[] = { "AWS_EXECUTION_ENV=",
		"AWS_LAMBDA_LOG_GROUP_NAME=", "AWS_LAMBDA_LOG_STREAM_NAME=",
		"AWS_XRAY_CONTEXT_MISSING=", "AWS_XRAY_DAEMON_ADDRESS=", "LAMBDA_RUNTIME_DIR=",
		"LAMBDA_TASK_ROOT=", "_AWS_XRAY_DAEMON_ADDRESS=", "_AWS_XRAY_DAEMON_PORT=",
		"_HANDLER=", "_LAMBDA_TELEMETRY_LOG_FD=" };
	size_t count = 0;

	for (char **from = exec_env(); *from && count < ENV_COUNT_MAX; from++) {
		bool is_theirs = true;
		for (size_t i = 0; i < ARRAY_LEN(not_theirs); i++)
			is_theirs = is_theirs &&
				strncmp(*from, not_theirs[i], strlen(not_theirs[i])) != 0;
		if (is_theirs)
			guard.env[count++] = *from;
	}
}

/* --- starting --- */

static void guard_exec_extension(const char *name)
{
	char path[sizeof(EXTENSIONS_DIR) + 1 + GUARD_NAME_MAX];
	char *argv[] = { path, NULL };

	(void)snprintf(path, sizeof(path), "%s/%s", EXTENSIONS_DIR, name);
	if (dup2(guard.log, STDOUT_FILENO) >= 0 && dup2(guard.log, STDERR_FILENO) >= 0 &&
		chdir("/") == 0)
		execve(path, argv, guard.env);
}

static _Noreturn void guard_become(uint32_t who, int failures)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setpgid(0, 0);
	int error = ENOENT;
	if (who == GUARD_RUNTIME) {
		error = -exec_program(guard.pack);
	} else {
		guard_exec_extension(guard.names[who]);
		error = errno;
	}
	(void)!write(failures, &error, sizeof(error));
	_exit(127);
}

/* Returns 0 when its program runs, or an errno. */
static int guard_start(uint32_t who)
{
	int pipe[2], error = 0;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return errno;
	scoped_fd reading = pipe[0], writing = pipe[1];
	pid_t pid = fork();
	if (pid < 0)
		return errno;
	if (pid == 0)
		guard_become(who, writing);
	fd_close(&writing);
	/* The end of the file: exec has closed the other one. */
	if (read(reading, &error, sizeof(error)) == (ssize_t)sizeof(error)) {
		(void)waitpid(pid, NULL, 0);
		return error;
	}
	guard.pids[who] = pid;
	return 0;
}

static void guard_start_and_tell(uint32_t who)
{
	int error = guard_start(who);

	if (error)
		guard_say(
			&(struct guard_frame){
				.op = GUARD_NOT_STARTED, .who = who, .value = (uint32_t)error },
			-1);
}

static void guard_start_extensions(void)
{
	size_t count = guard_list();

	guard_make_env();
	for (uint32_t i = 0; i < count; i++) {
		struct guard_frame frame = {
			.op = i < GUARDED_MAX ? GUARD_EXTENSION : GUARD_TOO_MANY, .who = i
		};
		(void)snprintf(frame.name, sizeof(frame.name), "%s", guard.names[i]);
		guard_say(&frame, -1);
		if (i < GUARDED_MAX)
			guard_start_and_tell(i);
	}
	guard_say(&(struct guard_frame){ .op = GUARD_LISTED }, -1);
}

/* --- what the router asks --- */

/* The first thing it says; it said so before there was a sandbox. */
static void guard_await_begin(void)
{
	struct guard_frame frame = {};
	size_t len = 0, fd_count = 0;

	int r = fd_receive(JAIL_FD_IMAGE, &frame, sizeof(frame), &len, &guard.log, 1, &fd_count);
	if (r < 0 || len != sizeof(frame) || frame.op != GUARD_BEGIN || fd_count != 1)
		_exit(1);
}

/* In our network, of which the router has no part. */
static void guard_connect(const struct guard_frame *ask)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)ask->value),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct guard_frame answer = { .op = GUARD_CONNECTED, .ticket = ask->ticket };
	scoped_fd fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
		(connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)) {
		answer.value = (uint32_t)errno;
		fd_close(&fd);
	}
	guard_say(&answer, fd);
}

static void guard_obey(const struct guard_frame *ask)
{
	pid_t pid = ask->who <= GUARD_RUNTIME ? guard.pids[ask->who] : 0;

	switch (ask->op) {
	case GUARD_START:
		if (!guard.pids[GUARD_RUNTIME])
			guard_start_and_tell(GUARD_RUNTIME);
		break;
	case GUARD_TERMINATE:
		if (pid)
			(void)kill(pid, SIGTERM);
		break;
	case GUARD_KILL:
		guard.is_kill_asked |= ask->who == GUARD_RUNTIME;
		if (pid)
			(void)kill(-pid, SIGKILL);
		break;
	case GUARD_CONNECT:
		guard_connect(ask);
		break;
	default:
		break;
	}
}

static void guard_on_socket(void)
{
	struct guard_frame ask;
	size_t len, fd_count;
	int fds[1];

	int r = fd_receive(JAIL_FD_IMAGE, &ask, sizeof(ask), &len, fds, 0, &fd_count);
	if (r < 0) /* it has let go */
		_exit(0);
	if (len == sizeof(ask))
		guard_obey(&ask);
}

/* --- how they end --- */

static void guard_tell_end(uint32_t who, int status)
{
	bool is_signal = WIFSIGNALED(status);
	struct guard_frame frame = { .op = GUARD_ENDED,
		.who = who,
		.kind = is_signal ? EXIT_SIGNAL : EXIT_STATUS,
		.value = (uint32_t)(is_signal ? WTERMSIG(status) : WEXITSTATUS(status)) };

	if (who == GUARD_RUNTIME && is_signal && frame.value == SIGKILL && !guard.is_kill_asked)
		(void)kill(getpid(), SIGKILL);
	guard_say(&frame, -1);
}

static void guard_on_children(void)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	(void)!read(guard.signals, &info, sizeof(info));
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (uint32_t who = 0; who <= GUARD_RUNTIME; who++)
			if (guard.pids[who] == pid) {
				guard.pids[who] = 0;
				guard_tell_end(who, status);
			}
}

static void guard_prepare(void)
{
	sigset_t child;

	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_NAME, "mayfly-guard");
	(void)fcntl(JAIL_FD_IMAGE, F_SETFD, FD_CLOEXEC);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &child, NULL);
	guard.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	/* From here on the warden knows that the sandbox lives. */
	(void)close(JAIL_FD_REPORT);
	(void)close(JAIL_FD_PARENT);
	(void)close(JAIL_FD_RESTORE);
}

_Noreturn void guard_run(const struct pack_spec *pack)
{
	guard.pack = pack;
	guard_prepare();
	guard_await_begin();
	guard_start_extensions();
	fd_close(&guard.log);
	for (;;) {
		struct pollfd fds[] = { { .fd = JAIL_FD_IMAGE, .events = POLLIN },
			{ .fd = guard.signals, .events = POLLIN } };
		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			_exit(1);
		if (fds[1].revents)
			guard_on_children();
		if (fds[0].revents)
			guard_on_socket();
	}
}
