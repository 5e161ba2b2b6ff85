/*
 * One row a check. Each tries the thing itself where that is possible (a namespace is made, a
 * process is born into a control group), because versions and config files tell less than
 * the kernel's own answer, which also depends on rights and on whatever container we are in.
 */
#include "bin/doctor.h"

#include "base/attr.h"
#include "base/buf.h"
#include "bin/settings.h"
#include "os/cgroup.h"
#include "os/child.h"
#include "os/fd.h"
#include "os/mount.h"
#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum verdict { OK, WARN, FAIL };

static const char *const verdict_names[] = { [OK] = "ok", [WARN] = "warn", [FAIL] = "fail" };

/* What one check found, and what to do when it is not OK. */
struct finding {
	enum verdict verdict;
	char found[256];
	const char *hint;
};

struct doctor {
	const char *listen;
	const char *data;
};

[[gnu::format(printf, 3, 4)]] static void finding_set(
	struct finding *finding, enum verdict verdict, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(finding->found, sizeof(finding->found), format, args);
	va_end(args);
	finding->verdict = verdict;
}

/* OK, or FAIL with the errno in words. */
static void finding_of(struct finding *finding, bool is_fine, const char *what, int error)
{
	if (is_fine)
		finding_set(finding, OK, "%s", what);
	else
		finding_set(finding, FAIL, "%s: %s", what, strerror(error));
}

