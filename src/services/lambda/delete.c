/*
 * DeleteFunction. The function's own document goes first, in one write with its reservation; from then on nobody finds
 * what is below it, because that is keyed by the function's id. The rest (any number of versions, aliases, policies) follows
 * in batches; a document of the kind lambda.deleted remembers it until it is done, whatever happens to the process.
 */
#include "services/lambda/delete.h"

#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "model/arn.h"
#include "services/lambda/code.h"
#include "services/lambda/operations.h"
#include "services/lambda/provisioned.h"
#include "services/lambda/reserved.h"
#include "services/lambda/signing.h"

#include <assert.h>
#include <errno.h>

enum { DELETE_PAGE = 4, DELETE_ARENA_MAX = 1024 * 1024 };

static_assert(DELETE_PAGE * (1 + LAMBDA_CODE_WRITES) <= DOCS_BATCH_MAX);

/* --- the rest --- */

struct delete_keys {
	struct arena *arena;
	str keys[DELETE_PAGE];
	size_t count;
};

static int delete_keys_each(void *context, str key, str value, uint64_t revision)
{
	struct delete_keys *keys = context;

	(void)value;
	(void)revision;
	keys->keys[keys->count] = arena_str(keys->arena, key);
	keys->count += keys->keys[keys->count].at != NULL;
	return keys->count == DELETE_PAGE;
}

/* What a document has elsewhere goes with it: a version leaves its code and layers, a URL its address. */
static int delete_with(
	struct batch *batch, const struct function_record *function, str kind, str key)
{
	json_auto_t *doc = NULL;
	bool is_version = str_eq(kind, KIND_VERSION), is_url = str_eq(kind, KIND_URL);

	int r = is_version || is_url ? record_get(function->scope, kind, key, &doc, NULL) : 0;
	if (r < 0)
		return err_pass(r);
	const json_t *config = json_object_get(doc, "Config");
	if (config)
		lambda_code_leave(batch, function, config, json_get_str(config, "Version"));
	if (is_url && doc) {
		str id = arena_str(function->scope->arena, json_get_str(doc, "Id"));
		batch_delete(batch, KIND_URL_OWNER, id, DOCS_ANY);
	}
	batch_delete(batch, kind, key, DOCS_ANY);
	return 0;
}

/* One page of a kind: true in *ret_more when there may be another. */
static int delete_page(const struct function_record *function, str kind, bool *ret_more)
{
	struct delete_keys keys = { .arena = function->scope->arena };
	struct batch batch = { .scope = function->scope };
	str prefix = record_child_key(function, S(""));

	if (!prefix.at)
		return err_raise(-ENOMEM);
	int r = docs_list(function->scope->platform->docs, kind, prefix, S(""), DELETE_PAGE,
		delete_keys_each, &keys);
	for (size_t i = 0; r == 0 && i < keys.count; i++)
		r = delete_with(&batch, function, kind, keys.keys[i]);
	if (r == 0 && batch.count)
		r = batch_commit(&batch);
	if (r < 0)
		return err_pass(r);
	*ret_more = keys.count == DELETE_PAGE;
	return 0;
}

/* All that is below the function, and at last the note that it is there. */
static int delete_rest(const struct function_record *function)
{
	const str kinds[] = { KIND_VERSION, KIND_ALIAS, KIND_POLICY, KIND_URL, KIND_EVENT_INVOKE };
	struct batch batch = { .scope = function->scope };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		for (bool more = true; more;) {
			int r = delete_page(function, kinds[i], &more);
			if (r < 0)
				return err_pass(r);
		}
	batch_delete(&batch, KIND_DELETED, record_child_key(function, S("")), DOCS_ANY);
	return err_pass(batch_commit(&batch));
}

/* account/region/name/id/ */
static int delete_leftover(struct platform *platform, str key)
{
	struct arena arena;
	struct lambda_scope scope = { .platform = platform, .arena = &arena };
	struct function_record function = { .scope = &scope };
	str rest = key;

	if (!str_cut(&rest, '/', &scope.account) || !str_cut(&rest, '/', &scope.region) ||
		!str_cut(&rest, '/', &function.name) || !str_cut(&rest, '/', &function.id))
		return err_raise(-EBADMSG);
	arena_init(&arena, DELETE_ARENA_MAX);
	int r = delete_rest(&function);
	arena_done(&arena);
	return err_pass(r);
}

int lambda_delete_leftovers(struct platform *platform)
{
	struct arena arena;
	int r;

	arena_init(&arena, DELETE_ARENA_MAX);
	for (bool more = true; more;) {
		struct delete_keys keys = { .arena = &arena };
		r = docs_list(platform->docs, KIND_DELETED, S(""), S(""), DELETE_PAGE,
			delete_keys_each, &keys);
		for (size_t i = 0; r == 0 && i < keys.count; i++)
			r = delete_leftover(platform, keys.keys[i]);
		more = r == 0 && keys.count == DELETE_PAGE;
	}
	arena_done(&arena);
	return err_pass(r);
}

/* --- the whole function --- */

