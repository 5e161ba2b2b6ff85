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
	ROOTS = JAIL_INIT | JAIL_ZYGOTE | JAIL_UNPACK, /* all that make a root */
	SANDBOX = JAIL_INIT | JAIL_ZYGOTE,
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
	{ COVER, "/proc/kcore", "/dev/null", ROOTS }, /* the host's memory */
	{ COVER, "/proc/keys", "/dev/null", ROOTS },  /* the host's key rings */
	{ COVER, "/proc/key-users", "/dev/null", ROOTS },
	{ COVER, "/proc/kallsyms", "/dev/null", ROOTS },    /* where the kernel is */
	{ COVER, "/proc/timer_list", "/dev/null", ROOTS },  /* all processes' timers */
	{ COVER, "/proc/sched_debug", "/dev/null", ROOTS }, /* all processes */
	{ COVER, "/proc/latency_stats", "/dev/null", ROOTS },
	{ COVER, "/proc/interrupts", "/dev/null", ROOTS }, /* a clock to spy on others with */
	{ COVER, "/proc/acpi", "/run", ROOTS },
	{ COVER, "/proc/asound", "/run", ROOTS },
	{ COVER, "/proc/scsi", "/run", ROOTS },
	{ COVER, "/proc/sys", "/proc/sys", ROOTS },
	{ COVER, "/proc/sysrq-trigger", "/proc/sysrq-trigger", ROOTS },
	{ COVER, "/proc/irq", "/proc/irq", ROOTS },
	{ COVER, "/proc/bus", "/proc/bus", ROOTS },
	{ COVER, "/proc/fs", "/proc/fs", ROOTS },
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
		return mount_bind(jail->root, row->from + 1, jail->root, row->path + 1, PROC_ATTRS);
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

/* A file system of its own at root/`to`; "" for the root itself. */
static int mount_new(const struct jail *jail, const char *type, const char *to, unsigned long flags,
	const char *options)
{
	char path[PACK_PATH_MAX + 32];

	(void)snprintf(path, sizeof(path), "%s/root/%s", jail->data_dir, to);
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
		jail, "tmpfs", "", MS_NOSUID | MS_NODEV, "mode=755,size=256k,nr_inodes=512");
	if (r < 0)
		return r;
	jail->root = open_data(jail, "root");
	return jail->root < 0 ? -errno : root_make_all(jail, root_rows, ARRAY_LEN(root_rows));
}

int jail_make_etc(struct jail *jail)
{
	char passwd[256], group[128];

	(void)snprintf(passwd, sizeof(passwd),
		"root:x:0:0:root:/root:/sbin/nologin\nsandbox:x:%u:%u:sandbox:/tmp:/sbin/nologin\n",
		jail->uid, jail->uid);
	(void)snprintf(group, sizeof(group), "root:x:0:\nsandbox:x:%u:\n", jail->uid);
	const char *const files[][2] = {
		{ "etc/passwd", passwd },
		{ "etc/group", group },
		{ "etc/hostname", "localhost\n" },
		{ "etc/hosts", "127.0.0.1 localhost\n::1 localhost\n" },
		{ "etc/resolv.conf", "" },
		{ "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n" },
	};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		int r = make_file(jail, files[i][0], files[i][1]);
		if (r < 0)
			return r;
	}
	return 0;
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

/* A place for what has none in the root yet: a prefix of an interpreter outside of /usr. */
static int graft_make_place(
	const struct jail *jail, const struct graft *graft, const char *absolute)
{
	struct stat st;

	if (fstat(graft->tree, &st) < 0)
		return -errno;
	int r = mount_change(jail->root, 0, MOUNT_ATTR_RDONLY);
	if (r == 0)
		r = dir_make_parents(jail->root, absolute);
	if (r == 0)
		r = S_ISDIR(st.st_mode) ? make_dir(jail, graft->path)
					: make_file(jail, graft->path, "");
	int again = mount_change(jail->root, MOUNT_ATTR_RDONLY, 0);
	return r < 0 ? r : again;
}

/*
 * The trees come in order: code, layers, the pack's folder, then binds of the pack, which may be
 * where there is something already (below /usr, or shown by a layer).
 */
int jail_graft(struct jail *jail)
{
	char absolute[PACK_PATH_MAX + 1];

	for (uint32_t i = 0; i < jail->graft_count; i++) {
		const struct graft *graft = &jail->grafts[i];
		bool is_there = faccessat(jail->root, graft->path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
		bool is_ours = i < jail->graft_count - jail->bind_count;
		if (is_there && !is_ours)
			continue;
		(void)snprintf(absolute, sizeof(absolute), "/%s", graft->path);
		int r = is_there ? 0 : graft_make_place(jail, graft, absolute);
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
	int r = mount_new(jail, "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	return r < 0 ? r : root_make_all(jail, proc_rows, ARRAY_LEN(proc_rows));
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
