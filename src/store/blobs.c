/*
 *	blobs/
 *	  tmp/UUID        being written; emptied at open (whoever wrote there is dead)
 *	  ab/abcdef…      a blob named by its digest in hex, below its first byte
 *
 * A blob is written whole under tmp/, synced, and renamed to its name, so a name either is not
 * there or holds everything. The rename replaces what has the name already: it has the same
 * contents, unless the disk has rotted, and then that is the cure. The folder is synced before
 * blobs_keep() returns.
 *
 * O_TMPFILE with linkat() would leave nothing to empty, but linkat() cannot replace, and not
 * every file system has it.
 *
 * Everything goes through the descriptor of the directory: moving it away does no harm.
 */
#include "store/blobs.h"

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "os/fd.h"
#include "os/random.h"
#include "wire/digest.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BLOBS_CHUNK = 64 * 1024,
	BLOBS_HEX_LEN = 64,
	BLOBS_FOLDER_LEN = 2,
	BLOBS_PATH_MAX = BLOBS_FOLDER_LEN + 1 + BLOBS_HEX_LEN + 1, /* "ab/abcdef…" and the NUL */
};

struct blobs {
	int dir;
	_Atomic bool
		is_durable[256]; /* is the folder of this first byte known to be on the disk? */
};

static int blobs_sync_dir(int at, const char *path)
{
	scoped_fd dir = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fsync(dir) < 0)
		return err_raise(-errno);
	return 0;
}

/* Make a folder if missing, and its name durable. */
static int blobs_make_dir(int at, const char *path)
{
	if (mkdirat(at, path, 0700) < 0)
		return errno == EEXIST ? 0 : err_raise(-errno);
	return err_pass(blobs_sync_dir(at, "."));
}

/* Unlink all files of a folder that is there or not. */
static int blobs_empty_dir(int at, const char *path)
{
	scoped_fd fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_raise(-errno);
	DIR *dir = fdopendir(fd);
	if (!dir)
		return err_raise(-errno);
	(void)fd_take(&fd); /* closed with `dir` */

	int r = 0;
	for (struct dirent *entry; r == 0 && (entry = readdir(dir));) {
		if (str_eq(str_of(entry->d_name), S(".")) || str_eq(str_of(entry->d_name), S("..")))
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != ENOENT)
			r = err_raise(-errno);
	}
	closedir(dir);
	return err_pass(r);
}

int blobs_open(const char *path, struct blobs **ret_blobs)
{
	assert(path && ret_blobs);
	int r = blobs_make_dir(AT_FDCWD, path);
	if (r < 0)
		return err_pass(r);
	scoped_fd dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_raise(-errno);

	r = blobs_make_dir(dir, "tmp");
	if (r == 0)
		r = blobs_empty_dir(dir, "tmp");
	if (r < 0)
		return err_pass(r);

	struct blobs *blobs = mem_one(struct blobs);
	if (!blobs)
		return err_raise(-ENOMEM);
	blobs->dir = fd_take(&dir);
	*ret_blobs = blobs;
	return 0;
}

void blobs_close(struct blobs *blobs)
{
	if (!blobs)
		return;
	fd_close(&blobs->dir);
	mem_free(blobs);
}

/* "ab/abcdef…" */
static void blobs_path(char path[static BLOBS_PATH_MAX], const uint8_t digest[static 32])
{
	struct buf out = { .at = path, .size = BLOBS_PATH_MAX - 1, .ceiling = BLOBS_PATH_MAX - 1 };

	hex_put(&out, (str){ (const char *)digest, 1 });
	buf_put_char(&out, '/');
	hex_put(&out, (str){ (const char *)digest, 32 });
	assert(!out.err && out.len == BLOBS_PATH_MAX - 1);
	path[out.len] = '\0';
}

