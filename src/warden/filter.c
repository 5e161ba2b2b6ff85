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
#include "warden/filter.h"

#include "base/attr.h"
#include "base/err.h"
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

/* The newest call that was reviewed for the lists below: set_mempolicy_home_node, Linux 5.17. */
enum { NEWEST_REVIEWED = 450 };

/* Memory of its own, time, randomness, identity (reading it), and how a program ends. */
static const char *const own_calls[] = { "brk", "mmap", "mmap2", "munmap", "mremap", "mprotect",
	"madvise", "mincore", "msync", "mlock", "mlock2", "munlock", "mlockall", "munlockall",
	"membarrier", "pkey_alloc", "pkey_free", "pkey_mprotect", "remap_file_pages",
	"memfd_create", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
	"rt_sigsuspend", "rt_sigtimedwait", "sigaltstack", "restart_syscall", "pause", "alarm",
	"getitimer", "setitimer", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres",
	"gettimeofday", "time", "times", "timer_create", "timer_settime", "timer_gettime",
	"timer_getoverrun", "timer_delete", "timerfd_create", "timerfd_settime", "timerfd_gettime",
	"adjtimex", "clock_adjtime", "getrandom", "getpid", "getppid", "gettid", "getuid",
	"geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getpgid", "getpgrp",
	"getsid", "getcpu", "getrlimit", "ugetrlimit", "prlimit64", "setrlimit", "getrusage",
	"getpriority", "sysinfo", "uname", "capget", "futex", "futex_time64", "set_robust_list",
	"get_robust_list", "set_tid_address", "rseq", "arch_prctl", "set_thread_area",
	"get_thread_area", "prctl", "sched_yield", "sched_getaffinity", "exit", "exit_group" };

/* Files: what the mounts allow, they allow. Devices and set-uid bits fail for lack of rights. */
static const char *const file_calls[] = { "open", "openat", "openat2", "creat", "close",
	"close_range", "read", "readv", "pread64", "preadv", "preadv2", "write", "writev",
	"pwrite64", "pwritev", "pwritev2", "lseek", "_llseek", "stat", "stat64", "fstat", "fstat64",
	"lstat", "lstat64", "newfstatat", "fstatat64", "statx", "statfs", "statfs64", "fstatfs",
	"fstatfs64", "access", "faccessat", "faccessat2", "getcwd", "chdir", "fchdir", "mkdir",
	"mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link",
	"linkat", "symlink", "symlinkat", "readlink", "readlinkat", "mknod", "mknodat", "chmod",
	"fchmod", "fchmodat", "chown", "chown32", "fchown", "fchown32", "fchownat", "lchown",
	"lchown32", "utime", "utimes", "utimensat", "utimensat_time64", "futimesat", "truncate",
	"truncate64", "ftruncate", "ftruncate64", "fallocate", "fadvise64", "fadvise64_64",
	"readahead", "sync_file_range", "fsync", "fdatasync", "flock", "fcntl", "fcntl64", "dup",
	"dup2", "dup3", "umask", "getdents", "getdents64", "copy_file_range", "sendfile",
	"sendfile64", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
	"setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
	"name_to_handle_at", "inotify_init", "inotify_init1", "inotify_add_watch",
	"inotify_rm_watch", "ioctl" };

/* Waiting, and talking between processes of the same sandbox (it has its own ipc namespace). */
static const char *const talk_calls[] = { "pipe", "pipe2", "splice", "tee", "vmsplice", "eventfd",
	"eventfd2", "signalfd", "signalfd4", "select", "_newselect", "pselect6", "pselect6_time64",
	"poll", "ppoll", "ppoll_time64", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2", "socketpair", "bind", "connect", "listen", "accept",
	"accept4", "shutdown", "getsockname", "getpeername", "getsockopt", "setsockopt", "send",
	"sendto", "sendmsg", "sendmmsg", "recv", "recvfrom", "recvmsg", "recvmmsg",
	"recvmmsg_time64", "shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semtimedop",
	"semtimedop_time64", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl" };

/* Processes and threads: bounded by the cgroup, seen only within the pid namespace. */
static const char *const process_calls[] = { "fork", "vfork", "execve", "execveat", "wait4",
	"waitid", "waitpid", "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
	"pidfd_open", "pidfd_send_signal", "setpgid", "setsid", "setpriority", "ioprio_get",
	"ioprio_set", "sched_setaffinity", "sched_getparam", "sched_setparam", "sched_getscheduler",
	"sched_setscheduler", "sched_getattr", "sched_setattr", "sched_get_priority_max",
	"sched_get_priority_min", "sched_rr_get_interval", "seccomp", "capset", "setuid", "setgid",
	"setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid" };

/* An unpacker is started by exec, and then is alone: no other processes, no sockets. */
static const char *const unpack_calls[] = { "execveat", "kill", "tgkill" };

/*
 * Not newer than NEWEST_REVIEWED and refused, but programs ask for them first and have something
 * to fall back to only on ENOSYS. clone3: its flags are in memory, where a filter cannot look.
 */
static const char *const absent_calls[] = { "clone3", "futex_waitv", "landlock_create_ruleset",
	"landlock_add_rule", "landlock_restrict_self", "memfd_secret", "process_mrelease",
	"set_mempolicy_home_node" };

/* A new namespace would bring new capabilities with it. (CLONE_NEWTIME only exists in clone3.) */
static const uint64_t clone_new = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
	CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

static int filter_rules(
	scmp_filter_ctx ctx, uint32_t action, const char *const names[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);
		if (number < 0) /* this architecture has no such call */
			continue;
		int r = seccomp_rule_add(ctx, action, number, 0);
		if (r < 0)
			return err_raise(r);
	}
	return 0;
}

