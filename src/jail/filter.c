/*
 * An allow-list. What is not in it and was known when it was written fails with EPERM:
 * mount, ptrace, unshare, setns, bpf, keyctl, io_uring, userfaultfd, perf_event_open, kernel
 * modules, kexec, clocks, swap, reboot… What is newer fails with ENOSYS, so that programs
 * fall back to the older call instead of giving up.
 *
 * The kernel runs a program for every call; when it is installed it is compiled, and run once for
 * every possible call, so that later only those whose arguments matter need it: a long one is a
 * good part of a start. So ours is short: a binary search over the ranges of numbers that have the
 * same answer, half of one instruction a call. Behind it come only the calls whose arguments are
 * looked at. libseccomp writes that part; what it cannot say, a refusal of single ioctls that looks
 * at 32 bits, as the kernel does, stands in front of it.
 *
 *	architecture ─▶ number ─▶ search ─▶ answer
 *	                             └────▶ ioctl? ─▶ libseccomp's
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
	INIT = BIT(FILTER_INIT),
	/* The newest call that was reviewed for the rows: set_mempolicy_home_node, Linux 5.17. */
	NEWEST_REVIEWED = 450,
	SOCKET_TYPE = 0xf, /* without SOCK_CLOEXEC and SOCK_NONBLOCK */
	JUMP_MAX = 255,	   /* of a conditional one, in BPF */
};

/* Answers by the number alone, but for the last: look at the arguments. */
enum filter_answer { ALLOWED, REFUSED, MISSING, ASKED };

static const uint32_t actions[] = {
	[ALLOWED] = SCMP_ACT_ALLOW,
	[REFUSED] = SCMP_ACT_ERRNO(EPERM),
	[MISSING] = SCMP_ACT_ERRNO(ENOSYS),
};

#define ALL_32 0xffffffffU
/* A new namespace would bring new capabilities with it. (CLONE_NEWTIME only exists in clone3.) */
#define CLONE_NEW                                                                      \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		CLONE_NEWPID | CLONE_NEWNET)
#define INTERNET(domain, type, protocol)                                        \
	{                                                                       \
		SANDBOX, ALLOWED, "socket", 3,                                  \
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
	enum filter_answer answer;
	const char *calls; /* separated by spaces; what an architecture does not have is skipped */
	unsigned count;
	struct scmp_arg_cmp arguments[3]; /* all must hold */
};

