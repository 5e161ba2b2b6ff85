/*
 * The jail, as a table: each row is a step with its name, for whom it is, and why. They run
 * in order in the child, as root at first; the first failure is reported by its name and
 * ends the process. Namespaces are entered by the child itself (but for the pid namespace,
 * which can only be born into), so that many children make theirs on all CPUs at once.
 */
#include "warden/jail.h"

#include "base/attr.h"
#include "init/init.h"
#include "os/child.h"
#include "os/fd.h"
#include "os/mount.h"
#include "os/rights.h"
#include "os/socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BOTH = JAIL_SANDBOX | JAIL_UNPACK, JAIL_BACKLOG = 64 };

static int jail_watch_parent(struct jail *jail)
{
	return child_die_with_parent(jail->parent);
}

static int jail_join_cgroups(struct jail *jail)
{
	for (int i = 0; i < CGROUP_TREES; i++)
		if (jail->joins[i] >= 0 && write(jail->joins[i], "0", 1) < 0)
			return -errno;
	return 0;
}

/* When the whole host runs out of memory, a sandbox goes first, not the router. */
static int jail_offer_to_oom([[maybe_unused]] struct jail *jail)
{
	scoped_fd fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, "500", 3) < 0 ? -errno : 0;
}

static int jail_unshare([[maybe_unused]] struct jail *jail)
{
	const int all = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

	return unshare(all) < 0 ? -errno : mount_make_private();
}

static int jail_name_host([[maybe_unused]] struct jail *jail)
{
	static const char name[] = "localhost"; /* one that /etc/hosts resolves */

	return sethostname(name, sizeof(name) - 1) < 0 ? -errno : 0;
}

static int jail_raise_loopback([[maybe_unused]] struct jail *jail)
{
	struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	scoped_fd fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	return ioctl(fd, SIOCSIFFLAGS, &loopback) < 0 ? -errno : 0;
}

static int jail_listen(struct jail *jail)
{
	static const int ports[] = { RUNTIME_API_PORT, AWS_ENDPOINT_PORT };
	int fds[ARRAY_LEN(ports)];

	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		char address[32];
		(void)snprintf(address, sizeof(address), "127.0.0.1:%d", ports[i]);
		int r = socket_listen(str_of(address), JAIL_BACKLOG, &fds[i]);
		if (r < 0)
			return r;
	}
	note_send(jail->report, &(struct note){ .kind = NOTE_LISTENERS }, fds, ARRAY_LEN(fds));
	return 0;
}

/* The log becomes the sandbox's, so that /dev/stdout and /dev/stderr can be opened. */
static int jail_own_log(struct jail *jail)
{
	return fchown(jail->log, jail->uid, jail->uid) < 0 ? -errno : 0;
}

static int jail_set_fds(struct jail *jail)
{
	/* The first three are the program's; exec closes the rest. */
	int fds[2][6] = {
		{ jail->null, jail->log, jail->log, jail->report, jail->parent, jail->env },
		{ jail->zip, jail->report, jail->null, jail->report, jail->parent, jail->program },
	};
	int r = child_set_fds(fds[jail->kind == JAIL_UNPACK], ARRAY_LEN(fds[0]));
	jail->report = 3;
	jail->parent = 4;
	jail->env = jail->program = 5;
	for (int fd = 3; fd <= 5 && r == 0; fd++)
		r = fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
	return r;
}

struct jail_limit {
	int resource;
	uint64_t most;
	unsigned kinds;
};

/* As `ulimit -a` shows them in AWS Lambda; and what an unpacker could possibly need. */
static const struct jail_limit limits[] = {
	{ RLIMIT_NOFILE, 1024, JAIL_SANDBOX }, /* "File descriptors: 1,024" */
	{ RLIMIT_NPROC, 1024, JAIL_SANDBOX },  /* "Execution processes/threads: 1,024" */
	{ RLIMIT_CORE, 0, BOTH },
	{ RLIMIT_MEMLOCK, 64 * KIB, BOTH },
	{ RLIMIT_MSGQUEUE, 819'200, JAIL_SANDBOX },
	{ RLIMIT_RTPRIO, 0, BOTH },
	{ RLIMIT_NICE, 0, BOTH },
	{ RLIMIT_NOFILE, 32, JAIL_UNPACK },
	{ RLIMIT_CPU, 60, JAIL_UNPACK },
};

static int jail_limit(struct jail *jail)
{
	struct rlimit stack;

	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(limits); i++)
		if (limits[i].kinds & jail->kind)
			r = rights_limit(limits[i].resource, limits[i].most);
	if (r < 0)
		return r;
	if (jail->kind == JAIL_UNPACK) /* one file cannot be longer than all may be */
		return rights_limit(RLIMIT_FSIZE, jail->bytes_max + 1);
	/* A soft limit, as everywhere: the hard one stays, JVMs raise it for their threads. */
	if (getrlimit(RLIMIT_STACK, &stack) < 0)
		return -errno;
	stack.rlim_cur = MIN(8 * MIB, stack.rlim_max);
	return setrlimit(RLIMIT_STACK, &stack) < 0 ? -errno : 0;
}

