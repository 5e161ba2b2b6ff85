/*
 * The jail, as a table: each row is a step with its name, for whom it is, and why. They run
 * in order in the child, as root at first; the first failure is reported by its name.
 *
 * A sandbox is made in two halves. Process 1 makes what all sandboxes have in common: namespaces,
 * mounts, its listeners; it waits. Later a runtime, forked by a zygote, enters these namespaces,
 * puts the function's code there, and gives up its rights. So what takes long is done before
 * anybody waits for it. Namespaces are made by process 1 itself (but for the pid namespace,
 * which can only be born into), so that many make theirs on all CPUs at once.
 *
 * Most mounts are the same in all sandboxes. They are made once, in a namespace that nobody lives in
 * (the mould), with the root pivoted already; a sandbox begins with a copy of that, which is one call
 * instead of a hundred. What it shows of the host is as it was when the daemon started; what is
 * inside of the directories is as it is.
 */
#include "jail/jail.h"

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

enum {
	INIT = JAIL_INIT,
	RUNTIME = JAIL_RUNTIME,
	MOUNTER = JAIL_MOUNTER,
	ZYGOTE = JAIL_ZYGOTE,
	UNPACK = JAIL_UNPACK,
	MOULD = JAIL_MOULD,
	SANDBOX = INIT | RUNTIME,	  /* with the identity of the function */
	MAKERS = MOULD | ZYGOTE | UNPACK, /* of roots */
	OWNERS = INIT | ZYGOTE | UNPACK,  /* of the other namespaces */
	ALL = SANDBOX | MAKERS | MOUNTER,
	JAIL_BACKLOG = 64,
};

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

/* Of a sandbox the mounts come later: until then /proc is the host's. */
static int jail_unshare(struct jail *jail)
{
	const int mounts = jail->kind == JAIL_INIT ? 0 : CLONE_NEWNS;
	int others = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

	if (jail->kind == JAIL_MOULD)
		others = 0;
	/*
	 * A cgroup namespace that began with the zygote's own cgroup would confine its children to that:
	 * where cgroup2 is mounted with nsdelegate, as systemd does, clone3() into another is ENOENT.
	 * They join their sandbox's.
	 */
	if (jail->kind == JAIL_ZYGOTE)
		others &= ~CLONE_NEWCGROUP;
	if (jail->kind == JAIL_INIT && jail->network >= 0) {
		if (setns(jail->network, CLONE_NEWNET) < 0)
			return -errno;
		others &= ~CLONE_NEWNET;
	}
	if (unshare(mounts | others) < 0)
		return -errno;
	return mounts ? mount_make_private() : 0;
}

static int jail_open_root(struct jail *jail)
{
	jail->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return jail->root < 0 ? -errno : 0;
}

static int jail_copy_mould(struct jail *jail)
{
	if (setns(jail->mould, CLONE_NEWNS) < 0 || unshare(CLONE_NEWNS) < 0)
		return -errno;
	return jail_open_root(jail);
}

/* A mould is the namespace, not who made it. */
static int jail_keep_mould(struct jail *jail)
{
	jail->mould = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return jail->mould < 0 ? -errno : 0;
}

/* Those of the sandbox's process 1. The pid namespace was entered by birth. */
static int jail_join_namespaces(struct jail *jail)
{
	const int all = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

	if (setns(jail->target, jail->kind == JAIL_MOUNTER ? CLONE_NEWNS : all) < 0)
		return -errno;
	return jail_open_root(jail);
}

static int jail_name_host([[maybe_unused]] struct jail *jail)
{
	static const char name[] = "localhost"; /* one that /etc/hosts resolves */

	return sethostname(name, sizeof(name) - 1) < 0 ? -errno : 0;
}

/*
 * The namespace may have had another function in it, of which there must be nothing left: no
 * connections that the kernel remembers for a minute. On a loopback no segment comes late.
 */
static int jail_forget_connections(void)
{
	scoped_fd fd = open("/proc/sys/net/ipv4/tcp_max_tw_buckets", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, "0", 1) < 0 ? -errno : 0;
}

