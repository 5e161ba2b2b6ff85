/*
 * PutFunctionConcurrency, its get and delete, and GetAccountSettings.
 *
 * "Lambda always keeps 100 unreserved": the sum of all reservations is checked and written under the revision of the one
 * document that holds them, so two calls at the same time cannot both take the last ones.
 */
#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "model/limits.h"
#include "services/lambda/layers.h"
#include "services/lambda/names.h"
#include "services/lambda/operations.h"
#include "services/lambda/reserved.h"
#include "services/lambda/tree.h"

#include <errno.h>

/* --- the document --- */

static str reserved_key(const struct lambda_scope *scope)
{
	return arena_strf(
		scope->arena, STR_FMT "/" STR_FMT, STR_ARG(scope->account), STR_ARG(scope->region));
}

int lambda_reserved_get(const struct lambda_scope *scope, json_t **ret_doc, uint64_t *ret_revision)
{
	int r = record_get(scope, KIND_RESERVED, reserved_key(scope), ret_doc, ret_revision);

	if (r != RECORD_ABSENT)
		return err_pass(r);
	json_t *doc = json_pack("{s:i,s:{}}", "Schema", RECORD_SCHEMA, "Functions");
	if (!doc)
		return err_raise(-ENOMEM);
	*ret_doc = doc;
	*ret_revision = DOCS_NEW;
	return 0;
}

int64_t lambda_reserved_of(const json_t *doc, str name)
{
	const json_t *entry = tree_get(json_object_get(doc, "Functions"), name);

	return entry ? json_integer_value(entry) : -1;
}

const json_t *lambda_provisioned_of(const json_t *doc, str name)
{
	return tree_get(json_object_get(doc, "Provisioned"), name);
}

static int64_t provisioned_sum(const json_t *provisioned, str without)
{
	int64_t sum = 0;
	const char *qualifier;
	json_t *entry;

	json_object_foreach((json_t *)provisioned, qualifier, entry)
	{
		if (!str_eq(str_of(qualifier), without))
			sum += json_integer_value(json_object_get(entry, "Requested"));
	}
	return sum;
}

int64_t lambda_provisioned_sum(const json_t *doc, str name, str without)
{
	return provisioned_sum(lambda_provisioned_of(doc, name), without);
}

int64_t lambda_reserved_sum(const json_t *doc, str without)
{
	json_t *functions = json_object_get(doc, "Functions");
	int64_t sum = 0;
	const char *name;
	json_t *value;

	json_object_foreach(functions, name, value)
	{
		if (!str_eq(str_of(name), without))
			sum += json_integer_value(value);
	}
	json_object_foreach(json_object_get(doc, "Provisioned"), name, value)
	{
		if (!str_eq(str_of(name), without) && !json_object_get(functions, name))
			sum += provisioned_sum(value, S(""));
	}
	return sum;
}

static int reserved_put(
	struct tree *functions, const struct lambda_scope *scope, str name, int64_t amount)
{
	str key = arena_str(scope->arena, name); /* ended by a NUL */

	if (!key.at)
		return err_raise(-ENOMEM);
	if (amount < 0)
		tree_drop(functions, key.at);
	else
		tree_put_int(functions, key.at, amount);
	return err_pass(functions->err);
}

int lambda_reserved_set(
	struct batch *batch, json_t *doc, uint64_t revision, str name, int64_t amount)
{
	struct tree functions = { .at = json_object_get(doc, "Functions") };

	int r = reserved_put(&functions, batch->scope, name, amount);
	if (r < 0)
		return err_pass(r);
	batch_put(batch, KIND_RESERVED, reserved_key(batch->scope), doc, revision);
	return 0;
}

/* An object that is a member, made when it is missing. */
static struct tree provisioned_member(struct tree *tree, const char *name)
{
	json_t *there = json_object_get(tree->at, name);

	return there ? (struct tree){ .at = there } : tree_object(tree, name);
}

static int provisioned_put(
	struct tree *all, const struct lambda_scope *scope, const struct provisioned_entry *entry)
{
	str name = arena_str(scope->arena, entry->name); /* ended by a NUL */
	str qualifier = arena_str(scope->arena, entry->qualifier);

