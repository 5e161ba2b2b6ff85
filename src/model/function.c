/*
 * A version's snapshot is one block of text with views into it: every view of the source is appended to the
 * block first, then the views are pointed at their copies. So freeing is two frees, whatever it holds.
 */
#include "model/function.h"

#include "base/attr.h"
#include "base/mem.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

/* The members that are views, besides the environment. */
static const size_t function_views[] = {
	offsetof(struct function_version, account),
	offsetof(struct function_version, region),
	offsetof(struct function_version, name),
	offsetof(struct function_version, version),
	offsetof(struct function_version, revision),
	offsetof(struct function_version, arn),
	offsetof(struct function_version, runtime),
	offsetof(struct function_version, handler),
	offsetof(struct function_version, role),
	offsetof(struct function_version, log_group),
	offsetof(struct function_version, log_level_app),
	offsetof(struct function_version, log_level_system),
	offsetof(struct function_version, snapshot),
};

static str *function_view(struct function_version *version, size_t i)
{
	assert(i < ARRAY_LEN(function_views));
	return (str *)((char *)version + function_views[i]);
}

static size_t function_text_len(const struct function_version *from)
{
	struct function_version copy = { .env = NULL };
	size_t len = 0;

	memcpy(&copy, from, sizeof(copy));
	for (size_t i = 0; i < ARRAY_LEN(function_views); i++)
		len += function_view(&copy, i)->len;
	for (uint32_t i = 0; i < from->env_count; i++)
		len += from->env[i].len;
	return len;
}

/* Append what *view points at to the text and point it there. */
static void function_view_move(str *view, char **text)
{
	if (view->len)
		memcpy(*text, view->at, view->len);
	view->at = *text;
	*text += view->len;
}

struct function_version *function_version_new(const struct function_version *from)
{
	size_t text_len = function_text_len(from);
	size_t env_size = (from->env_count + 1) * sizeof(str);
	struct function_version *version = mem_one(struct function_version);
	char *block = mem_new(1, env_size + text_len);

	assert(from->layer_count <= ARRAY_LEN(from->layers));
	if (!version || !block) {
		mem_free(version);
		mem_free(block);
		return NULL;
	}
	memcpy(version, from, sizeof(*version));
	atomic_init(&version->refs, 1);
	version->memory = (str *)(void *)block;
	version->memory_count = 1;
	version->env = version->memory;

	char *text = block + env_size;
	for (size_t i = 0; i < ARRAY_LEN(function_views); i++)
		function_view_move(function_view(version, i), &text);
	for (uint32_t i = 0; i < from->env_count; i++) {
		version->env[i] = from->env[i];
		function_view_move(&version->env[i], &text);
	}
	assert(text == block + env_size + text_len);
	return version;
}

struct function_version *function_version_ref(struct function_version *version)
{
	unsigned before = atomic_fetch_add_explicit(&version->refs, 1, memory_order_relaxed);

	assert(before > 0); /* nothing comes back from the dead */
	return version;
}

void function_version_unref(struct function_version *version)
{
	if (!version)
		return;
	unsigned before = atomic_fetch_sub_explicit(&version->refs, 1, memory_order_acq_rel);
	assert(before > 0);
	if (before > 1)
		return;
	mem_free(version->memory);
	mem_free(version);
}

void function_target_free(struct function_target *target)
{
	if (!target)
		return;
	function_version_unref(target->version);
	function_version_unref(target->other);
	mem_free(target);
}