static int jail_raise_loopback(struct jail *jail)
{
	struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	if (jail->network >= 0) /* it is up */
		return 0;
	int r = jail_forget_connections();
	if (r < 0)
		return r;

	scoped_fd fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	return ioctl(fd, SIOCSIFFLAGS, &loopback) < 0 ? -errno : 0;
}

/* The listeners, and the namespace they are in, which outlives this sandbox. */
static int jail_listen(struct jail *jail)
{
	static const int ports[] = { RUNTIME_API_PORT, AWS_ENDPOINT_PORT };
	int fds[ARRAY_LEN(ports) + 1];

	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		char address[32];
		(void)snprintf(address, sizeof(address), "127.0.0.1:%d", ports[i]);
		int r = socket_listen(str_of(address), JAIL_BACKLOG, &fds[i]);
		if (r < 0)
			return r;
	}
	fds[ARRAY_LEN(ports)] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fds[ARRAY_LEN(ports)] < 0)
		return -errno;
	note_send(jail->report, &(struct note){ .kind = NOTE_LISTENERS }, fds, ARRAY_LEN(fds));
	return 0;
}

/* The log becomes the sandbox's, so that /dev/stdout and /dev/stderr can be opened. */
static int jail_own_log(struct jail *jail)
{
	return fchown(jail->log, jail->uid, jail->uid) < 0 ? -errno : 0;
}