	if (!name.at || !qualifier.at)
		return err_raise(-ENOMEM);
	struct tree own = provisioned_member(all, name.at);
	if (!entry->value && !qualifier.len)
		(void)json_object_clear(own.at);
	else if (!entry->value)
		tree_drop(&own, qualifier.at);
	else
		tree_copy(&own, qualifier.at, entry->value);
	tree_join(all, &own);
	if (!all->err && json_object_size(own.at) == 0)
		tree_drop(all, name.at);
	return err_pass(all->err);
}

int lambda_provisioned_set(
	struct batch *batch, json_t *doc, uint64_t revision, const struct provisioned_entry *entry)
{
	struct tree tree = { .at = doc };
	struct tree all = provisioned_member(&tree, "Provisioned");

	int r = tree.err ? err_pass(tree.err) : provisioned_put(&all, batch->scope, entry);
	if (r < 0)
		return err_pass(r);
	batch_put(batch, KIND_RESERVED, reserved_key(batch->scope), doc, revision);
	return 0;
}

int lambda_reserved_forget(struct batch *batch, str name, bool *ret_had)
{
	json_auto_t *doc = NULL;
	uint64_t revision;

	int r = lambda_reserved_get(batch->scope, &doc, &revision);
	if (r < 0)
		return err_pass(r);
	*ret_had = lambda_reserved_of(doc, name) >= 0 || lambda_provisioned_of(doc, name);
	if (!*ret_had)
		return 0;
	struct tree functions = { .at = json_object_get(doc, "Functions") };
	r = reserved_put(&functions, batch->scope, name, -1);
	if (r < 0)
		return err_pass(r);
	return err_pass(lambda_provisioned_set(batch, doc, revision,
		&(struct provisioned_entry){ .name = name, .qualifier = S("") }));
}

int lambda_reserved_tell(const struct lambda_scope *scope)
{
	json_auto_t *doc = NULL;
	uint64_t revision;

	int r = lambda_reserved_get(scope, &doc, &revision);
	if (r < 0)
		return err_pass(r);
	int64_t sum = lambda_reserved_sum(doc, S(""));
	platform_set_aside(scope->platform, scope->account, scope->region,
		(uint32_t)MIN(sum, UINT32_MAX), revision);
	return 0;
}

/* --- the operations --- */

static int concurrency_check(struct call *call, const json_t *doc, str name, int64_t wanted)
{
	int64_t account = call->platform->account_concurrency;
	int64_t kept = MIN(account, LIMIT_CONCURRENCY_UNRESERVED_MIN);
	int64_t provisioned = lambda_provisioned_sum(doc, name, S(""));

	if (wanted < provisioned)
		return lambda_refuse_untyped(call, INVALID,
			" ReservedConcurrentExecutions  %lld should not be lower than function's total "
			"provisioned concurrency [%lld].",
			(long long)wanted, (long long)provisioned);
	if (account - lambda_reserved_sum(doc, name) - wanted >= kept)
		return 0;
	return lambda_refuse_untyped(call, INVALID,
		"Specified ReservedConcurrentExecutions for function decreases account's "
		"UnreservedConcurrentExecution below its minimum value of [%lld].",
		(long long)kept);
}

static int concurrency_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	struct batch batch = { .scope = &ref->scope };
	const int64_t *wanted = context; /* -1: none */
	uint64_t revision;

	int r = lambda_function_read(call, ref, S("$LATEST"), &function);
	if (r == 0)
		r = lambda_reserved_get(&ref->scope, &doc, &revision);
	if (r == 0 && *wanted >= 0)
		r = concurrency_check(call, doc, ref->name, *wanted);
	if (r)
		return err_pass(r);
	if (*wanted < 0 && lambda_reserved_of(doc, ref->name) < 0)
		return 0;
	r = lambda_reserved_set(&batch, doc, revision, ref->name, *wanted);
	if (r < 0)
		return err_pass(r);
	batch_put_function(&batch, &function);
	r = lambda_commit(&batch, ref->name);
	return r ? err_pass(r) : err_pass(lambda_reserved_tell(&ref->scope));
}

