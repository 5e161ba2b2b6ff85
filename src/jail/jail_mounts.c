/*
 * The root that a jailed process sees. It is a small tmpfs with read-only binds of the
 * host's programs and libraries and of the code, built in a mount namespace of its own and
 * then pivoted into, so that nothing else of the host exists any more.
 *
 * Paths are of two kinds: constants and those of the boot struct, which root wrote; and code
 * by digest, which is opened beneath its directory. Descriptors of the warden cannot be
 * bound: they belong to its namespace, and the kernel refuses to clone across.
 */
#include "base/attr.h"
#include "jail/jail.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	ROOTS = JAIL_MOULD | JAIL_ZYGOTE | JAIL_UNPACK, /* all that make a root */
	PROCS = JAIL_INIT | JAIL_UNPACK,
	SANDBOX = JAIL_MOULD | JAIL_ZYGOTE,
	READ_ONLY = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, /* code and data */
	DEVICE_ATTRS = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	PROC_ATTRS = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	OUT_ATTRS = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
};

/* How one path in the root comes to be. */
enum root_how {
	DIRECTORY,
	HOST, /* read-only as on the host: a bind, or the link that it is; nothing if it is not there */
	DEVICE, /* a bind of the host's */
	LINK,	/* to `from` */
	COVER,	/* with `from`, read-only, if it is there; with itself: it becomes read-only */
};

struct root_row {
	enum root_how how;
	const char *path; /* absolute */
	const char *from;
	unsigned kinds;
};

static const struct root_row root_rows[] = {
	{ DIRECTORY, "/dev", NULL, ROOTS },
	{ DIRECTORY, "/etc", NULL, ROOTS },
	{ DIRECTORY, "/proc", NULL, ROOTS },
	{ DIRECTORY, "/run", NULL, ROOTS }, /* always empty */
	{ DIRECTORY, "/out", NULL, JAIL_UNPACK },
	{ DIRECTORY, "/opt", NULL, SANDBOX },
	{ DIRECTORY, "/tmp", NULL, SANDBOX },
	{ DIRECTORY, "/var", NULL, SANDBOX },
	{ DIRECTORY, "/var/runtime", NULL, SANDBOX },
	{ DIRECTORY, "/var/task", NULL, SANDBOX },
	{ HOST, "/usr", NULL, ROOTS },
	{ HOST, "/bin", NULL, ROOTS },
	{ HOST, "/sbin", NULL, ROOTS },
	{ HOST, "/lib", NULL, ROOTS },
	{ HOST, "/lib32", NULL, ROOTS },
	{ HOST, "/lib64", NULL, ROOTS },
	/*
	 * How to find libraries, whom to trust, names of numbers. No /etc/localtime: "TZ … defaults
	 * to UTC", whatever the clock on the host's wall says.
	 */
	{ HOST, "/etc/ld.so.cache", NULL, ROOTS },
	{ HOST, "/etc/alternatives", NULL, ROOTS },
	{ HOST, "/etc/ssl", NULL, SANDBOX },
	{ HOST, "/etc/pki", NULL, SANDBOX },
	{ HOST, "/etc/crypto-policies", NULL, SANDBOX },
	{ HOST, "/etc/ca-certificates", NULL, SANDBOX },
	{ HOST, "/etc/mime.types", NULL, SANDBOX },
	{ HOST, "/etc/services", NULL, SANDBOX },
	{ HOST, "/etc/protocols", NULL, SANDBOX },
	{ DEVICE, "/dev/null", NULL, ROOTS },
	{ DEVICE, "/dev/zero", NULL, ROOTS },
	{ DEVICE, "/dev/full", NULL, ROOTS },
	{ DEVICE, "/dev/random", NULL, ROOTS },
	{ DEVICE, "/dev/urandom", NULL, ROOTS },
	{ LINK, "/dev/fd", "/proc/self/fd", ROOTS },
	{ LINK, "/dev/stdin", "/proc/self/fd/0", ROOTS },
	{ LINK, "/dev/stdout", "/proc/self/fd/1", ROOTS },
	{ LINK, "/dev/stderr", "/proc/self/fd/2", ROOTS },
};

