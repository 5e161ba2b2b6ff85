/*
 * clone3() directly: glibc's fork() knows neither CLONE_PIDFD nor CLONE_INTO_CGROUP, and a
 * process that is born in its cgroup never ran outside of it (and spares the kernel the
 * lock that moving takes). The callers have one thread, so the child may do anything.
 *
 * What glibc's fork() does beside the call is done here too: the thread's number that raise() and
 * some mutexes go by is kept in a place that the kernel knows, and it writes the child's there.
 */
#include "os/child.h"

#include "base/err.h"
#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* Signals as a program expects to find them; ignored ones would stay ignored across exec. */
static void child_reset_signals(void)
{
	struct sigaction by_default = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int signal = 1; signal < NSIG; signal++)
		(void)sigaction(signal, &by_default, NULL); /* SIGKILL and SIGSTOP refuse */
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Where glibc keeps the number of this thread; NULL on a kernel that does not tell. */
static uint64_t child_tid_place(void)
{
	static int *place;

	if (!place && prctl(PR_GET_TID_ADDRESS, &place) < 0)
		place = NULL;
	return (uintptr_t)place;
}

int child_start(const struct child_how *how, int *ret_pidfd)
{
	int pidfd = -1;
	uint64_t tid_place = child_tid_place();
	struct clone_args args = {
		.flags = how->namespaces | CLONE_PIDFD |
			(how->cgroup >= 0 ? CLONE_INTO_CGROUP : 0) |
			(how->is_sibling ? CLONE_PARENT : 0) |
			(how->files_below ? CLONE_FILES : 0) |
			(tid_place ? CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID : 0),
		.pidfd = (uintptr_t)&pidfd,
		.child_tid = tid_place,
		.exit_signal = how->is_sibling ? 0 : SIGCHLD,
		.cgroup = how->cgroup >= 0 ? (unsigned)how->cgroup : 0,
	};

	long pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return err_raise(-errno);
	if (pid > 0) {
		*ret_pidfd = pidfd;
		return 1;
	}
	/* Of a table that is shared, the kernel copies only what is not closed. */
	if (how->files_below && close_range(how->files_below, ~0U, CLOSE_RANGE_UNSHARE) < 0)
		_exit(127);
	if (!how->is_sibling) /* it goes on as what it was */
		child_reset_signals();
	(void)setsid(); /* a Ctrl-C in the terminal is for the warden alone */
	if (how->name)
		(void)prctl(PR_SET_NAME, how->name);
	if (!how->is_survivor)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	return 0;
}

int child_die_with_parent(int parent_pidfd)
{
	struct pollfd dead = { .fd = parent_pidfd, .events = POLLIN };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	/* It may have died before we asked. getppid() is 0 from inside a pid namespace. */
	return poll(&dead, 1, 0) == 0 ? 0 : -ESRCH;
}

int child_channel(int *ret_ours, int *ret_theirs)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_raise(-errno);
	int r = fd_set_nonblock(pair[0], true);
	if (r < 0) {
		fd_close(&pair[0]);
		fd_close(&pair[1]);
		return err_pass(r);
	}
	*ret_ours = pair[0];
	*ret_theirs = pair[1];
	return 0;
}

int child_self(int *ret_pidfd)
{
	int fd = pidfd_open(getpid(), 0);
	if (fd < 0)
		return err_raise(-errno);
	*ret_pidfd = fd;
	return 0;
}

int child_set_fds(const int *fds, size_t count)
{
	int high[FD_PASS_MAX];

	assert(count <= FD_PASS_MAX);
	for (size_t i = 0; i < count; i++) {
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, (int)count);
		if (high[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < count; i++)
		if (dup2(high[i], (int)i) < 0)
			return -errno;
	return close_range((unsigned)count, ~0U, 0) < 0 ? -errno : 0;
}

void child_keep_fds(int *fds, size_t count)
{
	unsigned from = 3;

	for (size_t i = 1; i < count; i++) /* a dozen, sorted by insertion */
		for (size_t k = i; k > 0 && fds[k - 1] > fds[k]; k--) {
			int lower = fds[k];
			fds[k] = fds[k - 1];
			fds[k - 1] = lower;
		}
	for (size_t i = 0; i < count; i++) {
		if (fds[i] < 3)
			continue;
		if ((unsigned)fds[i] > from)
			(void)close_range(from, (unsigned)fds[i] - 1, 0);
		from = (unsigned)fds[i] + 1;
	}
	(void)close_range(from, ~0U, 0);
}

void child_kill(int pidfd)
{
	(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0); /* ESRCH: it is dead */
}

void child_terminate(int pidfd)
{
	(void)pidfd_send_signal(pidfd, SIGTERM, NULL, 0);
}

int child_reap(int pidfd, int *ret_status)
{
	siginfo_t info = {};

	if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0)
		return err_raise(-errno);
	if (info.si_pid == 0)
		return -EAGAIN;
	*ret_status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0)
						 : W_EXITCODE(0, info.si_status);
	return 0;
}

int child_wait(int pidfd, int timeout_ms)
{
	struct pollfd dead = { .fd = pidfd, .events = POLLIN };
	int count;

	do
		count = poll(&dead, 1, timeout_ms);
	while (count < 0 && errno == EINTR);
	return count > 0 ? 0 : -ETIMEDOUT;
}
