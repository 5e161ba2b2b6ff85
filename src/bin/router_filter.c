/*
 * What the router may ask of the kernel.
 *
 * The router reads every foreign byte, so it is the process that is assumed to be taken over one day. It has no
 * capability and an empty user's files; this list takes away the rest of the kernel's surface: no exec, no
 * new sockets of any kind (listeners come from the warden, connections from accept) unless it has to reach an endpoint for
 * destinations, no mount, no ptrace, no
 * keys, no bpf. A call that is not listed fails with EPERM.
 */
#include "bin/router_filter.h"

#include "base/attr.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/socket.h>

static const int allowed[] = {
	/* memory */
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	/* descriptors: connections, pipes of function logs, sealed environment blocks, files of the stores */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(preadv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev),
	SCMP_SYS(close),
	SCMP_SYS(fcntl),
	SCMP_SYS(dup),
	SCMP_SYS(dup3),
	SCMP_SYS(pipe2),
	SCMP_SYS(memfd_create),
	SCMP_SYS(lseek),
	SCMP_SYS(sendfile),
	SCMP_SYS(copy_file_range),
	SCMP_SYS(eventfd2),
	SCMP_SYS(ioctl),
	/* sockets that exist already */
	SCMP_SYS(accept4),
	SCMP_SYS(accept),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(shutdown),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	/* one that leads to itself: an end of it is a guard's (engine/guard.c) */
	SCMP_SYS(socketpair),
	/* the event loop */
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	/* files of the data directory: the working directory of a user that owns nothing else */
	SCMP_SYS(openat),
	SCMP_SYS(open),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstat),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(statx),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(link),
	SCMP_SYS(linkat),
	SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat),
	SCMP_SYS(rmdir),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(getcwd),
	SCMP_SYS(getdents64),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat),
	SCMP_SYS(chmod),
	SCMP_SYS(utimensat),
	SCMP_SYS(flock),
	SCMP_SYS(fadvise64),
	SCMP_SYS(umask),
	SCMP_SYS(fchown),
	SCMP_SYS(sync_file_range),
	SCMP_SYS(syncfs),
	/* threads (clone3 is answered with ENOSYS below: its flags cannot be looked at) */
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(set_tid_address),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(membarrier),
	SCMP_SYS(arch_prctl),
	SCMP_SYS(get_robust_list),
	/* signals of its own */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(tgkill),
	SCMP_SYS(restart_syscall),
	/* time, numbers about itself */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getrusage),
	SCMP_SYS(prlimit64),
	SCMP_SYS(getrlimit),
	SCMP_SYS(prctl),
#ifdef __SANITIZE_ADDRESS__
	/* the leak check at the end stops its threads by ptrace */
	SCMP_SYS(ptrace),
	SCMP_SYS(wait4),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(kill),
	SCMP_SYS(tkill),
#endif
};

/*
 * With an endpoint for destinations: connections to it over IP, and what looking up its name takes. Nothing else of a
 * socket is opened: no UNIX socket, no packet, no netlink beyond what getaddrinfo(3) reads addresses with.
 */
static int filter_connections(scmp_filter_ctx filter)
{
	static const int calls[] = { SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(sendmmsg),
		SCMP_SYS(recvmmsg), SCMP_SYS(socketpair) };
	static const uint64_t families[] = { AF_INET, AF_INET6, AF_NETLINK };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(calls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(families); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
			SCMP_A0(SCMP_CMP_EQ, families[i]));
	return r;
}

/* Threads only: no new namespace, and no child that could be waited for. */
static int filter_threads(scmp_filter_ctx filter)
{
#ifdef __SANITIZE_ADDRESS__
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 0);
#else
	const uint64_t thread = 0x00010000; /* CLONE_THREAD */
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
#endif
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return r;
}

static int filter_fill(scmp_filter_ctx filter, bool may_connect)
{
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree */

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(allowed); i++) {
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
		/* An architecture that lacks an old call does not need it. */
		if (r == -EDOM)
			r = 0;
	}
	if (r == 0)
		r = filter_threads(filter);
	if (r == 0 && may_connect)
		r = filter_connections(filter);
	return r;
}

int router_filter_install(bool may_connect)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return err_raise(-ENOMEM);

	int r = filter_fill(filter, may_connect);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? err_raise(r) : 0;
}
