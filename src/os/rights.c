/*
 * The bounding set goes while there is CAP_SETPCAP, the identity after it. The kernel clears
 * the capabilities with the identity; they are cleared again by name, so that nothing
 * depends on how the secure bits stood before.
 */
#include "os/rights.h"

#include "base/attr.h"
#include "base/err.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int rights_seal(void)
{
	const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
		SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

	if (prctl(PR_GET_SECUREBITS) == (int)bits) /* they were set last, and are locked */
		return 0;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap) < 0)
			return err_raise(-errno);
	if (prctl(PR_SET_SECUREBITS, bits) < 0)
		return err_raise(-errno);
	return 0;
}

static int rights_change_user(uint32_t uid)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};

	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_raise(-errno);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_raise(-errno);
	return syscall(SYS_capset, &head, none) < 0 ? err_raise(-errno) : 0;
}

int rights_drop(uint32_t uid)
{
	int r = rights_seal();
	if (r == 0)
		r = rights_change_user(uid);
	if (r < 0)
		return err_pass(r);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? err_raise(-errno) : 0;
}

int rights_limit(int resource, uint64_t most)
{
	struct rlimit now;

	if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
		return err_raise(-errno);
	rlim_t value = MIN((rlim_t)most, now.rlim_max);
	struct rlimit then = { value, value };
	return setrlimit((__rlimit_resource_t)resource, &then) < 0 ? err_raise(-errno) : 0;
}

int rights_raise_files(uint64_t wanted)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_raise(-errno);
	struct rlimit more = { MAX(files.rlim_max, (rlim_t)wanted),
		MAX(files.rlim_max, (rlim_t)wanted) };
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return 0;
	files.rlim_cur = files.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) < 0 ? err_raise(-errno) : 0;
}