static const struct filter_row rows[] = {
	/* Its own memory. */
	{ SANDBOX | UNPACK, ALLOWED,
		"brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 munlock "
		"mlockall munlockall membarrier pkey_alloc pkey_free pkey_mprotect "
		"remap_file_pages memfd_create" },
	/* Its own signals, timers and threads; reading clocks; randomness; who it is; its end. */
	{ SANDBOX | UNPACK, ALLOWED,
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
	{ SANDBOX | UNPACK, ALLOWED,
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
	{ SANDBOX, ALLOWED,
		"pipe pipe2 splice tee vmsplice eventfd eventfd2 signalfd signalfd4 select pselect6 "
		"poll ppoll epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait "
		"epoll_pwait2 socketpair bind connect listen accept accept4 shutdown getsockname "
		"getpeername getsockopt setsockopt sendto sendmsg sendmmsg recvfrom recvmsg "
		"recvmmsg shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd "
		"msgrcv msgctl" },
	/* Processes: bounded by the cgroup, seen only within the pid namespace. */
	{ SANDBOX, ALLOWED,
		"fork vfork execve execveat wait4 waitid kill tkill tgkill rt_sigqueueinfo "
		"rt_tgsigqueueinfo pidfd_open pidfd_send_signal setpgid setsid setpriority "
		"ioprio_get ioprio_set sched_setaffinity sched_getparam sched_setparam "
		"sched_getscheduler sched_setscheduler sched_getattr sched_setattr "
		"sched_get_priority_max sched_get_priority_min sched_rr_get_interval seccomp "
		"capset setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid "
		"setfsgid" },
	/*
	 * Process 1 of a sandbox says that it is ready, and collects orphans: see init/init.c. The last
	 * two are for the address sanitizer, which looks for the stack.
	 */
	{ INIT, ALLOWED,
		"prctl rt_sigprocmask rt_sigtimedwait rt_sigreturn restart_syscall sendmsg "
		"close_range wait4 exit_group sigaltstack gettid" },
	/* An unpacker is started by exec, and then is alone: no other processes, no sockets. */
	{ UNPACK, ALLOWED, "execveat kill tgkill" },
	/* Threads and children, in the namespaces they are in. */
	{ SANDBOX, ALLOWED, "clone", 1, { { 0, SCMP_CMP_MASKED_EQ, CLONE_NEW, 0 } } },
	/* clone3 keeps its flags in memory, where a filter cannot look: as if there were none. */
	{ SANDBOX, MISSING, "clone3" },
	/* Refused, but programs ask for them first and fall back only on this. */
	{ SANDBOX, MISSING,
		"futex_waitv landlock_create_ruleset landlock_add_rule landlock_restrict_self "
		"memfd_secret process_mrelease set_mempolicy_home_node" },
	/* Asking for the personality, and the plain one: no READ_IMPLIES_EXEC, no odd ABI. */
	{ SANDBOX, ALLOWED, "personality", 1, { { 0, SCMP_CMP_MASKED_EQ, ALL_32, ALL_32 } } },
	{ SANDBOX, ALLOWED, "personality", 1, { { 0, SCMP_CMP_MASKED_EQ, ALL_32, 0 } } },
	/* Sockets of files; TCP and UDP. Nothing raw, no protocol that would load a module. */
	{ SANDBOX, ALLOWED, "socket", 1, { { 0, SCMP_CMP_EQ, AF_UNIX, 0 } } },
	INTERNET(AF_INET, SOCK_STREAM, 0),
	INTERNET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
	INTERNET(AF_INET, SOCK_DGRAM, 0),
	INTERNET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
	INTERNET(AF_INET6, SOCK_STREAM, 0),
	INTERNET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	INTERNET(AF_INET6, SOCK_DGRAM, 0),
	INTERNET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
	/* The routing table's netlink: getaddrinfo() and getifaddrs() read it. */
	{ SANDBOX, ALLOWED, "socket", 2,
		{ { 0, SCMP_CMP_EQ, AF_NETLINK, 0 }, { 2, SCMP_CMP_EQ, NETLINK_ROUTE, 0 } } },
};

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

/* Calls whose arguments matter, behind the search. Falls through to libseccomp's program. */
static const struct sock_filter ioctls[] = {
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 5),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])), /* low half */
	/* Typing into a terminal, for who shares one with us. */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCSTI, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCLINUX, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SCMP_ACT_ERRNO(EPERM)),
	BPF_STMT(BPF_RET | BPF_K, SCMP_ACT_ALLOW),
};

/* The calls with the same answer as all since `from`. */
struct filter_range {
	unsigned from;
	enum filter_answer answer;
};

/* A part of the ranges that the search has come down to: more than one. */
struct filter_part {
	unsigned first, last;
};

/* The answer for each number; what has arguments goes to libseccomp too. */
static int filter_add(
	scmp_filter_ctx ctx, const struct filter_row *row, enum filter_answer answers[])
{
	str rest = str_of(row->calls), name;
	char text[48];

	while (str_next(&rest, ' ', &name)) {
		int r = str_to_array(name, text, sizeof(text));
		int number = r < 0 ? r : seccomp_syscall_resolve_name(text);
		if (r < 0 || number > NEWEST_REVIEWED)
			return err_raise(r < 0 ? r : -ERANGE);
		if (number < 0) /* not on this architecture */
			continue;
		answers[number] = row->count || number == SYS_ioctl ? ASKED : row->answer;
		if (row->count)
			r = seccomp_rule_add_array(
				ctx, actions[row->answer], number, row->count, row->arguments);
		if (r < 0)
			return err_raise(r);
	}
	return 0;
}

static void filter_append(struct filter *filter, struct sock_filter one)
{
	assert(filter->len < FILTER_LEN_MAX);
	filter->program[filter->len++] = one;
}

/*
 * Where the search goes on with the ranges first…last: that many instructions behind its beginning.
 * The answers lie behind all its steps.
 */
