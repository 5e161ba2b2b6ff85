/*
 * The root that a jailed process sees. It is a small tmpfs with read-only binds of the
 * host's programs and libraries and of the code, built in a mount namespace of its own and
 * then pivoted into, so that nothing else of the host exists any more.
 *
 * Binds are made detached (open_tree), get their flags, and only then a place: there is no
 * moment in which one is visible and writable. Paths are of two kinds: constants and those
 * of the boot struct, which root wrote; and code by digest, which is opened beneath its
 * directory. Descriptors of the warden cannot be used as a source: they belong to its
 * namespace, and the kernel refuses to clone across.
 */
#include "base/attr.h"
#include "base/str.h"
#include "os/fd.h"
#include "warden/jail.h"
#include "warden/places.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOUNT_DIR_OPEN = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

/* Programs and data to read; never device files or set-uid bits. */
static const uint64_t read_only = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

/* Put a copy of the mount tree at `from` (a path, or "" for the directory itself) at root/`to`. */
static int mount_bind(
	const struct jail *jail, int from_dir, const char *from, const char *to, uint64_t attrs)
{
	struct mount_attr attr = { .attr_set = attrs };
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH;

	scoped_fd tree = open_tree(from_dir, from, flags);
	if (tree < 0)
		return -errno;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	if (move_mount(tree, "", jail->root, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

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

/* A place for a bind of the same type as the thing itself. 1 when there is no such thing. */
static int make_place_like(const struct jail *jail, const char *host_path, const char *to)
{
	struct stat st;

	if (stat(host_path, &st) < 0)
		return errno == ENOENT ? 1 : -errno;
	return S_ISDIR(st.st_mode) ? make_dir(jail, to) : make_file(jail, to, "");
}

/* A file system of its own at root/`to`; "" for the root itself. */
static int mount_new(const struct jail *jail, const char *type, const char *to, unsigned long flags,
	const char *options)
{
	char path[PACK_PATH_MAX + 32];

	(void)snprintf(path, sizeof(path), "%s/root/%s", jail->data_dir, to);
	return mount(type, path, type, flags, options) < 0 ? -errno : 0;
}

int jail_make_private([[maybe_unused]] struct jail *jail)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

int jail_make_root(struct jail *jail)
{
	static const char *const sandbox[] = { "dev", "etc", "opt", "proc", "run", "tmp", "var",
		"var/runtime", "var/task" };
	static const char *const unpack[] = { "dev", "etc", "out", "proc", "run" };
	const char *const *dirs = jail->kind == JAIL_SANDBOX ? sandbox : unpack;
	size_t count = jail->kind == JAIL_SANDBOX ? ARRAY_LEN(sandbox) : ARRAY_LEN(unpack);
	char path[PACK_PATH_MAX + 8];

	int r = mount_new(
		jail, "tmpfs", "", MS_NOSUID | MS_NODEV, "mode=755,size=256k,nr_inodes=512");
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/root", jail->data_dir);
	jail->root = open(path, MOUNT_DIR_OPEN);
	if (jail->root < 0)
		return -errno;
	for (size_t i = 0; i < count && r == 0; i++)
		r = make_dir(jail, dirs[i]);
	return r;
}

/* A directory of the host at the same place, or the link that it is on merged-usr systems. */
static int bind_or_link(const struct jail *jail, const char *host_path)
{
	char target[PACK_PATH_MAX];

	ssize_t len = readlink(host_path, target, sizeof(target) - 1);
	if (len > 0) {
		target[len] = '\0';
		return symlinkat(target, jail->root, host_path + 1) < 0 ? -errno : 0;
	}
	int r = make_place_like(jail, host_path, host_path + 1);
	if (r != 0)
		return r < 0 ? r : 0;
	return mount_bind(jail, AT_FDCWD, host_path, host_path + 1, read_only);
}

int jail_bind_system(struct jail *jail)
{
	static const char *const paths[] = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
		"/libx32" };

	int r = 0;
	for (size_t i = 0; i < ARRAY_LEN(paths) && r == 0; i++)
		r = bind_or_link(jail, paths[i]);
	return r;
}

/* What programs read from the host's /etc: how to find libraries, whom to trust, names of numbers. */
static int bind_etc(const struct jail *jail)
{
	static const char *const paths[] = { "/etc/ld.so.cache", "/etc/ssl", "/etc/pki",
		"/etc/ca-certificates", "/etc/crypto-policies", "/etc/alternatives",
		"/etc/mime.types", "/etc/services", "/etc/protocols" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		int r = make_place_like(jail, paths[i], paths[i] + 1);
		if (r == 0)
			r = mount_bind(jail, AT_FDCWD, paths[i], paths[i] + 1, read_only);
		if (r < 0)
			return r;
	}
	return 0;
}

/* No /etc/localtime: "TZ … defaults to UTC", whatever the host's clock on the wall says. */
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
	return bind_etc(jail);
}

/* mkdir -p in the root, for all but the last part of an absolute path. */
static int make_parents(const struct jail *jail, const char *path)
{
	char part[PACK_PATH_MAX];

	for (size_t i = 1; path[i]; i++) {
		if (path[i] != '/')
			continue;
		(void)snprintf(part, sizeof(part), "%.*s", (int)(i - 1), path + 1);
		int r = make_dir(jail, part);
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
		int r = make_parents(jail, path);
		if (r == 0)
			r = make_place_like(jail, path, path + 1);
		if (r == 1)
			return -ENOENT; /* uninstalled since the daemon started */
		if (r == 0)
			r = mount_bind(jail, AT_FDCWD, path, path + 1, read_only);
		if (r < 0)
			return r;
	}
	return pack->folder[0] ? mount_bind(jail, AT_FDCWD, pack->folder, "var/runtime", read_only)
			       : 0;
}

/* The code directory as this namespace knows it. */
static int open_code(const struct jail *jail)
{
	char path[PACK_PATH_MAX + 8];

	(void)snprintf(path, sizeof(path), "%s/code", jail->data_dir);
	return open(path, MOUNT_DIR_OPEN);
}

static int bind_digest(
	const struct jail *jail, const uint8_t digest[static DIGEST_LEN], const char *to)
{
	scoped_fd dir = -1, code = open_code(jail);
	if (code < 0)
		return -errno;
	int r = places_open_code(code, digest, &dir);
	if (r < 0)
		return r;
	return mount_bind(jail, dir, "", to, read_only);
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
	uint32_t count = jail->ask->layer_count;

	if (count == 0)
		return 0;
	if (count == 1)
		return bind_digest(jail, jail->ask->layers[0], "opt");

	scoped_fd code = open_code(jail);
	if (code < 0)
		return -errno;
	for (uint32_t i = count; i-- > 0;) { /* overlayfs wants the uppermost first */
		scoped_fd dir = -1;
		size_t len = strlen(options);
		int r = places_open_code(code, jail->ask->layers[i], &dir);
		if (r < 0)
			return r;
		places_hex(jail->ask->layers[i], options + len);
		if (i > 0)
			strncat(options, ":", sizeof(options) - strlen(options) - 1);
	}
	/* Relative names: a page would not hold five whole paths. */
	if (fchdir(code) < 0)
		return -errno;
	int r = mount_new(jail, "overlay", "opt", MS_RDONLY | MS_NOSUID | MS_NODEV, options);
	return r == 0 && chdir("/") < 0 ? -errno : r;
}

int jail_make_tmp(struct jail *jail)
{
	char options[96];

	/* One inode for each 4 KiB, as a disk of that size would have. */
	(void)snprintf(options, sizeof(options), "mode=1777,size=%um,nr_inodes=%u",
		jail->ask->tmp_mb, jail->ask->tmp_mb * 256);
	return mount_new(jail, "tmpfs", "tmp", MS_NOSUID | MS_NODEV, options);
}

int jail_make_dev(struct jail *jail)
{
	static const char *const devices[] = { "null", "zero", "full", "random", "urandom" };
	static const char *const links[][2] = { { "/proc/self/fd", "dev/fd" },
		{ "/proc/self/fd/0", "dev/stdin" }, { "/proc/self/fd/1", "dev/stdout" },
		{ "/proc/self/fd/2", "dev/stderr" } };

	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		char host[32];
		(void)snprintf(host, sizeof(host), "/dev/%s", devices[i]);
		int r = make_file(jail, host + 1, "");
		if (r == 0)
			r = mount_bind(jail, AT_FDCWD, host, host + 1,
				MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (symlinkat(links[i][0], jail->root, links[i][1]) < 0)
			return -errno;
	return 0;
}

int jail_make_proc(struct jail *jail)
{
	return mount_new(jail, "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

/* Parts of /proc that tell about the host or change it. What a kernel does not have is no loss. */
int jail_mask_proc(struct jail *jail)
{
	static const struct {
		const char *path, *with; /* with itself: read-only */
	} masks[] = {
		{ "proc/kcore", "dev/null" }, /* the host's memory */
		{ "proc/keys", "dev/null" },  /* the host's key rings */
		{ "proc/key-users", "dev/null" },
		{ "proc/kallsyms", "dev/null" },    /* where the kernel is */
		{ "proc/timer_list", "dev/null" },  /* all processes' timers */
		{ "proc/sched_debug", "dev/null" }, /* all processes */
		{ "proc/latency_stats", "dev/null" },
		{ "proc/interrupts", "dev/null" }, /* a clock to spy on others with */
		{ "proc/acpi", "run" },
		{ "proc/asound", "run" },
		{ "proc/scsi", "run" },
		{ "proc/sys", "proc/sys" },
		{ "proc/sysrq-trigger", "proc/sysrq-trigger" },
		{ "proc/irq", "proc/irq" },
		{ "proc/bus", "proc/bus" },
		{ "proc/fs", "proc/fs" },
	};

	for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
		int r = mount_bind(jail, jail->root, masks[i].with, masks[i].path,
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

int jail_bind_out(struct jail *jail)
{
	char path[PACK_PATH_MAX + 64];

	(void)snprintf(path, sizeof(path), "%s/code/tmp/%s", jail->data_dir, jail->out);
	return mount_bind(jail, AT_FDCWD, path, "out",
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

int jail_seal_root(struct jail *jail)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	return mount_setattr(jail->root, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int jail_pivot(struct jail *jail)
{
	/* The old root lands on top of the new one, and goes. */
	if (fchdir(jail->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return -errno;
	if (umount2(".", MNT_DETACH) < 0)
		return -errno;
	return chdir(jail->kind == JAIL_SANDBOX ? "/var/task" : "/out") < 0 ? -errno : 0;
}