/* Parts of /proc that tell about the host or change it. What a kernel does not have is no loss. */
static const struct root_row proc_rows[] = {
	{ COVER, "/proc/kcore", "/dev/null", PROCS }, /* the host's memory */
	{ COVER, "/proc/keys", "/dev/null", PROCS },  /* the host's key rings */
	{ COVER, "/proc/key-users", "/dev/null", PROCS },
	{ COVER, "/proc/kallsyms", "/dev/null", PROCS },    /* where the kernel is */
	{ COVER, "/proc/timer_list", "/dev/null", PROCS },  /* all processes' timers */
	{ COVER, "/proc/sched_debug", "/dev/null", PROCS }, /* all processes */
	{ COVER, "/proc/latency_stats", "/dev/null", PROCS },
	{ COVER, "/proc/interrupts", "/dev/null", PROCS }, /* a clock to spy on others with */
	{ COVER, "/proc/acpi", "/run", PROCS },
	{ COVER, "/proc/asound", "/run", PROCS },
	{ COVER, "/proc/scsi", "/run", PROCS },
	{ COVER, "/proc/sys", "/proc/sys", PROCS },
	{ COVER, "/proc/sysrq-trigger", "/proc/sysrq-trigger", PROCS },
	{ COVER, "/proc/irq", "/proc/irq", PROCS },
	{ COVER, "/proc/bus", "/proc/bus", PROCS },
	{ COVER, "/proc/fs", "/proc/fs", PROCS },
};

