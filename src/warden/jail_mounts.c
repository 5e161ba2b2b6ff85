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
#include "os/fd.h"
#include "os/file.h"
#include "os/mount.h"
#include "warden/jail.h"
#include "warden/places.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BOTH = JAIL_SANDBOX | JAIL_UNPACK,
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
	{ DIRECTORY, "/dev", NULL, BOTH },
	{ DIRECTORY, "/etc", NULL, BOTH },
	{ DIRECTORY, "/proc", NULL, BOTH },
	{ DIRECTORY, "/run", NULL, BOTH }, /* always empty */
	{ DIRECTORY, "/out", NULL, JAIL_UNPACK },
	{ DIRECTORY, "/opt", NULL, JAIL_SANDBOX },
	{ DIRECTORY, "/tmp", NULL, JAIL_SANDBOX },
	{ DIRECTORY, "/var", NULL, JAIL_SANDBOX },
	{ DIRECTORY, "/var/runtime", NULL, JAIL_SANDBOX },
	{ DIRECTORY, "/var/task", NULL, JAIL_SANDBOX },
	{ HOST, "/usr", NULL, BOTH },
	{ HOST, "/bin", NULL, BOTH },
	{ HOST, "/sbin", NULL, BOTH },
	{ HOST, "/lib", NULL, BOTH },
	{ HOST, "/lib32", NULL, BOTH },
	{ HOST, "/lib64", NULL, BOTH },
	/*
	 * How to find libraries, whom to trust, names of numbers. No /etc/localtime: "TZ … defaults
	 * to UTC", whatever the clock on the host's wall says.
	 */
	{ HOST, "/etc/ld.so.cache", NULL, BOTH },
	{ HOST, "/etc/alternatives", NULL, BOTH },
	{ HOST, "/etc/ssl", NULL, JAIL_SANDBOX },
	{ HOST, "/etc/pki", NULL, JAIL_SANDBOX },
	{ HOST, "/etc/crypto-policies", NULL, JAIL_SANDBOX },
	{ HOST, "/etc/ca-certificates", NULL, JAIL_SANDBOX },
	{ HOST, "/etc/mime.types", NULL, JAIL_SANDBOX },
	{ HOST, "/etc/services", NULL, JAIL_SANDBOX },
	{ HOST, "/etc/protocols", NULL, JAIL_SANDBOX },
	{ DEVICE, "/dev/null", NULL, BOTH },
	{ DEVICE, "/dev/zero", NULL, BOTH },
	{ DEVICE, "/dev/full", NULL, BOTH },
	{ DEVICE, "/dev/random", NULL, BOTH },
	{ DEVICE, "/dev/urandom", NULL, BOTH },
	{ LINK, "/dev/fd", "/proc/self/fd", BOTH },
	{ LINK, "/dev/stdin", "/proc/self/fd/0", BOTH },
	{ LINK, "/dev/stdout", "/proc/self/fd/1", BOTH },
	{ LINK, "/dev/stderr", "/proc/self/fd/2", BOTH },
};

/* Parts of /proc that tell about the host or change it. What a kernel does not have is no loss. */
static const struct root_row proc_rows[] = {
	{ COVER, "/proc/kcore", "/dev/null", BOTH }, /* the host's memory */
	{ COVER, "/proc/keys", "/dev/null", BOTH },  /* the host's key rings */
	{ COVER, "/proc/key-users", "/dev/null", BOTH },
	{ COVER, "/proc/kallsyms", "/dev/null", BOTH },	   /* where the kernel is */
	{ COVER, "/proc/timer_list", "/dev/null", BOTH },  /* all processes' timers */
	{ COVER, "/proc/sched_debug", "/dev/null", BOTH }, /* all processes */
	{ COVER, "/proc/latency_stats", "/dev/null", BOTH },
	{ COVER, "/proc/interrupts", "/dev/null", BOTH }, /* a clock to spy on others with */
	{ COVER, "/proc/acpi", "/run", BOTH },
	{ COVER, "/proc/asound", "/run", BOTH },
	{ COVER, "/proc/scsi", "/run", BOTH },
	{ COVER, "/proc/sys", "/proc/sys", BOTH },
	{ COVER, "/proc/sysrq-trigger", "/proc/sysrq-trigger", BOTH },
	{ COVER, "/proc/irq", "/proc/irq", BOTH },
	{ COVER, "/proc/bus", "/proc/bus", BOTH },
	{ COVER, "/proc/fs", "/proc/fs", BOTH },
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

int jail_bind_pack(struct jail *jail)
{
	const struct pack_spec *pack = jail->pack;

	for (uint32_t i = 0; i < pack->bind_count; i++) {
		const char *path = pack->binds[i];
		if (faccessat(jail->root, path + 1, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue; /* it is below /usr, which is there already */
		int r = dir_make_parents(jail->root, path);
		if (r == 0)
			r = bind_same(jail, path, READ_ONLY);
		if (r != 0) /* 1: uninstalled since the daemon started */
			return r < 0 ? r : -ENOENT;
	}
	return pack->folder[0]
		? mount_bind(AT_FDCWD, pack->folder, jail->root, "var/runtime", READ_ONLY)
		: 0;
}

static int bind_digest(
	const struct jail *jail, const uint8_t digest[static DIGEST_LEN], const char *to)
{
	scoped_fd dir = -1, code = open_data(jail, "code");
	if (code < 0)
		return -errno;
	int r = places_open_code(code, digest, &dir);
	return r < 0 ? r : mount_bind(dir, "", jail->root, to, READ_ONLY);
}

int jail_bind_code(struct jail *jail)
{
	return bind_digest(jail, jail->ask->code, "var/task");
}

/*
 * "Lambda extracts the layer contents into /opt … in the order that you added the layers": where
 * two have the same file, the later one's is seen. Several are one read-only overlay.
 */
int jail_bind_layers(struct jail *jail)
{
	char options[32 + FRAME_LAYERS_MAX * DIGEST_HEX_SIZE] = "lowerdir=";
	size_t len = strlen(options);
	uint32_t count = jail->ask->layer_count;

	if (count < 2)
		return count ? bind_digest(jail, jail->ask->layers[0], "opt") : 0;
	scoped_fd code = open_data(jail, "code");
	if (code < 0)
		return -errno;
	for (uint32_t i = count; i-- > 0; len += DIGEST_HEX_SIZE) { /* the uppermost first */
		scoped_fd dir = -1;
		int r = places_open_code(code, jail->ask->layers[i], &dir);
		if (r < 0)
			return r;
		places_hex(jail->ask->layers[i], options + len);
		options[len + DIGEST_HEX_SIZE - 1] = i > 0 ? ':' : '\0';
	}
	if (fchdir(code) < 0) /* relative names: a page would not hold five whole paths */
		return -errno;
	return mount_new(jail, "overlay", "opt", MS_RDONLY | MS_NOSUID | MS_NODEV, options);
}

int jail_make_tmp(struct jail *jail)
{
	char options[96];

	/* One inode for each 4 KiB, as a disk of that size would have. */
	(void)snprintf(options, sizeof(options), "mode=1777,size=%um,nr_inodes=%u",
		jail->ask->tmp_mb, jail->ask->tmp_mb * 256);
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
	int r = mount_change(jail->root, MOUNT_ATTR_RDONLY); /* it is complete now */
	if (r == 0)
		r = mount_pivot(jail->root);
	if (r < 0)
		return r;
	return chdir(jail->kind == JAIL_SANDBOX ? "/var/task" : "/out") < 0 ? -errno : 0;
}
