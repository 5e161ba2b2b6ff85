/*
 * fts(3) keeps its stack on the heap and moves from directory to directory, checking each
 * time that it arrived where it meant to: neither a deep tree nor a long path is too much
 * for it, and a directory that is replaced by a link meanwhile is not followed.
 */
#include "os/tree.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is this the moment to show the entry? Directories come twice, and are shown when they end. */
static bool tree_is_due(const FTSENT *entry)
{
	return entry->fts_info != FTS_D && entry->fts_level > FTS_ROOTLEVEL;
}

static int tree_step(const FTSENT *entry, tree_fn *on_entry, void *context)
{
	if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
		return err_raise(-entry->fts_errno);
	return tree_is_due(entry) ? on_entry(context, entry->fts_accpath, entry->fts_statp) : 0;
}

int tree_walk(int dir, const char *name, tree_fn *on_entry, void *context)
{
	char *tops[] = { (char *)name, NULL };
	FTSENT *entry;
	int r = 0;

	if (fchdir(dir) < 0)
		return err_raise(-errno);
	FTS *fts = fts_open(tops, FTS_PHYSICAL | FTS_XDEV, NULL);
	if (!fts)
		return err_raise(-errno);
	while (r >= 0 && (errno = 0, entry = fts_read(fts)))
		r = tree_step(entry, on_entry, context);
	if (r >= 0 && errno)
		r = err_raise(-errno);
	(void)fts_close(fts);
	return fchdir(dir) < 0 ? err_raise(-errno) : r;
}

static int tree_unlink([[maybe_unused]] void *context, const char *name, const struct stat *st)
{
	int r = S_ISDIR(st->st_mode) ? rmdir(name) : unlink(name);

	return r < 0 && errno != ENOENT ? err_raise(-errno) : 0;
}

int tree_remove(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_raise(-errno);
	int r = tree_walk(dir, name, tree_unlink, NULL);
	if (r < 0)
		return err_pass(r);
	return unlinkat(dir, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0 ? err_raise(-errno)
									       : 0;
}

int tree_clear(int dir)
{
	return err_pass(tree_walk(dir, ".", tree_unlink, NULL));
}
