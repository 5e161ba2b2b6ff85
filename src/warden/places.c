/*
 *   DATA          0711 root     passed through, not listed
 *   DATA/router   0700 router   databases, the ZIPs
 *   DATA/code     0700 root     HEX/ per digest; sandboxes see only what is bound for them
 *   DATA/code/tmp 0700 root     being unpacked, being removed; empty after every start
 *   DATA/root     0700 root     always empty: each jail mounts its root here, in its own namespace
 *
 * The warden's lock keeps a second one out. The janitor's is for the time after a warden was
 * killed: the next must not start while the janitor still removes what it thinks is left over.
 */
#include "warden/places.h"

#include "base/err.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

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
	const struct dir_spec data = { boot->data_dir, 0, 0711 }, code = { "code", 0, 0700 },
			      tmp = { "tmp", 0, 0700 }, root = { "root", 0, 0700 },
			      router = { "router", boot->router_uid, 0700 };
	scoped_fd unused = -1;

	int r = dir_make_parents(AT_FDCWD, boot->data_dir);
	if (r == 0)
		r = dir_open(AT_FDCWD, &data, &places->data);
	if (r == 0)
		r = dir_open(places->data, &router, &places->router);
	if (r == 0)
		r = dir_open(places->data, &root, &unused);
	if (r == 0)
		r = dir_open(places->data, &code, &places->code);
	if (r == 0)
		r = dir_open(places->code, &tmp, &places->tmp);
	return err_pass(r);
}

int places_open(const struct warden_boot *boot, struct places *ret_places)
{
	struct places places = {};

	int r = places_open_dirs(boot, &places);
	if (r < 0)
		return err_pass(r);
	r = file_open_lock(places.data, "warden.lock", &places.lock);
	if (r < 0)
		return r == -EAGAIN ? PLACES_TAKEN : err_pass(r);
	/* Bounded: the janitor gives up on what it cannot remove within seconds. */
	scoped_fd janitor = -1;
	r = file_open_lock_to_pass(places.data, JANITOR_LOCK, &janitor);
	if (r == 0)
		r = tree_clear(places.tmp);
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
	char name[DIGEST_HEX_SIZE];
	scoped_fd dir = -1;
	struct stat st;

	places_hex(digest, name);
	int r = dir_open_beneath(code, name, &dir);
	if (r < 0)
		return r == -ENOENT ? r : err_pass(r);
	if (fstat(dir, &st) < 0)
		return err_raise(-errno);
	if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH))) /* could have been changed */
		return err_raise(-EPERM);
	*ret_dir = fd_take(&dir);
	return 0;
}