#define FILTER_RULES(ctx, action, names) filter_rules((ctx), (action), (names), ARRAY_LEN(names))

/*
 * Sockets: local ones; TCP and UDP; and the routing table's netlink, which getaddrinfo()
 * and getifaddrs() read. No raw or packet sockets, and no protocol that loads a module.
 */
static int filter_sockets(scmp_filter_ctx ctx)
{
	static const struct {
		int type, protocol;
	} kinds[] = { { SOCK_STREAM, 0 }, { SOCK_STREAM, IPPROTO_TCP }, { SOCK_DGRAM, 0 },
		{ SOCK_DGRAM, IPPROTO_UDP } };
	static const int domains[] = { AF_INET, AF_INET6 };
	enum { TYPE_MASK = 0xf }; /* without SOCK_CLOEXEC and SOCK_NONBLOCK */

	int r = seccomp_rule_add(
		ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	for (size_t d = 0; d < ARRAY_LEN(domains); d++)
		for (size_t k = 0; r == 0 && k < ARRAY_LEN(kinds); k++)
			r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3,
				SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)domains[d]),
				SCMP_A1(SCMP_CMP_MASKED_EQ, TYPE_MASK, (scmp_datum_t)kinds[k].type),
				SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)kinds[k].protocol));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
			SCMP_A0(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE));
	return r < 0 ? err_raise(r) : 0;
}

static int filter_sandbox_rules(scmp_filter_ctx ctx)
{
	int r = FILTER_RULES(ctx, SCMP_ACT_ALLOW, talk_calls);
	if (r == 0)
		r = FILTER_RULES(ctx, SCMP_ACT_ALLOW, process_calls);
	if (r == 0)
		r = FILTER_RULES(ctx, SCMP_ACT_ERRNO(ENOSYS), absent_calls);
	if (r == 0)
		r = filter_sockets(ctx);
	if (r < 0)
		return err_pass(r);

	/* Threads and children, in the namespaces they are in. */
	r = seccomp_rule_add(
		ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, clone_new, 0));
	/* Asking for the personality (0xffffffff) and the plain one; no READ_IMPLIES_EXEC, no odd ABI. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, 0xffffffff));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, 0));
	return r < 0 ? err_raise(r) : 0;
}

static int filter_build(scmp_filter_ctx ctx, enum filter_kind kind)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary search */
	/* The 32-bit calls of a 64-bit machine: as if the kernel had none. */
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (r < 0)
		return err_raise(r);
	r = FILTER_RULES(ctx, SCMP_ACT_ALLOW, own_calls);
	if (r == 0)
		r = FILTER_RULES(ctx, SCMP_ACT_ALLOW, file_calls);
	if (r == 0)
		r = kind == FILTER_SANDBOX ? filter_sandbox_rules(ctx)
					   : FILTER_RULES(ctx, SCMP_ACT_ALLOW, unpack_calls);
	return err_pass(r);
}

#define NUMBER_AT offsetof(struct seccomp_data, nr)
/* The low half of the second argument, on a little-endian machine. */
#define ARGUMENT_1_AT offsetof(struct seccomp_data, args[1])
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

/* What stands in front: see the top. Falls through to libseccomp's program. */
static const struct sock_filter preamble[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER_AT),
	BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, NEWEST_REVIEWED, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT_1_AT),
	/* Typing into a terminal, for who shares one with us. */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCSTI, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCLINUX, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
};

/* libseccomp 2.5 exports to a descriptor only. */
static int filter_export(scmp_filter_ctx ctx, struct filter *filter)
{
	size_t room = (FILTER_LEN_MAX - ARRAY_LEN(preamble)) * sizeof(struct sock_filter), len;
	scoped_fd file = memfd_create("seccomp", MFD_CLOEXEC);
	if (file < 0)
		return err_raise(-errno);
	int r = seccomp_export_bpf(ctx, file);
	if (r < 0)
		return err_raise(r);
	if (lseek(file, 0, SEEK_SET) < 0)
		return err_raise(-errno);

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

int filter_install(const struct filter *filter)
{
	struct sock_fprog program = { .len = filter->len,
		.filter = (struct sock_filter *)filter->program };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
