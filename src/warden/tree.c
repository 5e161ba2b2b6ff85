/*
 * An explicit stack of open directories instead of recursion: the depth of a tree is
 * somebody else's choice. Each level remembers where it stopped reading (d_off), so one
 * small buffer serves all of them and nothing is allocated.
 */
#include "warden/tree.h"

#include "base/err.h"
#include "os/fd.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TREE_READ = 4096, TREE_OPEN = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static bool tree_is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* Some file systems do not tell the type in the directory. */
static int tree_type(int dir, const struct dirent64 *entry, unsigned char *ret_type)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN) {
		*ret_type = entry->d_type;
		return 0;
	}
	if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_raise(-errno);
	*ret_type = IFTODT(st.st_mode);
	return 0;
}

int tree_each(int dir, tree_fn *on_entry, void *context)
{
	_Alignas(struct dirent64) char block[TREE_READ];

	if (lseek(dir, 0, SEEK_SET) < 0)
		return err_raise(-errno);
	for (;;) {
		ssize_t len = getdents64(dir, block, sizeof(block));
		if (len <= 0)
			return len < 0 ? err_raise(-errno) : 0;
		for (ssize_t at = 0; at < len;) {
			struct dirent64 *entry = (struct dirent64 *)(block + at);
			unsigned char type;
			at += entry->d_reclen;
			if (tree_is_dots(entry->d_name))
				continue;
			int r = tree_type(dir, entry, &type);
			if (r == 0)
				r = on_entry(context, dir, entry->d_name, type);
			if (r < 0)
				return r;
		}
	}
}

struct tree_level {
	int fd;
	off64_t next;	/* where to go on reading */
	char name[256]; /* in the level above */
};

struct tree {
	struct tree_level levels[TREE_DEPTH_MAX];
	int depth;
};

static int tree_descend(struct tree *tree, int dir, const char *name)
{
	if (tree->depth == TREE_DEPTH_MAX)
		return err_raise(-ELOOP);
	int fd = openat(dir, name, TREE_OPEN);
	if (fd < 0)
		return err_raise(-errno);

	struct tree_level *level = &tree->levels[tree->depth++];
	level->fd = fd;
	level->next = 0;
	strncpy(level->name, name, sizeof(level->name) - 1);
	level->name[sizeof(level->name) - 1] = '\0';
	return 0;
}

/* The next entry of the deepest level: 1 with *entry and *type, 0 at its end. */
static int tree_next(
	struct tree *tree, void *block, struct dirent64 **ret_entry, unsigned char *type)
{
	struct tree_level *level = &tree->levels[tree->depth - 1];

	for (;;) {
		if (lseek(level->fd, level->next, SEEK_SET) < 0)
			return err_raise(-errno);
		/* Only the first entry is used: the rest is read again from its d_off. */
		ssize_t len = getdents64(level->fd, block, 512);
		if (len <= 0)
			return len < 0 ? err_raise(-errno) : 0;
		for (ssize_t at = 0; at < len;) {
			struct dirent64 *entry = (struct dirent64 *)((char *)block + at);
			at += entry->d_reclen;
			level->next = entry->d_off;
			if (tree_is_dots(entry->d_name))
				continue;
			int r = tree_type(level->fd, entry, type);
			*ret_entry = entry;
			return r < 0 ? r : 1;
		}
	}
}

/* One entry, or the end of one level. 1 when the walk is over. */
static int tree_step(struct tree *tree, tree_fn *on_entry, void *context)
{
	_Alignas(struct dirent64) char block[512];
	struct dirent64 *entry;
	unsigned char type;
	struct tree_level *level = &tree->levels[tree->depth - 1];

	int r = tree_next(tree, block, &entry, &type);
	if (r < 0)
		return r;
	if (r == 1 && type == DT_DIR)
		return tree_descend(tree, level->fd, entry->d_name);
	if (r == 1)
		return on_entry(context, level->fd, entry->d_name, type);
	fd_close(&level->fd);
	tree->depth--;
	if (tree->depth == 0)
		return 1;
	return on_entry(context, tree->levels[tree->depth - 1].fd, level->name, DT_DIR);
}

int tree_walk(int dir, tree_fn *on_entry, void *context)
{
	struct tree tree = {};

	int r = tree_descend(&tree, dir, ".");
	while (r == 0)
		r = tree_step(&tree, on_entry, context);
	while (tree.depth > 0)
		fd_close(&tree.levels[--tree.depth].fd);
	return r < 0 ? r : 0;
}

static int tree_unlink(
	[[maybe_unused]] void *context, int dir, const char *name, unsigned char type)
{
	return unlinkat(dir, name, type == DT_DIR ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
}

int tree_remove(int dir, const char *name)
{
	scoped_fd top = openat(dir, name, TREE_OPEN);
	if (top < 0 && errno == ENOENT)
		return 0;
	if (top < 0 && (errno == ENOTDIR || errno == ELOOP))
		return unlinkat(dir, name, 0) < 0 ? err_raise(-errno) : 0;
	if (top < 0)
		return err_raise(-errno);

	/* A file system may skip an entry while its neighbours are removed: look twice more. */
	for (int left = 3; left > 0; left--) {
		int r = tree_walk(top, tree_unlink, NULL);
		if (r < 0 && r != -ENOTEMPTY)
			return err_pass(r);
		if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
			return 0;
		if (errno != ENOTEMPTY)
			break;
	}
	return err_raise(-errno);
}
