#include "os/tree.h"

#include "base/test.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/tree-test-XXXXXX";
static int top = -1;

static void begin(void)
{
	if (top < 0)
		top = mkdtemp(folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	CHECK(top >= 0);
	CHECK(tree_clear(top) == 0);
}

static void touch(const char *path)
{
	scoped_fd fd = openat(top, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
}

static bool is_there(const char *path)
{
	struct stat st;

	return fstatat(top, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static char seen[512];

static int note_name(void *context, const char *name, const struct stat *st)
{
	int *left = context;

	strncat(seen, name, sizeof(seen) - strlen(seen) - 1);
	strncat(seen, S_ISDIR(st->st_mode) ? "/ " : " ", sizeof(seen) - strlen(seen) - 1);
	return --*left ? 0 : -ECANCELED;
}

static void a_walk_shows_directories_after_what_is_in_them(void)
{
	int left = 100;

	begin();
	CHECK(mkdirat(top, "a", 0700) == 0 && mkdirat(top, "a/b", 0700) == 0);
	touch("a/b/c");
	seen[0] = '\0';
	CHECK(tree_walk(top, "a", note_name, &left) == 0);
	CHECK(!strcmp(seen, "c b/ "));
	left = 1;
	CHECK(tree_walk(top, "a", note_name, &left) == -ECANCELED);
	CHECK(tree_walk(top, "none", note_name, &left) == -ENOENT);
}

static void links_are_removed_and_not_followed(void)
{
	begin();
	CHECK(mkdirat(top, "kept", 0700) == 0 && mkdirat(top, "gone", 0700) == 0);
	touch("kept/file");
	CHECK(symlinkat("../kept", top, "gone/link") == 0);
	CHECK(symlinkat("/", top, "gone/root") == 0);
	CHECK(tree_remove(top, "gone") == 0);
	CHECK(!is_there("gone") && is_there("kept/file"));
	CHECK(symlinkat("kept", top, "link") == 0);
	CHECK(tree_remove(top, "link") == 0);
	CHECK(!is_there("link") && is_there("kept/file"));
}

static void what_is_not_there_is_removed_already(void)
{
	begin();
	CHECK(tree_remove(top, "none") == 0);
	touch("file");
	CHECK(tree_remove(top, "file") == 0 && !is_there("file"));
}

static void a_tree_deeper_than_any_path_is_removed(void)
{
	char name[201];
	int at = top;

	begin();
	memset(name, 'x', 200);
	name[200] = '\0';
	for (int depth = 0; depth < 40; depth++) { /* 8,000 characters: PATH_MAX is 4,096 */
		CHECK(mkdirat(at, name, 0700) == 0);
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (at != top)
			fd_close(&at);
		at = next;
	}
	fd_close(&at);
	CHECK(tree_remove(top, name) == 0 && !is_there(name));
}

static void many_entries_are_all_removed(void)
{
	char name[16];

	begin();
	CHECK(mkdirat(top, "many", 0700) == 0);
	for (int i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "many/%d", i);
		touch(name);
	}
	CHECK(tree_clear(top) == 0 && !is_there("many"));
	CHECK(rmdir(folder) == 0);
}

TESTS(TEST(a_walk_shows_directories_after_what_is_in_them),
	TEST(links_are_removed_and_not_followed), TEST(what_is_not_there_is_removed_already),
	TEST(a_tree_deeper_than_any_path_is_removed), TEST(many_entries_are_all_removed))