static int delete_function_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *mark = json_pack("{s:i}", "Schema", RECORD_SCHEMA);
	struct batch batch = { .scope = &ref->scope };
	str key = record_account_key(&ref->scope, ref->name);
	bool had_seats = false;

	(void)context;
	int r = lambda_function_read(call, ref, S(""), &function);
	if (r == 0)
		r = lambda_reserved_forget(&batch, ref->name, &had_seats);
	if (r)
		return err_pass(r);
	batch_delete(&batch, KIND_FUNCTION, key, function.revision);
	batch_delete(&batch, KIND_UNSETTLED, key, DOCS_ANY);
	lambda_code_leave(&batch, &function, function.latest, S("$LATEST"));
	lambda_signing_forget(&batch, &function);
	batch_put(&batch, KIND_DELETED, record_child_key(&function, S("")), mark, DOCS_NEW);
	r = lambda_commit(&batch, ref->name);
	if (r == 0 && had_seats)
		r = lambda_reserved_tell(&ref->scope);
	if (r == 0 && had_seats)
		r = lambda_provision_tell(&ref->scope, ref->name);
	return r ? err_pass(r) : err_pass(delete_rest(&function));
}

/* --- one version --- */

static bool delete_is_routed(const json_t *alias, str version)
{
	const json_t *weights = json_object_get(
		json_object_get(alias, "RoutingConfig"), "AdditionalVersionWeights");

	return str_eq(json_get_str(alias, "FunctionVersion"), version) ||
		tree_get(weights, version);
}

/* "You can't delete a function version that an alias references." */
static int delete_refuse_aliased(
	struct call *call, const struct function_record *function, str version)
{
	json_auto_t *aliases = json_array();
	struct buf names;
	size_t i;
	json_t *doc;

	int r = aliases ? record_list(function, KIND_ALIAS, S(""), 0, aliases) : err_raise(-ENOMEM);
	if (r < 0)
		return err_pass(r);
	buf_init(&names, 4096);
	json_array_foreach(aliases, i, doc)
	{
		const json_t *alias = json_object_get(doc, "Alias");
		if (!delete_is_routed(alias, version))
			continue;
		buf_put(&names, names.len ? S(", ") : S(""));
		buf_put(&names, json_get_str(alias, "Name"));
	}
	if (names.len)
		r = lambda_refuse(call, CONFLICT,
			"Unable to delete version because the following aliases reference it: [" STR_FMT
			"]",
			STR_ARG(buf_str(&names)));
	buf_done(&names);
	return r;
}

static int delete_version_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	json_t *config;
	struct batch batch = { .scope = &ref->scope };
	uint64_t number;

	(void)context;
	int r = lambda_function_read(call, ref, S(""), &function);
	if (r)
		return err_pass(r);
	r = lambda_version_read(&function, ref->qualifier, &doc, &config);
	if (r == RECORD_ABSENT)
		return 0; /* there is nothing to do */
	if (r == RECORD_FOUND)
		r = delete_refuse_aliased(call, &function, ref->qualifier);
	if (r)
		return err_pass(r);
	r = str_to_u64(ref->qualifier, RECORD_VERSION_MAX, &number);
	if (r < 0)
		return err_pass(r);
	batch_delete(&batch, KIND_VERSION, record_version_key(&function, number), DOCS_ANY);
	batch_delete(&batch, KIND_POLICY, record_child_key(&function, ref->qualifier), DOCS_ANY);
	batch_delete(
		&batch, KIND_EVENT_INVOKE, record_child_key(&function, ref->qualifier), DOCS_ANY);
	lambda_code_leave(&batch, &function, config, ref->qualifier);
	batch_put_function(&batch, &function);
	r = lambda_provision_drop(&batch, ref->name, ref->qualifier);
	if (r == 0)
		r = lambda_commit(&batch, ref->name);
	if (r == 0)
		r = lambda_reserved_tell(&ref->scope);
	return r ? err_pass(r) : err_pass(lambda_provision_tell(&ref->scope, ref->name));
}

/* What is neither a version nor an alias: nothing of the name can exist, so only the function can be missed. */
static int delete_nothing(struct call *call, const struct lambda_ref *ref)
{
	scoped_function function = {};

	int r = lambda_function_read(call, ref, S(""), &function);
	if (r)
		return err_pass(r);
	if (str_eq(ref->qualifier, S("$LATEST")))
		return lambda_refuse(call, INVALID,
			"$LATEST version cannot be deleted without deleting the function.");
	return lambda_not_found(call, ref, ref->qualifier);
}

int lambda_delete_function(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r)
		return err_pass(r);
	bool is_odd = str_find(ref.qualifier, '$') >= 0 || str_find(ref.qualifier, '.') >= 0;
	if (ref.qualifier.len == 0)
		r = lambda_retry(call, &ref, delete_function_once, NULL);
	else if (is_odd)
		r = delete_nothing(call, &ref);
	else if (qualifier_kind(ref.qualifier) == QUALIFIER_VERSION)
		r = lambda_retry(call, &ref, delete_version_once, NULL);
	else
		return lambda_refuse(
			call, INVALID, "Deletion of aliases is not currently supported.");
	if (r)
		return err_pass(r);
	call->status = 204;
	lambda_code_sweep_sometimes(call->platform);
	return 0;
}