/* Copy `from`, whole, by pread, into the digest too. */
static int blobs_copy(int from, int to, struct digest *digest, uint64_t *ret_size)
{
	scoped_mem char *chunk = mem_new(1, BLOBS_CHUNK);
	if (!chunk)
		return err_raise(-ENOMEM);

	for (off_t at = 0;;) {
		ssize_t got = pread(from, chunk, BLOBS_CHUNK, at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_raise(-errno);
		if (got == 0) {
			*ret_size = (uint64_t)at;
			return 0;
		}
		const str bytes = { chunk, (size_t)got };
		digest_feed(digest, bytes);
		int r = fd_write_all(to, bytes);
		if (r < 0)
			return err_pass(r);
		at += got;
	}
}

/* The folder of a blob, also on the disk. */
static int blobs_make_folder(struct blobs *blobs, const uint8_t digest[static 32])
{
	char path[BLOBS_PATH_MAX];

	blobs_path(path, digest);
	path[BLOBS_FOLDER_LEN] = '\0';
	if (mkdirat(blobs->dir, path, 0700) < 0 && errno != EEXIST)
		return err_raise(-errno);
	/* The folder may be another thread's, just made and not yet synced: the first to have synced it says so. */
	if (atomic_load(&blobs->is_durable[digest[0]]))
		return 0;
	int r = blobs_sync_dir(blobs->dir, ".");
	if (r == 0)
		atomic_store(&blobs->is_durable[digest[0]], true);
	return err_pass(r);
}

/* Give the synced file tmp/… its name for good. */
static int blobs_name(struct blobs *blobs, const char *tmp, const uint8_t digest[static 32])
{
	char path[BLOBS_PATH_MAX];

	blobs_path(path, digest);
	if (renameat(blobs->dir, tmp, blobs->dir, path) < 0)
		return err_raise(-errno);
	path[BLOBS_FOLDER_LEN] = '\0';
	return err_pass(blobs_sync_dir(blobs->dir, path));
}

int blobs_draft(struct blobs *blobs, int fd, struct blob_draft *ret_draft)
{
	struct blob_draft draft = { .blobs = blobs };
	char uuid[UUID_LEN + 1];

	assert(blobs && fd >= 0);
	random_uuid(uuid);
	(void)snprintf(draft.name, sizeof(draft.name), "tmp/%s", uuid);
	draft.fd = openat(blobs->dir, draft.name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (draft.fd < 0)
		return err_raise(-errno);

	struct digest *digest = digest_begin();
	int r = digest ? blobs_copy(fd, draft.fd, digest, &draft.size) : err_raise(-ENOMEM);
	digest_end(digest, draft.digest);
	if (r < 0) {
		blobs_draft_done(&draft);
		return err_pass(r);
	}
	/* A head start for blobs_sync(), no more: who cannot have it waits there. */
	(void)sync_file_range(draft.fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	*ret_draft = draft;
	return 0;
}

int blobs_sync(struct blob_draft *draft)
{
	assert(draft && draft->blobs);
	if (draft->is_synced || draft->err)
		return err_pass(draft->err);
	if (fsync(draft->fd) < 0)
		draft->err = err_raise(-errno);
	if (!draft->err)
		draft->err = blobs_make_folder(draft->blobs, draft->digest);
	draft->is_synced = !draft->err;
	return err_pass(draft->err);
}

int blobs_keep(struct blob_draft *draft)
{
	int r = blobs_sync(draft);

	return r < 0 ? err_pass(r) : err_pass(blobs_name(draft->blobs, draft->name, draft->digest));
}

void blobs_draft_done(struct blob_draft *draft)
{
	if (!draft->blobs)
		return;
	(void)unlinkat(draft->blobs->dir, draft->name, 0); /* not there any more when it was kept */
	fd_close(&draft->fd);
	draft->blobs = NULL;
}

int blobs_put(struct blobs *blobs, int fd, uint8_t ret_digest[static 32], uint64_t *ret_size)
{
	struct blob_draft draft;

	int r = blobs_draft(blobs, fd, &draft);
	if (r < 0)
		return err_pass(r);
	r = blobs_keep(&draft);
	memcpy(ret_digest, draft.digest, sizeof(draft.digest));
	*ret_size = draft.size;
	blobs_draft_done(&draft);
	return err_pass(r);
}

int blobs_get(struct blobs *blobs, const uint8_t digest[static 32], int *ret_fd, uint64_t *ret_size)
{
	char path[BLOBS_PATH_MAX];
	uint8_t found[32];
	uint64_t size;

	assert(blobs && ret_fd && ret_size);
	blobs_path(path, digest);
	scoped_fd fd = openat(blobs->dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? BLOBS_ABSENT : err_raise(-errno);

	int r = digest_sha256_file(fd, found, &size);
	if (r < 0)
		return err_pass(r);
	if (memcmp(found, digest, sizeof(found)) != 0)
		return err_raise(-EUCLEAN); /* the disk has not kept it */
	*ret_fd = fd_take(&fd);
	*ret_size = size;
	return BLOBS_DONE;
}

int blobs_drop(struct blobs *blobs, const uint8_t digest[static 32])
{
	char path[BLOBS_PATH_MAX];

	assert(blobs);
	blobs_path(path, digest);
	if (unlinkat(blobs->dir, path, 0) < 0)
		return errno == ENOENT ? BLOBS_ABSENT : err_raise(-errno);
	return BLOBS_DONE;
}

int blobs_wipe(struct blobs *blobs)
{
	assert(blobs);
	for (unsigned i = 0; i < 256; i++) {
		char folder[BLOBS_FOLDER_LEN + 1];
		(void)snprintf(folder, sizeof(folder), "%02x", i);
		int r = blobs_empty_dir(blobs->dir, folder);
		if (r < 0)
			return err_pass(r);
	}
	return 0;
}
