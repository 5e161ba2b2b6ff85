#pragma once
/* Whole directory trees. They never follow a symbolic link or leave the file system. */

struct stat;

/*
 * Called for everything below the top, directories after what is in them, with a name that is
 * valid in the working directory at that moment. A negative return ends the walk.
 */
typedef int tree_fn(void *context, const char *name, const struct stat *st);

/*
 * Walk through `name` in `dir`. 0, or what `on_entry` said, or a fault. Changes the working
 * directory (it ends in `dir`) and allocates: for throwaway processes, start and end.
 */
[[nodiscard]] int tree_walk(int dir, const char *name, tree_fn *on_entry, void *context);

/* Remove `name` in `dir` and everything below it; as tree_walk(). 0 also when there is no such thing. */
[[nodiscard]] int tree_remove(int dir, const char *name);

/* Remove everything in `dir`, but not itself; as tree_walk(). */
[[nodiscard]] int tree_clear(int dir);
