/* Each filter is installed in a child, which then tries; what a sandbox as a whole allows is in tests/system. */
#include "jail/filter.h"

#include "base/attr.h"
#include "base/test.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct filter filters[FILTER_KINDS];

/* The errno of a call under a filter, 0 when it worked, -1 when the child died. */
static int errno_under(enum filter_kind kind, long number, const long a[static 5])
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			filter_install(&filters[kind]) < 0)
			_exit(255);
		long r = syscall(number, a[0], a[1], a[2], a[3], a[4]);
		syscall(SYS_exit_group, r < 0 ? errno : 0);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define UNDER(kind, number, ...) \
	errno_under(FILTER_##kind, SYS_##number, (const long[5]){ __VA_ARGS__ })

static void all_compile_and_are_short(void)
{
	for (int kind = 0; kind < FILTER_KINDS; kind++) {
		CHECK(filter_compile((enum filter_kind)kind, &filters[kind]) == 0);
		CHECK(filters[kind].len > 20 && filters[kind].len < 256);
	}
}

static void what_a_function_needs_works(void)
{
	CHECK(UNDER(SANDBOX, getpid) == 0);
	CHECK(UNDER(SANDBOX, socket, AF_UNIX, SOCK_STREAM) == 0);
	CHECK(UNDER(SANDBOX, socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK) == 0);
	CHECK(UNDER(SANDBOX, socket, AF_INET, SOCK_DGRAM, 17) == 0);
	CHECK(UNDER(SANDBOX, socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) == 0);
	CHECK(UNDER(SANDBOX, personality, 0xffffffff) == 0);
	CHECK(UNDER(SANDBOX, clone, SIGCHLD) == 0);
}

static void what_is_known_and_not_listed_is_not_permitted(void)
{
	CHECK(UNDER(SANDBOX, mount) == EPERM);
	CHECK(UNDER(SANDBOX, umount2) == EPERM);
	CHECK(UNDER(SANDBOX, ptrace) == EPERM);
	CHECK(UNDER(SANDBOX, process_vm_readv) == EPERM);
	CHECK(UNDER(SANDBOX, unshare, CLONE_NEWUSER) == EPERM);
	CHECK(UNDER(SANDBOX, setns) == EPERM);
	CHECK(UNDER(SANDBOX, bpf) == EPERM);
	CHECK(UNDER(SANDBOX, keyctl) == EPERM);
	CHECK(UNDER(SANDBOX, add_key) == EPERM);
	CHECK(UNDER(SANDBOX, io_uring_setup) == EPERM);
	CHECK(UNDER(SANDBOX, userfaultfd) == EPERM);
	CHECK(UNDER(SANDBOX, perf_event_open) == EPERM);
	CHECK(UNDER(SANDBOX, init_module) == EPERM);
	CHECK(UNDER(SANDBOX, finit_module) == EPERM);
	CHECK(UNDER(SANDBOX, kexec_load) == EPERM);
	CHECK(UNDER(SANDBOX, reboot) == EPERM);
	CHECK(UNDER(SANDBOX, chroot) == EPERM);
	CHECK(UNDER(SANDBOX, pivot_root) == EPERM);
	CHECK(UNDER(SANDBOX, open_by_handle_at) == EPERM);
	CHECK(UNDER(SANDBOX, sync) == EPERM);
}

static void arguments_are_looked_at(void)
{
	CHECK(UNDER(SANDBOX, socket, AF_INET, SOCK_RAW, 1) == EPERM);
	CHECK(UNDER(SANDBOX, socket, AF_INET, SOCK_STREAM, 132 /* SCTP */) == EPERM);
	CHECK(UNDER(SANDBOX, socket, AF_INET, SOCK_DGRAM, 1 /* ICMP */) == EPERM);
	CHECK(UNDER(SANDBOX, socket, AF_PACKET, SOCK_RAW) == EPERM);
	CHECK(UNDER(SANDBOX, socket, AF_ALG, SOCK_SEQPACKET) == EPERM);
	CHECK(UNDER(SANDBOX, socket, AF_VSOCK, SOCK_STREAM) == EPERM);
	CHECK(UNDER(SANDBOX, socket, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER) == EPERM);
	CHECK(UNDER(SANDBOX, personality, ADDR_NO_RANDOMIZE) == EPERM);
	CHECK(UNDER(SANDBOX, personality, READ_IMPLIES_EXEC) == EPERM);
	static const long kinds[] = { CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
		CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET };
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		CHECK(UNDER(SANDBOX, clone, kinds[i] | SIGCHLD) == EPERM);
}

static void terminals_cannot_be_typed_into(void)
{
	const long high = 1L << 32; /* the kernel looks at 32 bits only */

	CHECK(UNDER(SANDBOX, ioctl, 0, TIOCSTI) == EPERM);
	CHECK(UNDER(SANDBOX, ioctl, 0, TIOCSTI | high) == EPERM);
	CHECK(UNDER(SANDBOX, ioctl, 0, TIOCLINUX) == EPERM);
	CHECK(UNDER(SANDBOX, ioctl, -1, FIONREAD) == EBADF); /* others reach the kernel */
	CHECK(UNDER(UNPACK, ioctl, 0, TIOCSTI) == EPERM);
}

static void what_is_new_does_not_exist(void)
{
	CHECK(UNDER(SANDBOX, clone3) == ENOSYS);
	CHECK(UNDER(SANDBOX, landlock_create_ruleset) == ENOSYS);
	for (long number = 451; number < 1024; number += 7)
		CHECK(errno_under(FILTER_SANDBOX, number, (const long[5]){}) == ENOSYS);
	CHECK(errno_under(FILTER_SANDBOX, 0x40000000 | SYS_getpid, (const long[5]){}) == ENOSYS);
}

static void an_unpacker_has_neither_sockets_nor_children(void)
{
	CHECK(UNDER(UNPACK, getpid) == 0);
	CHECK(UNDER(UNPACK, socket, AF_UNIX, SOCK_STREAM) == EPERM);
	CHECK(UNDER(UNPACK, socket, AF_INET, SOCK_STREAM) == EPERM);
	CHECK(UNDER(UNPACK, fork) == EPERM);
	CHECK(UNDER(UNPACK, vfork) == EPERM);
	CHECK(UNDER(UNPACK, clone, SIGCHLD) == EPERM);
	CHECK(UNDER(UNPACK, execve) == EPERM);
	CHECK(UNDER(UNPACK, connect) == EPERM);
	CHECK(UNDER(UNPACK, shmget) == EPERM);
}

static void process_1_does_nothing_but_wait(void)
{
	CHECK(UNDER(INIT, wait4, -1, 0, 1 /* WNOHANG */) == ECHILD);
	CHECK(UNDER(INIT, prctl, PR_SET_DUMPABLE, 0) == 0);
	CHECK(UNDER(INIT, close_range, 3, 9) == 0);
	CHECK(UNDER(INIT, getpid) == EPERM);
	CHECK(UNDER(INIT, openat) == EPERM);
	CHECK(UNDER(INIT, ioctl, 0, FIONREAD) == EPERM);
	CHECK(UNDER(INIT, mmap) == EPERM);
	CHECK(UNDER(INIT, clone, SIGCHLD) == EPERM);
	CHECK(UNDER(INIT, execve) == EPERM);
	CHECK(UNDER(INIT, socket, AF_UNIX, SOCK_STREAM) == EPERM);
	CHECK(UNDER(INIT, clone3) == EPERM);
	CHECK(errno_under(FILTER_INIT, 451, (const long[5]){}) == ENOSYS);
}

TESTS(TEST(all_compile_and_are_short), TEST(what_a_function_needs_works),
	TEST(what_is_known_and_not_listed_is_not_permitted), TEST(arguments_are_looked_at),
	TEST(terminals_cannot_be_typed_into), TEST(what_is_new_does_not_exist),
	TEST(an_unpacker_has_neither_sockets_nor_children), TEST(process_1_does_nothing_but_wait))