/* The first of them are the program's; exec closes the rest, but a zygote's. */
static int jail_set_fds(struct jail *jail)
{
	const int init[] = { jail->null, jail->null, jail->null, jail->null, jail->report,
		jail->parent };
	const int runtime[] = { jail->null, jail->log, jail->log, jail->env, jail->report,
		jail->parent, jail->image, jail->program };
	const int zygote[] = { jail->null, STDERR_FILENO, STDERR_FILENO, jail->socket, jail->parent,
		jail->filter_file, jail->report };
	const int unpack[] = { jail->zip, jail->report, jail->null, jail->program, jail->report,
		jail->parent };
	static_assert(JAIL_FD_ENV == 3 && JAIL_FD_REPORT == 4 && JAIL_FD_PARENT == 5);
	static_assert(JAIL_FD_IMAGE == 6 && JAIL_FD_RESTORE == 7);
	static_assert(ZYGOTE_FD_SOCKET == 3 && ZYGOTE_FD_PARENT == 4 && ZYGOTE_FD_FILTER == 5);
	const bool is_zygote = jail->kind == JAIL_ZYGOTE;
	const int *fds = is_zygote	    ? zygote
		: jail->kind == JAIL_INIT   ? init
		: jail->kind == JAIL_UNPACK ? unpack
					    : runtime;

	size_t count = is_zygote ? ARRAY_LEN(zygote) : ARRAY_LEN(init);
	if (jail->kind == JAIL_RUNTIME && jail->image >= 0)
		count = ARRAY_LEN(runtime);

	int r = child_set_fds(fds, count);
	if (r == 0 && count > JAIL_FD_RESTORE && fcntl(JAIL_FD_RESTORE, F_SETFD, FD_CLOEXEC) < 0)
		r = -errno;
	if (is_zygote) {
		jail->parent = ZYGOTE_FD_PARENT;
		jail->report = ZYGOTE_FD_FILTER + 1;
		return r < 0 || fcntl(jail->report, F_SETFD, FD_CLOEXEC) == 0 ? r : -errno;
	}
	jail->env = jail->program = JAIL_FD_ENV;
	jail->report = JAIL_FD_REPORT;
	jail->parent = JAIL_FD_PARENT;
	for (int fd = JAIL_FD_ENV; fd <= JAIL_FD_PARENT && r == 0; fd++)
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
	{ RLIMIT_NOFILE, 1024, SANDBOX }, /* "File descriptors: 1,024" */
	{ RLIMIT_NPROC, 1024, SANDBOX },  /* "Execution processes/threads: 1,024" */
	{ RLIMIT_CORE, 0, ALL },
	{ RLIMIT_MEMLOCK, 64 * KIB, ALL },
	{ RLIMIT_MSGQUEUE, 819'200, SANDBOX },
	{ RLIMIT_RTPRIO, 0, ALL },
	{ RLIMIT_NICE, 0, ALL },
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

/* What an exec would do: /proc/self belongs to the function that a runtime is about to be. */
static int jail_show([[maybe_unused]] struct jail *jail)
{
	return prctl(PR_SET_DUMPABLE, 1) < 0 ? -errno : 0;
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
	{ "parent", ALL, jail_watch_parent, "a warden that died leaves nobody behind" },
	{ "cgroup", ALL & ~MOUNTER, jail_join_cgroups, "all memory is counted from here on" },
	{ "oom score", OWNERS, jail_offer_to_oom, "the host's OOM killer takes functions first" },
	{ "namespaces", OWNERS | MOULD, jail_unshare, "its own mounts, network, ipc and name" },
	{ "mould", MOULD, jail_keep_mould, "sandboxes copy it" },
	{ "join", RUNTIME | MOUNTER, jail_join_namespaces, "those that were made ahead" },
	{ "hostname", OWNERS, jail_name_host, "the host's name is not told" },
	{ "loopback", INIT, jail_raise_loopback, "the only network it has" },
	{ "listeners", INIT, jail_listen, "the router accepts inside its namespace" },
	{ "root", MAKERS, jail_make_root, "a tmpfs with the host's programs, read-only" },
	{ "etc", MAKERS, jail_make_etc, "its own names; none of the host's secrets" },
	{ "places", MOULD, jail_make_places, "for interpreters outside of /usr" },
	{ "pack", ZYGOTE, jail_bind_pack, "the runtime" },
	{ "preload", ZYGOTE, jail_bind_preload, "what makes an interpreter a zygote" },
	{ "proc", UNPACK, jail_make_proc, "its own processes; not the kernel's secrets" },
	{ "out", UNPACK, jail_bind_out, "the one directory to write" },
	{ "pivot", MAKERS, jail_pivot, "the host's files are gone; the rest is read-only" },
	{ "root", INIT, jail_copy_mould, "the host's programs, read-only, and nothing else" },
	{ "user", INIT, jail_name_user, "its user has a name" },
	{ "tmp", INIT, jail_make_tmp, "the one place to write, bounded" },
	{ "proc", INIT, jail_make_proc, "its own processes; not the kernel's secrets" },
	{ "code", RUNTIME | MOUNTER, jail_graft, "/var/task, /opt and the runtime" },
	{ "tmp size", RUNTIME | MOUNTER, jail_resize_tmp, "as large as the function's" },
	{ "directory", RUNTIME, jail_enter_code, "it begins in /var/task" },
	{ "log", RUNTIME, jail_own_log, "/dev/stdout can be opened" },
	{ "descriptors", SANDBOX | ZYGOTE | UNPACK, jail_set_fds,
		"nothing of the warden's stays open" },
	{ "limits", SANDBOX | UNPACK, jail_limit, "rlimits as AWS documents them" },
	{ "rights", SANDBOX | UNPACK, jail_drop_rights, "a user of its own without any, for good" },
	{ "dumpable", INIT | UNPACK, jail_hide, "its memory was the warden's" },
	{ "dumpable", RUNTIME, jail_show, "its /proc/self is its own, as after an exec" },
	/* The change of user made the kernel forget it. */
	{ "parent again", SANDBOX | UNPACK, jail_watch_parent, "a warden that died leaves nobody" },
	{ "seccomp", SANDBOX | UNPACK, jail_install_filter, "the kernel's surface, small" },
};

int jail_enter(struct jail *jail)
{
	(void)umask(022);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		assert(strlen(steps[i].name) < STEP_NAME_MAX);
		int r = steps[i].kinds & jail->kind ? steps[i].run(jail) : 0;
		if (r < 0) {
			note_failure(jail->report, steps[i].name, -r);
			return r;
		}
	}
	return 0;
}