static void check_root([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	finding_set(finding, geteuid() == 0 ? OK : FAIL, "user id %u", (unsigned)geteuid());
	finding->hint = "run it as root (sudo mayfly serve): sandboxes need namespaces, mounts and "
			"control groups; the part that reads the network gives these rights up";
}

static void check_kernel([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	struct utsname name;
	unsigned major = 0, minor = 0;

	(void)uname(&name);
	(void)sscanf(name.release, "%u.%u", &major, &minor);
	bool is_new = major > 5 || (major == 5 && minor >= 14);
	finding_set(finding, is_new ? OK : FAIL, "Linux %s", name.release);
	finding->hint = "Linux 5.14 or newer is needed";
}

/* Make a process in new namespaces (and a cgroup, if not -1), which ends at once. 0 or -errno. */
static int doctor_try_child(uint64_t namespaces, int cgroup)
{
	int pidfd, status;

	int r = child_start(&(struct child_how){ namespaces, cgroup, "mayfly-doctor" }, &pidfd);
	if (r == 0)
		_exit(0);
	if (r < 0)
		return r;
	r = child_wait(pidfd, 5000);
	if (r == 0)
		r = child_reap(pidfd, &status);
	fd_close(&pidfd);
	return r;
}

static void check_namespaces([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	static const struct {
		uint64_t flag;
		const char *name;
	} kinds[] = { { CLONE_NEWNS, "mount" }, { CLONE_NEWPID, "pid" },
		{ CLONE_NEWNET, "network" }, { CLONE_NEWIPC, "ipc" }, { CLONE_NEWUTS, "uts" },
		{ CLONE_NEWCGROUP, "cgroup" } };

	finding_set(finding, OK, "mount, pid, network, ipc, uts, cgroup");
	finding->hint =
		"as root: the kernel lacks this kind (CONFIG_NAMESPACES and its parts), or a "
		"container forbids it (docker run --privileged)";
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		int r = doctor_try_child(kinds[i].flag, -1);
		if (r < 0) {
			finding_set(
				finding, FAIL, "no %s namespace: %s", kinds[i].name, strerror(-r));
			return;
		}
	}
}

static void check_controllers([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	struct cgroup_mounts mounts;
	scoped_fd v2 = -1;
	bool is_v1 = false;

	int r = cgroups_look(&mounts, &v2);
	finding->hint = "mount cgroup2 at /sys/fs/cgroup (on systemd hosts: boot with "
			"systemd.unified_cgroup_hierarchy=1); in a container, make it writable";
	if (r < 0 || !mounts.has_v2) {
		finding_set(finding, FAIL, "no cgroup v2 is mounted");
		return;
	}
	for (int tree = CGROUP_MEMORY; tree < CGROUP_TREES; tree++) {
		if (!mounts.in_v1[tree] && !mounts.in_v2[tree]) {
			finding_set(finding, FAIL, "no controller %s in cgroup v2 or v1",
				cgroup_controller((enum cgroup_tree)tree));
			finding->hint =
				"enable it: kernel configuration, or cgroup_enable=memory on "
				"the kernel's command line";
			return;
		}
		is_v1 |= !mounts.in_v2[tree];
	}
	finding_set(finding, OK, "memory, pids, cpu by cgroup %s",
		is_v1 ? "v1, beside v2 (hybrid)" : "v2");
}

/* A cgroup of our own for a moment: can it kill and freeze, can a process be born into it? */
static void check_cgroup_use([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	struct cgroup_mounts mounts;
	scoped_fd v2 = -1, dir = -1;
	char name[32];

	finding->hint = "as root, on Linux 5.14 or newer, with /sys/fs/cgroup writable";
	if (cgroups_look(&mounts, &v2) < 0 || v2 < 0) {
		finding_set(finding, FAIL, "no cgroup v2 to try");
		return;
	}
	(void)snprintf(name, sizeof(name), "mayfly-doctor-%d", (int)getpid());
	if (mkdirat(v2, name, 0755) < 0) {
		finding_set(finding, FAIL, "cannot make a cgroup: %s", strerror(errno));
		return;
	}
	dir = openat(v2, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = doctor_try_child(0, dir);
	if (r < 0)
		finding_set(
			finding, FAIL, "no process can be born into a cgroup: %s", strerror(-r));
	else if (faccessat(dir, "cgroup.kill", W_OK, 0) < 0 ||
		faccessat(dir, "cgroup.freeze", W_OK, 0) < 0)
		finding_set(finding, FAIL, "cgroups cannot kill or freeze");
	else
		finding_set(finding, OK, "born into, killed, frozen by cgroup");
	for (int left = 100; left > 0 && unlinkat(v2, name, AT_REMOVEDIR) < 0 && errno == EBUSY;
		left--)
		(void)usleep(1000);
}

static void check_memory_peak([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	struct utsname name;
	unsigned major = 0, minor = 0;
	struct cgroup_mounts mounts;
	scoped_fd v2 = -1;

	(void)uname(&name);
	(void)sscanf(name.release, "%u.%u", &major, &minor);
	bool is_v1 = cgroups_look(&mounts, &v2) == 0 && !mounts.in_v2[CGROUP_MEMORY];
	bool has = is_v1 || major > 5 || (major == 5 && minor >= 19);
	finding_set(
		finding, has ? OK : WARN, has ? "kept by the kernel" : "not kept by the kernel");
	finding->hint =
		"REPORT lines show the memory in use at the end instead of the most that was "
		"used; Linux 5.19 and newer keep it";
}

static void check_seccomp([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	uint32_t action = SECCOMP_RET_ERRNO;

	finding_of(finding, syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0,
		"system call filters", errno);
	finding->hint = "the kernel needs CONFIG_SECCOMP_FILTER";
}

/* Calls that an old kernel, or a container's own filter, does not let through. */
static void check_calls([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	static const struct {
		long number;
		const char *name;
	} calls[] = { { SYS_openat2, "openat2" }, { SYS_clone3, "clone3" },
		{ SYS_open_tree, "open_tree" }, { SYS_move_mount, "move_mount" },
		{ SYS_mount_setattr, "mount_setattr" }, { SYS_close_range, "close_range" },
		{ SYS_pidfd_send_signal, "pidfd_send_signal" } };

	finding_set(finding, OK, "openat2, clone3, mounts by descriptor, pidfds");
	finding->hint = "Linux 5.14 or newer; in a container, a seccomp profile that allows them";
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		/* With nonsense for arguments: what exists complains about them. */
		(void)syscall(calls[i].number, ~0U, 0UL, 0UL, 0UL, 0UL);
		if (errno == ENOSYS || errno == EPERM) {
			finding_set(finding, FAIL, "%s: %s", calls[i].name, strerror(errno));
			return;
		}
	}
	int pidfd = pidfd_open(getpid(), 0);
	if (pidfd < 0)
		finding_set(finding, FAIL, "pidfd_open: %s", strerror(errno));
	fd_close(&pidfd);
}

/* Process 1 of a sandbox that is nobody's: says one byte when its mounts are its own, and waits. */
static int doctor_start_target(int *ret_pidfd)
{
	static const struct child_how how = { CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET |
			CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
		-1, "mayfly-doctor" };
	scoped_fd ours = -1, theirs = -1;
	char byte = 0;

	int r = child_channel(&ours, &theirs);
	if (r == 0)
		r = child_start(&how, ret_pidfd);
	if (r == 0) {
		if (mount_make_private() == 0)
			(void)!write(theirs, "x", 1);
		for (;;)
			(void)pause();
	}
	if (r < 0)
		return r;
	struct pollfd said = { .fd = ours, .events = POLLIN };
	return poll(&said, 1, 5000) == 1 && read(ours, &byte, 1) == 1 ? 0 : -ETIMEDOUT;
}

/* What a zygote's child does: enter, and put there what was cut out before. 0 or -errno. */
static int doctor_enter(int target, int tree)
{
	const int all = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

	if (setns(target, CLONE_NEWPID) < 0 || setns(target, all) < 0)
		return -errno;
	return mount_attach(tree, AT_FDCWD, "/proc");
}

static void check_entering([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	scoped_fd target = -1, child = -1, tree = -1;
	int status = 0;

	finding->hint = "runtimes are forked into sandboxes that are there already: Linux 5.14 or "
			"newer; in a container, one that may do it (docker run --privileged)";
	int r = doctor_start_target(&target);
	if (r == 0)
		r = mount_detached(AT_FDCWD, "/usr", MOUNT_ATTR_RDONLY, &tree);
	if (r == 0)
		r = child_start(&(struct child_how){ 0, -1, "mayfly-doctor" }, &child);
	if (r == 0 && child < 0)
		_exit(-doctor_enter(target, tree));
	if (r > 0)
		r = child_wait(child, 5000);
	if (r == 0)
		r = child_reap(child, &status);
	if (target >= 0) {
		child_kill(target);
		(void)child_wait(target, 5000);
		(void)!child_reap(target, &(int){ 0 });
	}
	finding_of(finding, r == 0 && status == 0, "entered by descriptor, given mounts",
		r < 0 ? -r : WEXITSTATUS(status));
}

/* For raise() and its like in a process that was forked without the C library. */
static void check_thread_place(
	[[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	int *place = NULL;

	bool has = prctl(PR_GET_TID_ADDRESS, &place) == 0;
	finding_set(
		finding, has ? OK : WARN, has ? "told by the kernel" : "not told by the kernel");
	finding->hint = "a forked runtime that raises a signal in itself may miss; the kernel "
			"needs CONFIG_CHECKPOINT_RESTORE";
}

static void check_memfd([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	scoped_fd fd = -1;

	int r = fd_sealed("doctor", S("x"), &fd);
	finding_of(finding, r == 0, "sealed memory files", -r);
	finding->hint = "the kernel needs CONFIG_MEMFD_CREATE";
}

static bool has_file_system(const char *name)
{
	char line[128], wanted[32];
	bool has = false;
	FILE *table = fopen("/proc/filesystems", "re");

	(void)snprintf(wanted, sizeof(wanted), "\t%s\n", name);
	while (table && !has && fgets(line, sizeof(line), table))
		has = strstr(line, wanted) != NULL;
	if (table)
		(void)fclose(table);
	return has;
}

static void check_overlay([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	bool has = has_file_system("overlay");

	finding_set(finding, has ? OK : WARN, has ? "there" : "not loaded");
	finding->hint = "functions with two or more layers need it: modprobe overlay";
}

static void check_tmpfs([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	bool has = has_file_system("tmpfs");

	finding_set(finding, has ? OK : FAIL, has ? "there" : "missing");
	finding->hint = "the kernel needs CONFIG_TMPFS";
}

static void check_files([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	struct rlimit files = {};

	(void)getrlimit(RLIMIT_NOFILE, &files);
	finding_set(finding, files.rlim_max >= 65'536 ? OK : WARN, "at most %llu open files",
		(unsigned long long)files.rlim_max);
	finding->hint = "each execution environment takes about ten: ulimit -Hn 65536, or "
			"LimitNOFILE=65536 in the service";
}

static void check_namespace_limits(
	[[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	static const char *const files[] = { "/proc/sys/user/max_net_namespaces",
		"/proc/sys/user/max_mnt_namespaces", "/proc/sys/user/max_pid_namespaces" };

	finding_set(finding, OK, "enough for every environment");
	finding->hint = "raise it with sysctl to more than the number of environments";
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		unsigned long most = 0;
		FILE *file = fopen(files[i], "re");
		if (!file)
			continue;
		if (fscanf(file, "%lu", &most) == 1 && most < 4096)
			finding_set(finding, most ? WARN : FAIL, "%s is %lu", files[i], most);
		(void)fclose(file);
	}
}

static void check_address(const struct doctor *doctor, struct finding *finding)
{
	scoped_fd fd = -1;

	int r = socket_listen(str_of(doctor->listen), 1, &fd);
	if (r == -EADDRINUSE)
		finding_set(finding, WARN, "%s is in use", doctor->listen);
	else
		finding_of(finding, r == 0, doctor->listen, -r);
	finding->hint =
		"if it is not mayfly that runs there already, choose another: --listen ADDR:PORT";
}

/* The deepest part of the path that exists. */
static void data_parent(const char *path, char to[static PATH_MAX])
{
	struct stat st;

	(void)snprintf(to, PATH_MAX, "%s", path);
	while (to[0] && to[1] && stat(to, &st) < 0) {
		char *slash = strrchr(to, '/');
		if (!slash || slash == to)
			break;
		*slash = '\0';
	}
	if (stat(to, &st) < 0)
		(void)snprintf(to, PATH_MAX, "/");
}

static void check_data(const struct doctor *doctor, struct finding *finding)
{
	char parent[PATH_MAX];
	struct statvfs fs;

	data_parent(doctor->data, parent);
	finding->hint = "choose another: --data DIR";
	if (statvfs(parent, &fs) < 0) {
		finding_set(finding, FAIL, "%.200s: %s", parent, strerror(errno));
		return;
	}
	unsigned long long free_mb = (unsigned long long)fs.f_bavail * fs.f_frsize / MIB;
	if (fs.f_flag & ST_RDONLY)
		finding_set(finding, FAIL, "%.200s is on a read-only file system", doctor->data);
	else if (fs.f_flag & ST_NOEXEC)
		finding_set(finding, FAIL, "%.150s is mounted noexec: functions could not run",
			doctor->data);
	else
		finding_set(finding, free_mb >= 1024 ? OK : WARN, "%.200s, %llu MB free",
			doctor->data, free_mb);
}

/* The router, which owns a directory in it, must be able to get there. */
static void check_data_path(const struct doctor *doctor, struct finding *finding)
{
	char path[PATH_MAX];
	struct stat st;

	data_parent(doctor->data, path);
	finding_set(finding, OK, "every user can pass through");
	finding->hint = "chmod o+x on it, or choose another: --data DIR";
	while (path[0] && path[1]) {
		if (strcmp(path, doctor->data) != 0 && stat(path, &st) == 0 &&
			!(st.st_mode & S_IXOTH))
			finding_set(finding, FAIL, "%.200s lets only some users through", path);
		*strrchr(path, '/') = '\0';
	}
}

static void check_programs([[maybe_unused]] const struct doctor *doctor, struct finding *finding)
{
	static const struct {
		const char *name;
		int mode;
	} programs[] = { { "mayfly-warden", X_OK }, { "mayfly-unpack", X_OK },
		{ "mayfly-restore", X_OK }, { "mayfly-zygote.so", R_OK } };
	char folder[PATH_MAX], path[PATH_MAX + 32];

	finding_set(finding, OK, "all that belong to mayfly");
	finding->hint = "they belong beside mayfly: build or install again";
	ssize_t len = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	if (len < 0)
		return;
	folder[len] = '\0';
	*strrchr(folder, '/') = '\0';
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, programs[i].name);
		if (access(path, programs[i].mode) < 0)
			finding_set(finding, FAIL, "no %s beside mayfly", programs[i].name);
	}
}

static const struct {
	const char *name;
	void (*run)(const struct doctor *doctor, struct finding *finding);
} checks[] = {
	{ "rights", check_root },
	{ "kernel", check_kernel },
	{ "namespaces", check_namespaces },
	{ "namespace limits", check_namespace_limits },
	{ "cgroup controllers", check_controllers },
	{ "cgroup use", check_cgroup_use },
	{ "memory peak", check_memory_peak },
	{ "seccomp", check_seccomp },
	{ "system calls", check_calls },
	{ "sandboxes", check_entering },
	{ "thread numbers", check_thread_place },
	{ "memory files", check_memfd },
	{ "tmpfs", check_tmpfs },
	{ "overlayfs", check_overlay },
	{ "open files", check_files },
	{ "address", check_address },
	{ "data directory", check_data },
	{ "path to the data", check_data_path },
	{ "programs", check_programs },
};

static void put_text(struct buf *out, const char *name, const struct finding *finding)
{
	buf_putf(out, "%-5s %-19s %s\n", verdict_names[finding->verdict], name, finding->found);
	if (finding->verdict != OK)
		buf_putf(out, "      %-19s %s\n", "", finding->hint);
}

static void put_json(struct buf *out, const char *name, const struct finding *finding)
{
	buf_put(out, out->len > 1 ? S(",\n {\"check\":") : S("\n {\"check\":"));
	buf_put_json(out, str_of(name));
	buf_put(out, S(",\"verdict\":"));
	buf_put_json(out, str_of(verdict_names[finding->verdict]));
	buf_put(out, S(",\"found\":"));
	buf_put_json(out, str_of(finding->found));
	if (finding->verdict != OK) {
		buf_put(out, S(",\"hint\":"));
		buf_put_json(out, str_of(finding->hint));
	}
	buf_put_char(out, '}');
}

/* Run all checks. 0, or 1 when the daemon could not run. */
static int doctor_check(const struct doctor *doctor, bool as_json)
{
	unsigned counts[ARRAY_LEN(verdict_names)] = {};
	struct buf out;

	buf_init(&out, 64 * KIB);
	if (as_json)
		buf_put_char(&out, '[');
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		struct finding finding = {};
		checks[i].run(doctor, &finding);
		counts[finding.verdict]++;
		(as_json ? put_json : put_text)(&out, checks[i].name, &finding);
	}
	if (as_json)
		buf_put(&out, S("\n]\n"));
	else if (counts[FAIL])
		buf_putf(&out, "\nmayfly cannot run here: see the lines that say fail.\n");
	else
		buf_putf(&out, "\nmayfly can run here.\n");
	int r = out.err ? out.err : fd_write_all(STDOUT_FILENO, buf_str(&out));
	buf_done(&out);
	return r < 0 || counts[FAIL] ? 1 : 0;
}

/* With flags (NULL: none), which win over the environment, which wins over the defaults. */
static int doctor_with(int argc, char **argv, bool as_json)
{
	struct settings settings;
	struct buf error;
	struct doctor doctor;
	int status = 2;

	buf_init(&error, 4096);
	if (settings_init(&settings) < 0)
		return 1;
	int r = settings_from_environment(&settings, &error);
	if (r == 0 && argv)
		r = settings_from_flags(&settings, &argc, argv, &error);
	if (r == 0 && argc == 0) {
		doctor = (struct doctor){ settings.values[SET_LISTEN], settings.values[SET_DATA] };
		status = doctor_check(&doctor, as_json);
	} else {
		(void)fprintf(stderr, "mayfly doctor: " STR_FMT "\n", STR_ARG(buf_str(&error)));
	}
	settings_done(&settings);
	buf_done(&error);
	return status;
}

int doctor_run(bool as_json)
{
	return doctor_with(0, NULL, as_json);
}

int doctor_main(int argc, char **argv)
{
	bool as_json = false;
	int count = 0;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			(void)printf(
				"Usage: mayfly doctor [-o text|json] [--listen ADDR:PORT] [--data DIR]\n\n"
				"Says in words what this machine lacks to run mayfly, and what to do.\n");
			return 0;
		}
		if (strcmp(argv[i], "-o") && strcmp(argv[i], "--output")) {
			argv[count++] = argv[i];
			continue;
		}
		const char *form = i + 1 < argc ? argv[++i] : "";
		as_json = !strcmp(form, "json");
		if (!as_json && strcmp(form, "text")) {
			(void)fprintf(stderr, "mayfly doctor: -o is text or json\n");
			return 2;
		}
	}
	return doctor_with(count, argv, as_json);
}
