/*
 * An allow-list. What is not in it and was known when it was written fails with EPERM:
 * mount, ptrace, unshare, setns, bpf, keyctl, io_uring, userfaultfd, perf_event_open, kernel
 * modules, kexec, clocks, swap, reboot… What is newer fails with ENOSYS, so that programs
 * fall back to the older call instead of giving up.
 *
 * libseccomp writes the program, as a binary search over the numbers: the kernel runs it
 * for every call, and, when it is installed, once for every possible one. Two things that
 * libseccomp cannot say stand in front of it in BPF: "greater than" on the number, and a
 * refusal of single ioctls that looks at 32 bits, as the kernel does.
 */
#include "jail/filter.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	SANDBOX = BIT(FILTER_SANDBOX),
	UNPACK = BIT(FILTER_UNPACK),
	/* The newest call that was reviewed for the rows: set_mempolicy_home_node, Linux 5.17. */
	NEWEST_REVIEWED = 450,
	SOCKET_TYPE = 0xf, /* without SOCK_CLOEXEC and SOCK_NONBLOCK */
};

#define ALL_32 0xffffffffU
/* A new namespace would bring new capabilities with it. (CLONE_NEWTIME only exists in clone3.) */
#define CLONE_NEW                                                                      \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		CLONE_NEWPID | CLONE_NEWNET)
#define ABSENT SCMP_ACT_ERRNO(ENOSYS)
#define INTERNET(domain, type, protocol)                                        \
	{                                                                       \
		SANDBOX, SCMP_ACT_ALLOW, "socket", 3,                           \
		{                                                               \
			{ 0, SCMP_CMP_EQ, (domain), 0 },                        \
				{ 1, SCMP_CMP_MASKED_EQ, SOCKET_TYPE, (type) }, \
			{                                                       \
				2, SCMP_CMP_EQ, (protocol), 0                   \
			}                                                       \
		}                                                               \
	}

struct filter_row {
	unsigned kinds;
	uint32_t action;
	const char *calls; /* separated by spaces; what an architecture does not have is skipped */
	unsigned count;
	struct scmp_arg_cmp arguments[3]; /* all must hold */
};

static const struct filter_row rows[] = {
	/* Its own memory. */
	{ SANDBOX | UNPACK, SCMP_ACT_ALLOW,
		"brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 munlock "
		"mlockall munlockall membarrier pkey_alloc pkey_free pkey_mprotect "
		"remap_file_pages memfd_create" },
	/* Its own signals, timers and threads; reading clocks; randomness; who it is; its end. */
	{ SANDBOX | UNPACK, SCMP_ACT_ALLOW,
		"rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend "
		"rt_sigtimedwait sigaltstack restart_syscall pause alarm getitimer setitimer "
		"nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times "
		"timer_create timer_settime timer_gettime timer_getoverrun timer_delete "
		"timerfd_create timerfd_settime timerfd_gettime adjtimex clock_adjtime getrandom "
		"getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid "
		"getgroups getpgid getpgrp getsid getcpu getrlimit prlimit64 setrlimit getrusage "
		"getpriority sysinfo uname capget futex set_robust_list get_robust_list "
		"set_tid_address rseq arch_prctl prctl sched_yield sched_getaffinity exit "
		"exit_group" },
	/* Files: what the mounts allow. Devices and set-uid bits fail for lack of rights. */
	{ SANDBOX | UNPACK, SCMP_ACT_ALLOW,
		"open openat openat2 creat close close_range read readv pread64 preadv preadv2 "
		"write writev pwrite64 pwritev pwritev2 lseek stat fstat lstat newfstatat statx "
		"statfs fstatfs access faccessat faccessat2 getcwd chdir fchdir mkdir mkdirat "
		"rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat "
		"readlink readlinkat mknod mknodat chmod fchmod fchmodat chown fchown fchownat "
		"lchown utime utimes utimensat futimesat truncate ftruncate fallocate fadvise64 "
		"readahead sync_file_range fsync fdatasync flock fcntl dup dup2 dup3 umask "
		"getdents getdents64 copy_file_range sendfile getxattr lgetxattr fgetxattr "
		"listxattr llistxattr flistxattr setxattr lsetxattr fsetxattr removexattr "
		"lremovexattr fremovexattr name_to_handle_at inotify_init inotify_init1 "
		"inotify_add_watch inotify_rm_watch ioctl" },
	/* Waiting, and talking: within its own network and ipc namespaces. */
	{ SANDBOX, SCMP_ACT_ALLOW,
		"pipe pipe2 splice tee vmsplice eventfd eventfd2 signalfd signalfd4 select pselect6 "
		"poll ppoll epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait "
		"epoll_pwait2 socketpair bind connect listen accept accept4 shutdown getsockname "
		"getpeername getsockopt setsockopt sendto sendmsg sendmmsg recvfrom recvmsg "
		"recvmmsg shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd "
		"msgrcv msgctl" },
	/* Processes: bounded by the cgroup, seen only within the pid namespace. */
	{ SANDBOX, SCMP_ACT_ALLOW,
		"fork vfork execve execveat wait4 waitid kill tkill tgkill rt_sigqueueinfo "
		"rt_tgsigqueueinfo pidfd_open pidfd_send_signal setpgid setsid setpriority "
		"ioprio_get ioprio_set sched_setaffinity sched_getparam sched_setparam "
		"sched_getscheduler sched_setscheduler sched_getattr sched_setattr "
		"sched_get_priority_max sched_get_priority_min sched_rr_get_interval seccomp "
		"capset setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid "
		"setfsgid" },
	/* An unpacker is started by exec, and then is alone: no other processes, no sockets. */
	{ UNPACK, SCMP_ACT_ALLOW, "execveat kill tgkill" },
	/* Threads and children, in the namespaces they are in. */
	{ SANDBOX, SCMP_ACT_ALLOW, "clone", 1, { { 0, SCMP_CMP_MASKED_EQ, CLONE_NEW, 0 } } },
	/* clone3 keeps its flags in memory, where a filter cannot look: as if there were none. */
	{ SANDBOX, ABSENT, "clone3" },
	/* Refused, but programs ask for them first and fall back only on this. */
	{ SANDBOX, ABSENT,
		"futex_waitv landlock_create_ruleset landlock_add_rule landlock_restrict_self "
		"memfd_secret process_mrelease set_mempolicy_home_node" },
	/* Asking for the personality, and the plain one: no READ_IMPLIES_EXEC, no odd ABI. */
	{ SANDBOX, SCMP_ACT_ALLOW, "personality", 1,
		{ { 0, SCMP_CMP_MASKED_EQ, ALL_32, ALL_32 } } },
	{ SANDBOX, SCMP_ACT_ALLOW, "personality", 1, { { 0, SCMP_CMP_MASKED_EQ, ALL_32, 0 } } },
	/* Sockets of files; TCP and UDP. Nothing raw, no protocol that would load a module. */
	{ SANDBOX, SCMP_ACT_ALLOW, "socket", 1, { { 0, SCMP_CMP_EQ, AF_UNIX, 0 } } },
	INTERNET(AF_INET, SOCK_STREAM, 0),
	INTERNET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
	INTERNET(AF_INET, SOCK_DGRAM, 0),
	INTERNET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
	INTERNET(AF_INET6, SOCK_STREAM, 0),
	INTERNET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	INTERNET(AF_INET6, SOCK_DGRAM, 0),
	INTERNET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
	/* The routing table's netlink: getaddrinfo() and getifaddrs() read it. */
	{ SANDBOX, SCMP_ACT_ALLOW, "socket", 2,
		{ { 0, SCMP_CMP_EQ, AF_NETLINK, 0 }, { 2, SCMP_CMP_EQ, NETLINK_ROUTE, 0 } } },
};