int lambda_put_function_concurrency(struct call *call)
{
	struct tree out = { .at = call->out };
	int64_t wanted = call_int(call, "ReservedConcurrentExecutions", 0);
	struct lambda_ref ref;

	int r = lambda_ref_read_function(call, &ref);
	if (r == 0)
		r = lambda_retry(call, &ref, concurrency_once, &wanted);
	if (r)
		return err_pass(r);
	tree_put_int(&out, "ReservedConcurrentExecutions", wanted);
	return err_pass(out.err);
}

int lambda_delete_function_concurrency(struct call *call)
{
	int64_t none = -1;
	struct lambda_ref ref;

	int r = lambda_ref_read_function(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, concurrency_once, &none));
}

int lambda_get_function_concurrency(struct call *call)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	struct tree out = { .at = call->out };
	struct lambda_ref ref;
	uint64_t revision;

	int r = lambda_ref_read_function(call, &ref);
	if (r == 0)
		r = lambda_function_read(call, &ref, S(""), &function);
	if (r == 0)
		r = lambda_reserved_get(&ref.scope, &doc, &revision);
	if (r)
		return err_pass(r);
	int64_t amount = lambda_reserved_of(doc, ref.name);
	if (amount >= 0)
		tree_put_int(&out, "ReservedConcurrentExecutions", amount);
	return err_pass(out.err);
}

/* --- GetAccountSettings --- */

struct account_usage {
	int64_t functions, code_bytes;
	int err;
};

static int64_t usage_size(str value, const char *config)
{
	json_auto_t *doc = json_loadb(value.at, value.len, JSON_ALLOW_NUL, NULL);

	return json_integer_value(json_object_get(json_object_get(doc, config), "CodeSize"));
}

static int usage_function(void *context, str key, str value, uint64_t revision)
{
	struct account_usage *usage = context;

	(void)key;
	(void)revision;
	usage->functions++;
	usage->code_bytes += usage_size(value, "Latest");
	return 0;
}

static int usage_version(void *context, str key, str value, uint64_t revision)
{
	struct account_usage *usage = context;

	(void)key;
	(void)revision;
	usage->code_bytes += usage_size(value, "Config");
	return 0;
}

static int usage_layer(void *context, str key, str value, uint64_t revision)
{
	struct account_usage *usage = context;

	(void)key;
	(void)revision;
	usage->code_bytes += usage_size(value, "Layer");
	return 0;
}

int lambda_get_account_settings(struct call *call)
{
	struct lambda_scope scope = lambda_scope_of(call);
	struct account_usage usage = {};
	json_auto_t *doc = NULL;
	uint64_t revision;
	str prefix = record_account_key(&scope, S(""));

	int r = prefix.at ? lambda_reserved_get(&scope, &doc, &revision) : err_raise(-ENOMEM);
	if (r == 0)
		r = docs_list(call->platform->docs, KIND_FUNCTION, prefix, S(""), 0, usage_function,
			&usage);
	if (r == 0)
		r = docs_list(call->platform->docs, KIND_VERSION, prefix, S(""), 0, usage_version,
			&usage);
	if (r == 0)
		r = docs_list(call->platform->docs, KIND_LAYER_VERSION, prefix, S(""), 0,
			usage_layer, &usage);
	if (r < 0)
		return err_pass(r);

	int64_t account = call->platform->account_concurrency;
	struct tree out = { .at = call->out };
	struct tree limit = tree_object(&out, "AccountLimit");
	tree_put_int(&limit, "TotalCodeSize", LIMIT_TOTAL_CODE_BYTES);
	tree_put_int(&limit, "CodeSizeUnzipped", LIMIT_UNZIPPED_BYTES);
	tree_put_int(&limit, "CodeSizeZipped", LIMIT_ZIP_BYTES);
	tree_put_int(&limit, "ConcurrentExecutions", account);
	tree_put_int(&limit, "UnreservedConcurrentExecutions",
		account - lambda_reserved_sum(doc, S("")));
	struct tree used = tree_object(&out, "AccountUsage");
	tree_put_int(&used, "TotalCodeSize", usage.code_bytes);
	tree_put_int(&used, "FunctionCount", usage.functions);
	tree_join(&out, &limit);
	tree_join(&out, &used);
	return err_pass(out.err);
}
