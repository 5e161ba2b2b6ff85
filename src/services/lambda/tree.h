#pragma once
/*
 * Writing a JSON object straight down: the writer keeps its first error, so that a handler looks once at the end.
 */
#include "base/str.h"

#include <jansson.h>

struct tree {
	json_t *at; /* borrowed */
	int err;    /* 0, or the first fault; sticky */
};

/* Set a member; the value is taken, and NULL (no memory) is a fault. */
void tree_put(struct tree *tree, const char *name, json_t *value);
void tree_put_str(struct tree *tree, const char *name, str value);
void tree_put_text(struct tree *tree, const char *name, const char *value);
void tree_put_int(struct tree *tree, const char *name, int64_t value);
void tree_put_bool(struct tree *tree, const char *name, bool value);

/* Set a member to a deep copy of `value`, which is borrowed; NULL does nothing. */
void tree_copy(struct tree *tree, const char *name, const json_t *value);

/* Take a member away, if there is one. */
void tree_drop(struct tree *tree, const char *name);

/* A new empty object as a member, to write into. After an error its `at` is NULL and writing does nothing. */
struct tree tree_object(struct tree *tree, const char *name);

/* Append to a list; the value is taken, and NULL is a fault. */
void tree_add(struct tree *tree, json_t *value);

/* Hand the error of an inner tree on to the outer one. */
void tree_join(struct tree *tree, const struct tree *inner);

/* A member by a name that is not NUL-terminated: borrowed, or NULL. */
json_t *tree_get(const json_t *object, str name);