/* What stands in front: see the top. Falls through to libseccomp's program. */
static const struct sock_filter preamble[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, NEWEST_REVIEWED, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])), /* low half */
	/* Typing into a terminal, for who shares one with us. */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCSTI, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCLINUX, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
};
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

static int filter_add(scmp_filter_ctx ctx, const struct filter_row *row)
{
	str rest = str_of(row->calls), name;
	char text[48];

	while (str_next(&rest, ' ', &name)) {
		int r = str_to_array(name, text, sizeof(text));
		int number = r < 0 ? 0 : seccomp_syscall_resolve_name(text);
		if (r == 0 && number >= 0)
			r = seccomp_rule_add_array(
				ctx, row->action, number, row->count, row->arguments);
		if (r < 0)
			return err_raise(r);
	}
	return 0;
}

static int filter_build(scmp_filter_ctx ctx, enum filter_kind kind)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary search */
	/* The 32-bit calls of a 64-bit machine: as if the kernel had none. */
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, ABSENT);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(rows); i++)
		if (rows[i].kinds & BIT(kind))
			r = filter_add(ctx, &rows[i]);
	return err_pass(r);
}

/* libseccomp 2.5 exports to a descriptor only. */
static int filter_export(scmp_filter_ctx ctx, struct filter *filter)
{
	size_t room = (FILTER_LEN_MAX - ARRAY_LEN(preamble)) * sizeof(struct sock_filter), len;
	scoped_fd file = memfd_create("seccomp", MFD_CLOEXEC);
	if (file < 0)
		return err_raise(-errno);
	int r = seccomp_export_bpf(ctx, file);
	if (r < 0 || lseek(file, 0, SEEK_SET) < 0)
		return err_raise(r < 0 ? r : -errno);

	memcpy(filter->program, preamble, sizeof(preamble));
	r = fd_read_all(file, (char *)(filter->program + ARRAY_LEN(preamble)), room, &len);
	if (r < 0)
		return err_pass(r);
	if (len == 0 || len == room || len % sizeof(struct sock_filter))
		return err_raise(-EOVERFLOW);
	filter->len = (unsigned short)(ARRAY_LEN(preamble) + len / sizeof(struct sock_filter));
	return 0;
}

int filter_compile(enum filter_kind kind, struct filter *ret_filter)
{
	assert(kind < FILTER_KINDS);
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return err_raise(-ENOMEM);

	int r = filter_build(ctx, kind);
	if (r == 0)
		r = filter_export(ctx, ret_filter);
	seccomp_release(ctx);
	return err_pass(r);
}
