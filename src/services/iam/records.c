/*
 * Reading and changing the documents, and pages of lists.
 */
#include "services/iam/records.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/platform.h"
#include "store/docs.h"

#include <errno.h>

enum { TRIES_MAX = 64, PAGE_DEFAULT = 100 };

static int record_key(struct call *call, str name, str *ret_key)
{
	*ret_key = arena_strf(
		call->arena, STR_FMT "/" STR_FMT, STR_ARG(call->account), STR_ARG(name));
	return ret_key->at ? 0 : err_raise(-ENOMEM);
}

static int record_read(
	struct call *call, str kind, str key, json_t **ret_doc, uint64_t *ret_revision)
{
	struct buf text;

	buf_init(&text, DOCS_VALUE_MAX);
	int r = docs_get(call->platform->docs, kind, key, &text, ret_revision);
	if (r == DOCS_DONE && text.err)
		r = err_raise(text.err);
	if (r == DOCS_DONE) {
		*ret_doc = json_loadb(text.at, text.len, 0, NULL);
		r = *ret_doc ? RECORD_FOUND : err_raise(-EUCLEAN);
	} else if (r == DOCS_ABSENT) {
		r = RECORD_ABSENT;
	}
	buf_done(&text);
	return err_pass(r);
}

static int record_write(struct call *call, str kind, str key, const json_t *doc, uint64_t expect)
{
	char *text = json_dumps(doc, JSON_COMPACT);
	if (!text)
		return err_raise(-ENOMEM);

	const struct docs_write write = {
		.kind = kind, .key = key, .value = str_of(text), .expect = expect
	};
	int r = docs_write(call->platform->docs, &write, 1, NULL);
	mem_free(text);
	return err_pass(r);
}

int iam_no_such(struct call *call, str kind, str name)
{
	if (str_eq(kind, KIND_ROLE))
		return call_error(call, "NoSuchEntityException",
			"The role with name " STR_FMT " cannot be found.", STR_ARG(name));
	return call_error(call, "NoSuchEntityException",
		"Policy arn:aws:iam::" STR_FMT ":policy/" STR_FMT
		" does not exist or is not attachable.",
		STR_ARG(call->account), STR_ARG(name));
}

int iam_get(struct call *call, str kind, str name, json_t **ret_doc)
{
	str key;

	int r = record_key(call, name, &key);
	if (r == 0)
		r = record_read(call, kind, key, ret_doc, NULL);
	return err_pass(r);
}

int iam_create(struct call *call, str kind, str name, const json_t *doc)
{
	str key;

	int r = record_key(call, name, &key);
	if (r == 0)
		r = record_write(call, kind, key, doc, DOCS_NEW);
	if (r != DOCS_CONFLICT)
		return err_pass(r);
	if (str_eq(kind, KIND_ROLE))
		return call_error(call, "EntityAlreadyExistsException",
			"Role with name " STR_FMT " already exists.", STR_ARG(name));
	return call_error(call, "EntityAlreadyExistsException",
		"A policy called " STR_FMT " already exists. Duplicate names are not allowed.",
		STR_ARG(name));
}

/* One try; DOCS_CONFLICT when somebody else was faster. */
static int change_once(struct call *call, str kind, str key, iam_change_fn *change, bool is_delete,
	bool *ret_again)
{
	uint64_t revision;
	json_t *doc = NULL;

	int r = record_read(call, kind, key, &doc, &revision);
	if (r == RECORD_ABSENT)
		return iam_no_such(call, kind, str_from(key, call->account.len + 1));
	if (r == 0)
		r = change(call, doc);
	if (r == 0 && is_delete) {
		const struct docs_write write = { .kind = kind, .key = key, .expect = revision };
		r = docs_write(call->platform->docs, &write, 1, NULL);
		*ret_again = r == DOCS_CONFLICT;
	} else if (r == 0) {
		r = record_write(call, kind, key, doc, revision);
		*ret_again = r == DOCS_CONFLICT;
	}
	json_decref(doc);
	return *ret_again ? 0 : err_pass(r);
}

static int change_until_done(
	struct call *call, str kind, str name, iam_change_fn *change, bool is_delete)
{
	str key;

	int r = record_key(call, name, &key);
	for (int i = 0; r == 0 && i < TRIES_MAX; i++) {
		bool again = false;
		r = change_once(call, kind, key, change, is_delete, &again);
		if (!again)
			return err_pass(r);
	}
	return r ? err_pass(r)
		 : call_error(call, "ConcurrentModificationException",
			   "The entity is being changed by others. Try again.");
}

int iam_change(struct call *call, str kind, str name, iam_change_fn *change)
{
	return err_pass(change_until_done(call, kind, name, change, false));
}

int iam_delete(struct call *call, str kind, str name, iam_change_fn *may_delete)
{
	return err_pass(change_until_done(call, kind, name, may_delete, true));
}

/* --- lists --- */

static int list_add(void *context, str key, str value, uint64_t revision)
{
	(void)key;
	(void)revision;
	return json_array_append_new(context, json_loadb(value.at, value.len, 0, NULL));
}

int iam_list(struct call *call, str kind, json_t **ret_docs)
{
	json_t *docs = json_array();
	str prefix;

	int r = docs ? record_key(call, S(""), &prefix) : err_raise(-ENOMEM);
	if (r == 0)
		r = docs_list(call->platform->docs, kind, prefix, S(""), 0, list_add, docs);
	if (r < 0) {
		json_decref(docs);
		return err_pass(r);
	}
	*ret_docs = docs;
	return 0;
}

int iam_page(struct call *call, const json_t *elements, const char *member, iam_shape_fn *shape)
{
	str marker = call_str(call, "Marker");
	uint64_t from = 0, most = (uint64_t)call_int(call, "MaxItems", PAGE_DEFAULT);
	json_t *page = json_array();
	size_t i;

	if (marker.len && str_to_u64(marker, UINT32_MAX, &from) < 0) {
		json_decref(page);
		return call_error(
			call, "InvalidInputException", "Invalid Marker: " STR_FMT, STR_ARG(marker));
	}
	for (i = from; i < json_array_size(elements) && json_array_size(page) < most; i++) {
		json_t *element = shape(call, json_array_get(elements, i));
		if (element && json_array_append_new(page, element) < 0)
			break;
	}
	bool is_truncated = i < json_array_size(elements);
	int r = json_put(call->out, member, page);
	if (r == 0)
		r = json_put(call->out, "IsTruncated", json_boolean(is_truncated));
	if (r == 0 && is_truncated)
		r = json_put(call->out, "Marker", json_sprintf("%zu", i));
	return err_pass(r);
}

json_t *iam_as_it_is(struct call *call, const json_t *element)
{
	(void)call;
	return json_deep_copy(element);
}

int iam_role_get(struct call *call, json_t **ret_role)
{
	str name = call_str(call, "RoleName");

	int r = iam_get(call, KIND_ROLE, name, ret_role);
	return r == RECORD_ABSENT ? iam_no_such(call, KIND_ROLE, name) : err_pass(r);
}
