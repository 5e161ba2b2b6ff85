#pragma once
/* Walking directories by descriptor: never through a symbolic link, never by a path. */
#include <stdbool.h>
#include <stddef.h>

enum { TREE_DEPTH_MAX = 64 };

/* Called for an entry of `dir`. A negative return ends the walk and is its result. */
typedef int tree_fn(void *context, int dir, const char *name, unsigned char type);

/* Call `on_entry` for each entry of one directory, in no order. */
[[nodiscard]] int tree_each(int dir, tree_fn *on_entry, void *context);

/*
 * Call `on_entry` for everything below `dir`, directories after what is in them. -ELOOP when
 * it is deeper than TREE_DEPTH_MAX, or what `on_entry` said, or a fault.
 */
[[nodiscard]] int tree_walk(int dir, tree_fn *on_entry, void *context);

/* Remove `name` in `dir` and everything below it. 0 also when there is no such thing. */
[[nodiscard]] int tree_remove(int dir, const char *name);
