/* Thin on purpose: jansson holds the data, this only remembers that it could not. */
#include "services/lambda/tree.h"

#include "aws/call.h"
#include "base/err.h"

#include <errno.h>

static bool tree_ready(struct tree *tree)
{
	if (!tree->err && !tree->at)
		tree->err = err_raise(-ENOMEM);
	return !tree->err;
}

void tree_put(struct tree *tree, const char *name, json_t *value)
{
	if (!tree_ready(tree)) {
		json_decref(value);
		return;
	}
	/* Takes the value in any case, and refuses NULL. */
	if (json_object_set_new_nocheck(tree->at, name, value) < 0)
		tree->err = err_raise(-ENOMEM);
}

void tree_put_str(struct tree *tree, const char *name, str value)
{
	tree_put(tree, name, json_from_str(value));
}

void tree_put_text(struct tree *tree, const char *name, const char *value)
{
	tree_put(tree, name, json_string(value));
}

void tree_put_int(struct tree *tree, const char *name, int64_t value)
{
	tree_put(tree, name, json_integer(value));
}

void tree_put_bool(struct tree *tree, const char *name, bool value)
{
	tree_put(tree, name, json_boolean(value));
}

void tree_copy(struct tree *tree, const char *name, const json_t *value)
{
	if (value)
		tree_put(tree, name, json_deep_copy(value));
}

void tree_drop(struct tree *tree, const char *name)
{
	if (tree_ready(tree))
		(void)json_object_del(tree->at, name); /* absent is fine */
}

struct tree tree_object(struct tree *tree, const char *name)
{
	tree_put(tree, name, json_object());
	if (tree->err)
		return (struct tree){ .err = tree->err };
	return (struct tree){ .at = json_object_get(tree->at, name) };
}

void tree_add(struct tree *tree, json_t *value)
{
	if (!tree_ready(tree)) {
		json_decref(value);
		return;
	}
	if (json_array_append_new(tree->at, value) < 0)
		tree->err = err_raise(-ENOMEM);
}

void tree_join(struct tree *tree, const struct tree *inner)
{
	if (!tree->err)
		tree->err = inner->err;
}

json_t *tree_get(const json_t *object, str name)
{
	const char *key;
	json_t *value;

	json_object_foreach(
		(json_t *)object, key, value) if (str_eq(str_of(key), name)) return value;
	return NULL;
}
