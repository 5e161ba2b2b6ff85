/*
 *   DATA          0711 root     passed through, not listed
 *   DATA/router   0700 router   databases, the ZIPs
 *   DATA/code     0700 root     HEX/ per digest; sandboxes see only what is bound for them
 *   DATA/code/tmp 0700 root     being unpacked, being removed; empty after every start
 *   DATA/root     0700 root     always empty: each jail mounts its root here, in its own namespace
 *
 * The locks are of the fcntl() kind: they belong to a process, so that neither a forked
 * child nor a leaked descriptor can keep a dead warden's directory locked. The janitor
 * holds a second one while it lives: a new warden must not start while the janitor of a
 * killed one still removes what it thinks is left over.
 */
#include "warden/places.h"

#include "base/err.h"
#include "base/str.h"
#include "os/fd.h"
#include "os/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PLACE_OPEN = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

struct place {
	const char *name;
	uid_t owner;
	mode_t mode;
};

/* Make it if it is missing; it must be a real directory of the right owner. */
static int place_open(int parent, const struct place *place, int *ret_dir)
{
	struct stat st;

	if (mkdirat(parent, place->name, 0700) < 0 && errno != EEXIST)
		return err_raise(-errno);
	/* The data directory itself may be a link of root's; what is inside may not. */
	scoped_fd dir = openat(
		parent, place->name, parent == AT_FDCWD ? PLACE_OPEN & ~O_NOFOLLOW : PLACE_OPEN);
	if (dir < 0)
		return err_raise(-errno);
	if (fstat(dir, &st) < 0)
		return err_raise(-errno);
	if (st.st_uid != 0 && st.st_uid != place->owner) /* somebody else's: do not touch */
		return err_raise(-EPERM);
	if (fchown(dir, place->owner, place->owner) < 0 || fchmod(dir, place->mode) < 0)
		return err_raise(-errno);
	*ret_dir = fd_take(&dir);
	return 0;
}

/* mkdir -p of the data directory's parents. */
static int place_make_parents(const char *path)
{
	char part[PACK_PATH_MAX];

	for (size_t i = 1; path[i]; i++) {
		if (path[i] != '/')
			continue;
		(void)snprintf(part, sizeof(part), "%.*s", (int)i, path);
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_raise(-errno);
	}
	return 0;
}

int places_lock(int fd, bool may_wait)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	while (fcntl(fd, may_wait ? F_SETLKW : F_SETLK, &whole) < 0) {
		if (errno == EAGAIN || errno == EACCES)
			return -EAGAIN;
		if (errno != EINTR)
			return err_raise(-errno);
	}
	return 0;
}

static int place_open_lock(int dir, const char *name, int *ret_fd)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_raise(-errno);
	*ret_fd = fd;
	return 0;
}

static int places_open_locks(struct places *places)
{
	int r = place_open_lock(places->data, "warden.lock", &places->lock);
	if (r == 0)
		r = place_open_lock(places->data, "janitor.lock", &places->janitor_lock);
	if (r < 0)
		return err_pass(r);
	r = places_lock(places->lock, false);
	if (r == -EAGAIN)
		return PLACES_TAKEN;
	if (r < 0)
		return err_pass(r);
	/* Bounded: the janitor gives up on what it cannot remove within seconds. */
	r = places_lock(places->janitor_lock, true);
	if (r < 0)
		return err_pass(r);
	struct flock none = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	return fcntl(places->janitor_lock, F_SETLK, &none) < 0 ? err_raise(-errno) : 0;
}

int places_sweep(const struct places *places, const char *prefix)
{
	int fd = openat(places->tmp, ".", PLACE_OPEN), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd); /* owns it */
	struct dirent *entry;

	if (!dir)
		return err_raise(-errno);
	while (r == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && str_starts(str_of(entry->d_name), str_of(prefix)))
			r = tree_remove(places->tmp, entry->d_name);
	(void)closedir(dir);
	return err_pass(r);
}

/* FNV-1a of the real path: the same directory gives the same name to every later instance. */
static int places_name(struct places *places)
{
	char link[32], path[PATH_MAX];
	uint64_t hash = 0xcbf29ce484222325;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", places->data);
	ssize_t len = readlink(link, path, sizeof(path));
	if (len < 0)
		return err_raise(-errno);
	for (ssize_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)path[i]) * 0x100000001b3;
	(void)snprintf(
		places->name, sizeof(places->name), "mayfly-%016llx", (unsigned long long)hash);
	return 0;
}

static int places_open_dirs(const struct warden_boot *boot, struct places *places)
{
	int r = place_make_parents(boot->data_dir);
	if (r == 0)
		r = place_open(AT_FDCWD, &(struct place){ boot->data_dir, 0, 0711 }, &places->data);
	if (r == 0)
		r = place_open(places->data, &(struct place){ "router", boot->router_uid, 0700 },
			&places->router);
	if (r == 0)
		r = place_open(places->data, &(struct place){ "code", 0, 0700 }, &places->code);
	if (r == 0)
		r = place_open(places->code, &(struct place){ "tmp", 0, 0700 }, &places->tmp);
	scoped_fd root = -1;
	if (r == 0)
		r = place_open(places->data, &(struct place){ "root", 0, 0700 }, &root);
	return err_pass(r);
}

int places_open(const struct warden_boot *boot, struct places *ret_places)
{
	struct places places = { -1, -1, -1, -1, -1, -1, "" };

	int r = places_open_dirs(boot, &places);
	if (r == 0)
		r = places_open_locks(&places);
	if (r != 0)
		return r < 0 ? err_pass(r) : r;
	r = places_sweep(&places, "");
	if (r == 0)
		r = places_name(&places);
	if (r < 0)
		return err_pass(r);
	*ret_places = places;
	return 0;
}

void places_hex(const uint8_t digest[static DIGEST_LEN], char to[static DIGEST_HEX_SIZE])
{
	for (int i = 0; i < DIGEST_LEN; i++)
		(void)snprintf(to + 2 * i, 3, "%02x", digest[i]);
}

int places_open_code(int code, const uint8_t digest[static DIGEST_LEN], int *ret_dir)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	char name[DIGEST_HEX_SIZE];
	struct stat st;

	places_hex(digest, name);
	scoped_fd dir = (int)syscall(SYS_openat2, code, name, &how, sizeof(how));
	if (dir < 0)
		return errno == ENOENT ? -ENOENT : err_raise(-errno);
	if (fstat(dir, &st) < 0)
		return err_raise(-errno);
	if (st.st_uid != 0 ||
		(st.st_mode & (S_IWGRP | S_IWOTH))) /* someone could have changed it */
		return err_raise(-EPERM);
	*ret_dir = fd_take(&dir);
	return 0;
}