static int make_dir(const struct jail *jail, const char *path)
{
	return mkdirat(jail->root, path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_file(const struct jail *jail, const char *path, const char *text)
{
	scoped_fd fd = openat(jail->root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	return *text && write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* A bind of a host path at the same place, with a place of the right type. 1 when it is not there. */
static int bind_same(const struct jail *jail, const char *path, uint64_t attrs)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT ? 1 : -errno;
	int r = S_ISDIR(st.st_mode) ? make_dir(jail, path + 1) : make_file(jail, path + 1, "");
	return r < 0 ? r : mount_bind(AT_FDCWD, path, jail->root, path + 1, attrs);
}

/* On merged-usr systems /bin and its like are links. Elsewhere what a link means is shown. */
static int bind_host(const struct jail *jail, const char *path)
{
	char target[PACK_PATH_MAX];

	ssize_t len = readlink(path, target, sizeof(target) - 1);
	if (len <= 0 || strrchr(path, '/') != path)
		return bind_same(jail, path, READ_ONLY);
	target[len] = '\0';
	return symlinkat(target, jail->root, path + 1) < 0 ? -errno : 0;
}

static int root_make(const struct jail *jail, const struct root_row *row)
{
	switch (row->how) {
	case DIRECTORY:
		return make_dir(jail, row->path + 1);
	case HOST:
		return bind_host(jail, row->path);
	case DEVICE:
		return bind_same(jail, row->path, DEVICE_ATTRS);
	case LINK:
		return symlinkat(row->from, jail->root, row->path + 1) < 0 ? -errno : 0;
	case COVER:
		return mount_cover(row->from + 1, row->path + 1, PROC_ATTRS); /* we are there */
	}
	return -EINVAL;
}

static int root_make_all(const struct jail *jail, const struct root_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int r = rows[i].kinds & jail->kind ? root_make(jail, &rows[i]) : 0;
		if (r < 0 && !(r == -ENOENT && rows[i].how == COVER))
			return r;
	}
	return 0;
}

/* A file system of its own at `to` in the data directory, or in the root of a sandbox. */
static int mount_new(const struct jail *jail, const char *type, const char *to, unsigned long flags,
	const char *options)
{
	char path[PACK_PATH_MAX + 32];

	/* A sandbox is in its root already, which it has of the mould. */
	(void)snprintf(
		path, sizeof(path), "%s/%s", jail->kind == JAIL_INIT ? "" : jail->data_dir, to);
	return mount(type, path, type, flags, options) < 0 ? -errno : 0;
}

/* A directory of the data directory, as this namespace knows it. */
static int open_data(const struct jail *jail, const char *name)
{
	char path[PACK_PATH_MAX + 32];

	(void)snprintf(path, sizeof(path), "%s/%s", jail->data_dir, name);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int jail_make_root(struct jail *jail)
{
	int r = mount_new(
		jail, "tmpfs", "root", MS_NOSUID | MS_NODEV, "mode=755,size=256k,nr_inodes=512");
	if (r < 0)
		return r;
	jail->root = open_data(jail, "root");
	return jail->root < 0 ? -errno : root_make_all(jail, root_rows, ARRAY_LEN(root_rows));
}

/* The names of one user, or of none. */
static int make_users(const struct jail *jail, const char *passwd_path, const char *group_path)
{
	char passwd[256], group[128];

	(void)snprintf(passwd, sizeof(passwd),
		"root:x:0:0:root:/root:/sbin/nologin\nsandbox:x:%u:%u:sandbox:/tmp:/sbin/nologin\n",
		jail->uid, jail->uid);
	(void)snprintf(group, sizeof(group), "root:x:0:\nsandbox:x:%u:\n", jail->uid);
	int r = make_file(jail, passwd_path, passwd);
	return r < 0 ? r : make_file(jail, group_path, group);
}

int jail_make_etc(struct jail *jail)
{
	static const char *const files[][2] = {
		{ "etc/hostname", "localhost\n" },
		{ "etc/hosts", "127.0.0.1 localhost\n::1 localhost\n" },
		{ "etc/resolv.conf", "" },
		{ "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n" },
	};

	int r = make_users(jail, "etc/passwd", "etc/group");
	for (size_t i = 0; i < ARRAY_LEN(files) && r == 0; i++)
		r = make_file(jail, files[i][0], files[i][1]);
	return r;
}

/* Over the mould's: two files of a file system of their own, which is at /run for a moment. */
int jail_name_user(struct jail *jail)
{
	int r = mount_new(
		jail, "tmpfs", "run", MS_NOSUID | MS_NODEV, "mode=755,size=8k,nr_inodes=4");
	if (r == 0)
		r = make_users(jail, "run/passwd", "run/group");
	if (r == 0)
		r = mount_cover("/run/passwd", "/etc/passwd", READ_ONLY);
	if (r == 0)
		r = mount_cover("/run/group", "/etc/group", READ_ONLY);
	if (r == 0 && umount2("/run", MNT_DETACH) < 0)
		r = -errno;
	return r;
}

/* Directories that libraries are looked for in: an interpreter remembers which of them exist. */
static int make_library_dirs(const struct jail *jail)
{
	static const char *const dirs[] = { "var/task/lib", "opt/lib" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(dirs) && r == 0; i++)
		r = make_dir(jail, dirs[i]);
	return r;
}

int jail_bind_pack(struct jail *jail)
{
	const struct pack_spec *pack = jail->pack;

	int r = make_library_dirs(jail);
	for (uint32_t i = 0; i < pack->bind_count && r == 0; i++) {
		const char *path = pack->binds[i];
		if (faccessat(jail->root, path + 1, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue; /* it is below /usr, which is there already */
		r = dir_make_parents(jail->root, path);
		if (r == 0)
			r = bind_same(jail, path, READ_ONLY);
		if (r > 0) /* uninstalled since the daemon started */
			r = -ENOENT;
	}
	if (r < 0 || !pack->folder[0])
		return r;
	return mount_bind(AT_FDCWD, pack->folder, jail->root, "var/runtime", READ_ONLY);
}

int jail_bind_preload(struct jail *jail)
{
	int r = make_file(jail, &ZYGOTE_LIBRARY[1], "");
	return r < 0
		? r
		: mount_bind(AT_FDCWD, jail->library, jail->root, &ZYGOTE_LIBRARY[1], READ_ONLY);
}

/* Where the binds of packs go, if there is nothing yet. */
static int make_place(const struct jail *jail, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) /* uninstalled */
		return errno == ENOENT ? 0 : -errno;
	if (faccessat(jail->root, path + 1, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	int r = dir_make_parents(jail->root, path);
	if (r < 0)
		return r;
	return S_ISDIR(st.st_mode) ? make_dir(jail, path + 1) : make_file(jail, path + 1, "");
}

int jail_make_places(struct jail *jail)
{
	int r = 0;

	for (const struct pack_spec *pack = jail->packs; pack < jail->packs + jail->pack_count;
		pack++)
		for (uint32_t i = 0; i < pack->bind_count && r == 0; i++)
			r = make_place(jail, pack->binds[i]);
	return r;
}

/* In /tmp, which is newer than the mould. Anywhere else nothing can be made any more. */
static int graft_make_place(const struct jail *jail, const struct graft *graft)
{
	char absolute[PACK_PATH_MAX + 1];
	struct stat st;

	(void)snprintf(absolute, sizeof(absolute), "/%s", graft->path);
	int r = fstat(graft->tree, &st) < 0 ? -errno : dir_make_parents(jail->root, absolute);
	if (r < 0)
		return r;
	return S_ISDIR(st.st_mode) ? make_dir(jail, graft->path) : make_file(jail, graft->path, "");
}

/*
 * The trees come in order: code, layers, the pack's folder, then binds of the pack, for which the
 * mould has places, or which are shown already (below /usr, or by a layer).
 */
int jail_graft(struct jail *jail)
{
	struct stat root, place;

	if (fstat(jail->root, &root) < 0)
		return -errno;
	for (uint32_t i = 0; i < jail->graft_count; i++) {
		const struct graft *graft = &jail->grafts[i];
		bool is_bind = i >= jail->graft_count - jail->bind_count;
		int r = 0;
		if (fstatat(jail->root, graft->path, &place, AT_SYMLINK_NOFOLLOW) < 0)
			r = errno == ENOENT ? graft_make_place(jail, graft) : -errno;
		else if (is_bind && place.st_dev != root.st_dev)
			continue;
		if (r == 0)
			r = mount_attach(graft->tree, jail->root, graft->path);
		if (r < 0)
			return r;
	}
	return 0;
}

int jail_enter_code([[maybe_unused]] struct jail *jail)
{
	return chdir("/var/task") < 0 ? -errno : 0;
}

/* One inode for each 4 KiB, as a disk of that size would have. */
static void tmp_options(uint32_t mb, char *to, size_t size)
{
	(void)snprintf(to, size, "mode=1777,size=%um,nr_inodes=%u", mb, mb * 256);
}

int jail_resize_tmp(struct jail *jail)
{
	char options[96];

	if (!jail->tmp_mb || jail->tmp_mb == JAIL_TMP_MB)
		return 0;
	tmp_options(jail->tmp_mb, options, sizeof(options));
	return mount("tmpfs", "/tmp", "tmpfs", MS_REMOUNT | MS_NOSUID | MS_NODEV, options) < 0
		? -errno
		: 0;
}

int jail_make_tmp(struct jail *jail)
{
	char options[96];

	tmp_options(JAIL_TMP_MB, options, sizeof(options));
	return mount_new(jail, "tmpfs", "tmp", MS_NOSUID | MS_NODEV, options);
}

int jail_make_proc(struct jail *jail)
{
	const char *to = jail->kind == JAIL_INIT ? "proc" : "root/proc";

	int r = mount_new(jail, "proc", to, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	if (r < 0 || fchdir(jail->root) < 0)
		return r < 0 ? r : -errno;
	return root_make_all(jail, proc_rows, ARRAY_LEN(proc_rows));
}

int jail_bind_out(struct jail *jail)
{
	scoped_fd tmp = open_data(jail, "code/tmp");

	return tmp < 0 ? -errno : mount_bind(tmp, jail->out, jail->root, "out", OUT_ATTRS);
}

int jail_pivot(struct jail *jail)
{
	int r = mount_change(jail->root, MOUNT_ATTR_RDONLY, 0); /* it is complete now */
	if (r == 0)
		r = mount_pivot(jail->root);
	if (r < 0)
		return r;
	return chdir(jail->kind == JAIL_UNPACK ? "/out" : "/") < 0 ? -errno : 0;
}