static unsigned search_target(const struct filter_range *ranges, unsigned step_count,
	struct filter_part parts[], unsigned *part_count, struct filter_part part)
{
	if (part.first == part.last)
		return step_count + ranges[part.first].answer;
	parts[*part_count] = part;
	return (*part_count)++;
}

/* A step of it halves what is left; each has its place when the one above it is written. */
static int filter_search(
	struct filter *filter, const struct filter_range *ranges, unsigned range_count)
{
	struct filter_part parts[JUMP_MAX] = { { 0, range_count - 1 } };
	unsigned part_count = 1;

	if (range_count < 2 || range_count + ASKED > JUMP_MAX)
		return err_raise(-EOVERFLOW);
	for (unsigned i = 0; i < range_count - 1; i++) {
		const struct filter_part part = parts[i];
		unsigned middle = (part.first + part.last + 1) / 2;
		unsigned below = search_target(ranges, range_count - 1, parts, &part_count,
			(struct filter_part){ part.first, middle - 1 });
		unsigned above = search_target(ranges, range_count - 1, parts, &part_count,
			(struct filter_part){ middle, part.last });
		filter_append(filter,
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, ranges[middle].from,
				(uint8_t)(above - i - 1), (uint8_t)(below - i - 1)));
	}
	for (unsigned answer = 0; answer < ASKED; answer++)
		filter_append(
			filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, actions[answer]));
	return 0;
}

/* All that goes by the number. */
static int filter_write(struct filter *filter, const enum filter_answer answers[])
{
	struct filter_range ranges[NEWEST_REVIEWED + 2] = { { 0, answers[0] } };
	unsigned count = 1;

	for (unsigned number = 1; number <= NEWEST_REVIEWED; number++)
		if (answers[number] != answers[number - 1])
			ranges[count++] = (struct filter_range){ number, answers[number] };
	ranges[count++] = (struct filter_range){ NEWEST_REVIEWED + 1, MISSING };
	/* The 32-bit calls of a 64-bit machine: as if the kernel had none. */
	const struct sock_filter head[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SCMP_ACT_ERRNO(ENOSYS)),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	for (size_t i = 0; i < ARRAY_LEN(head); i++)
		filter_append(filter, head[i]);
	return err_pass(filter_search(filter, ranges, count));
}

/* And by its arguments. libseccomp 2.5 exports to a descriptor only. */
static int filter_export(scmp_filter_ctx ctx, struct filter *filter)
{
	size_t room, len;

	for (size_t i = 0; i < ARRAY_LEN(ioctls); i++)
		filter_append(filter, ioctls[i]);
	room = (FILTER_LEN_MAX - filter->len) * sizeof(struct sock_filter);
	scoped_fd file = memfd_create("seccomp", MFD_CLOEXEC);
	if (file < 0)
		return err_raise(-errno);
	int r = seccomp_export_bpf(ctx, file);
	if (r < 0 || lseek(file, 0, SEEK_SET) < 0)
		return err_raise(r < 0 ? r : -errno);

	r = fd_read_all(file, (char *)(filter->program + filter->len), room, &len);
	if (r < 0)
		return err_pass(r);
	if (len == 0 || len == room || len % sizeof(struct sock_filter))
		return err_raise(-EOVERFLOW);
	filter->len = (unsigned short)(filter->len + len / sizeof(struct sock_filter));
	return 0;
}

int filter_compile(enum filter_kind kind, struct filter *ret_filter)
{
	enum filter_answer answers[NEWEST_REVIEWED + 1];
	bool has_asked = false;
	int r = 0;

	assert(kind < FILTER_KINDS);
	scmp_filter_ctx ctx = seccomp_init(actions[REFUSED]);
	if (!ctx)
		return err_raise(-ENOMEM);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		answers[i] = REFUSED;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(rows); i++)
		if (rows[i].kinds & BIT(kind))
			r = filter_add(ctx, &rows[i], answers);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		has_asked |= answers[i] == ASKED;
	ret_filter->len = 0;
	if (r == 0)
		r = filter_write(ret_filter, answers);
	if (r == 0 && has_asked)
		r = filter_export(ctx, ret_filter);
	seccomp_release(ctx);
	return err_pass(r);
}
