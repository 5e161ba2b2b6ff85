/*
 * Who the process is and what it may still do. The order matters and is the table's:
 * the bounding set while there is CAP_SETPCAP, then the identity, then what a change of
 * identity resets (dumpable, the parent's death), the filter last of all.
 */
#include "base/attr.h"
#include "warden/child.h"
#include "warden/jail.h"
#include "warden/rights.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct rights_limit {
	int resource;
	rlim_t most;
	unsigned kinds;
};

/* As `ulimit -a` shows them in AWS Lambda; and what an unpacker could possibly need. */
static const struct rights_limit limits[] = {
	{ RLIMIT_NOFILE, 1024, JAIL_SANDBOX }, /* "File descriptors: 1,024" */
	{ RLIMIT_NPROC, 1024, JAIL_SANDBOX },  /* "Execution processes/threads: 1,024" */
	{ RLIMIT_CORE, 0, JAIL_SANDBOX | JAIL_UNPACK },
	{ RLIMIT_MEMLOCK, 64 * KIB, JAIL_SANDBOX | JAIL_UNPACK },
	{ RLIMIT_MSGQUEUE, 819'200, JAIL_SANDBOX },
	{ RLIMIT_RTPRIO, 0, JAIL_SANDBOX | JAIL_UNPACK },
	{ RLIMIT_NICE, 0, JAIL_SANDBOX | JAIL_UNPACK },
	{ RLIMIT_STACK, 8 * MIB, JAIL_UNPACK },
	{ RLIMIT_NOFILE, 32, JAIL_UNPACK },
	{ RLIMIT_CPU, 60, JAIL_UNPACK },
};

static int rights_limit(int resource, rlim_t most)
{
	struct rlimit now;

	if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
		return -errno;
	rlim_t value = MIN(most, now.rlim_max); /* never more than what we have ourselves */
	struct rlimit then = { value, value };
	return setrlimit((__rlimit_resource_t)resource, &then) < 0 ? -errno : 0;
}

int jail_limit(struct jail *jail)
{
	struct rlimit stack;

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		int r = limits[i].kinds & jail->kind
			? rights_limit(limits[i].resource, limits[i].most)
			: 0;
		if (r < 0)
			return r;
	}
	if (jail->kind == JAIL_UNPACK) /* one file cannot be longer than all may be */
		return rights_limit(RLIMIT_FSIZE, jail->bytes_max + 1);
	/* A soft limit, as everywhere: the hard one stays, JVMs raise it for their threads. */
	if (getrlimit(RLIMIT_STACK, &stack) < 0)
		return -errno;
	stack.rlim_cur = MIN(8 * MIB, stack.rlim_max);
	return setrlimit(RLIMIT_STACK, &stack) < 0 ? -errno : 0;
}

int rights_drop_bounding(void)
{
	/* No program that it executes can give capabilities, not even one owned by root. */
	if (prctl(PR_SET_SECUREBITS,
		    SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
			    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) < 0)
		return -errno;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap) < 0)
			return -errno;
	return 0;
}

int rights_change_user(uint32_t uid)
{
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

int rights_drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

int rights_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int jail_drop_bounding([[maybe_unused]] struct jail *jail)
{
	return rights_drop_bounding();
}

int jail_change_user(struct jail *jail)
{
	return rights_change_user(jail->uid);
}

int jail_drop_capabilities([[maybe_unused]] struct jail *jail)
{
	return rights_drop_capabilities();
}

int jail_no_new_privs([[maybe_unused]] struct jail *jail)
{
	return rights_no_new_privs();
}

int jail_hide([[maybe_unused]] struct jail *jail)
{
	/* Our memory was the warden's: no process of the same identity may look into it. */
	return prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
}

int jail_install_filter(struct jail *jail)
{
	return filter_install(jail->filter);
}