static int jail_drop_rights(struct jail *jail)
{
	return rights_drop(jail->uid);
}

/* Our memory was the warden's: no process of the same identity may look into it. */
static int jail_hide([[maybe_unused]] struct jail *jail)
{
	return prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
}

static int jail_install_filter(struct jail *jail)
{
	return filter_install(jail->filter);
}

struct jail_step {
	const char *name;
	unsigned kinds;
	jail_step_fn *run;
	const char *why;
};

static const struct jail_step steps[] = {
	{ "parent", BOTH, jail_watch_parent, "a warden that died leaves nobody behind" },
	{ "cgroup", BOTH, jail_join_cgroups, "all memory is counted from here on" },
	{ "oom score", BOTH, jail_offer_to_oom, "the host's OOM killer takes functions first" },
	{ "namespaces", BOTH, jail_unshare, "its own mounts, network, ipc and name" },
	{ "hostname", BOTH, jail_name_host, "the host's name is not told" },
	{ "loopback", JAIL_SANDBOX, jail_raise_loopback, "the only network it has" },
	{ "listeners", JAIL_SANDBOX, jail_listen, "the router accepts inside its namespace" },
	{ "root", BOTH, jail_make_root, "a tmpfs with the host's programs, read-only" },
	{ "etc", BOTH, jail_make_etc, "its own names; none of the host's secrets" },
	{ "code", JAIL_SANDBOX, jail_bind_code, "/var/task" },
	{ "layers", JAIL_SANDBOX, jail_bind_layers, "/opt" },
	{ "tmp", JAIL_SANDBOX, jail_make_tmp, "the one place to write, bounded" },
	{ "pack", JAIL_SANDBOX, jail_bind_pack, "the runtime; also below /opt or /tmp" },
	{ "proc", BOTH, jail_make_proc, "its own processes; not the kernel's secrets" },
	{ "out", JAIL_UNPACK, jail_bind_out, "the one directory to write" },
	{ "pivot", BOTH, jail_pivot, "the host's files are gone; the rest is read-only" },
	{ "log", JAIL_SANDBOX, jail_own_log, "/dev/stdout can be opened" },
	{ "descriptors", BOTH, jail_set_fds, "nothing of the warden's stays open" },
	{ "limits", BOTH, jail_limit, "rlimits as AWS documents them" },
	{ "rights", BOTH, jail_drop_rights, "a user of its own without any, for good" },
	{ "dumpable", BOTH, jail_hide, "its memory was the warden's" },
	/* The change of user made the kernel forget it. */
	{ "parent again", BOTH, jail_watch_parent, "a warden that died leaves nobody behind" },
	{ "seccomp", BOTH, jail_install_filter, "the kernel's surface, small" },
};

static void jail_exec_unpack(const struct jail *jail)
{
	char bytes[24], entries[16];

	(void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)jail->bytes_max);
	(void)snprintf(entries, sizeof(entries), "%u", jail->entries_max);
	char *argv[] = { (char *)"mayfly-unpack", bytes, entries, NULL };
	/* The tests' sanitizer looks for leaks with ptrace, which is not there. */
	char *envp[] = { (char *)"ASAN_OPTIONS=detect_leaks=0", NULL };
	execveat(jail->program, "", argv, envp, AT_EMPTY_PATH);
}

_Noreturn void jail_enter(struct jail *jail)
{
	(void)umask(022);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		assert(strlen(steps[i].name) < STEP_NAME_MAX);
		int r = steps[i].kinds & jail->kind ? steps[i].run(jail) : 0;
		if (r < 0) {
			note_failure(jail->report, steps[i].name, -r);
			_exit(127);
		}
	}
	if (jail->kind == JAIL_SANDBOX)
		init_run(&(struct init){ jail->pack, jail->env, jail->report });
	jail_exec_unpack(jail);
	note_failure(jail->report, "exec", errno);
	_exit(127);
}
