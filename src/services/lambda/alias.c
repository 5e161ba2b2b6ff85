/*
 * Aliases: a name that points to a version, and perhaps a second version that gets a share of the invocations.
 *
 * AWS looks an alias up by its ARN, so a missing function and a missing alias read the same, and each operation has its
 * own words for it; deleting what is not there is done.
 */
#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "model/arn.h"
#include "model/limits.h"
#include "services/lambda/operations.h"
#include "services/lambda/page.h"
#include "services/lambda/provisioned.h"
#include "services/lambda/reserved.h"

#include <errno.h>

static int alias_show(
	struct call *call, json_t *out, const struct lambda_ref *ref, const json_t *alias)
{
	struct tree tree = { .at = out };
	str arn = lambda_arn(&ref->scope, ref->name, json_get_str(alias, "Name"));
	const char *name;
	json_t *value;

	(void)call;
	tree_put_str(&tree, "AliasArn", arn);
	json_object_foreach((json_t *)alias, name, value) tree_copy(&tree, name, value);
	return err_pass(tree.err);
}

/* --- what it points to --- */

/* ResourceNotFoundException unless the version exists. */
static int alias_check_version(struct call *call, const struct lambda_ref *ref,
	const struct function_record *function, str version)
{
	json_auto_t *doc = NULL;
	json_t *config;

	int r = lambda_version_read(function, version, &doc, &config);
	return r == RECORD_ABSENT ? lambda_not_found(call, ref, version) : err_pass(r);
}

/* The additional weights that an alias would have, against the version it would point to. */
static int alias_check_weights(struct call *call, const struct lambda_ref *ref,
	const struct function_record *function, str version, const json_t *weights)
{
	const char *other;
	json_t *weight;

	if (json_object_size(weights) > LIMIT_ROUTED_VERSIONS)
		return lambda_refuse(call, INVALID,
			"Number of items in AdditionalVersionWeights cannot be greater than %d",
			LIMIT_ROUTED_VERSIONS);
	json_object_foreach((json_t *)weights, other, weight)
	{
		if (str_eq(str_of(other), version))
			return lambda_refuse(call, INVALID,
				"Invalid function version " STR_FMT ". Function version " STR_FMT
				" is already included in routing configuration.",
				STR_ARG(version), STR_ARG(version));
		if (qualifier_kind(version) == QUALIFIER_LATEST)
			return lambda_refuse_untyped(call, INVALID,
				"$LATEST is not supported for an alias pointing to more than 1 version");
		int r = alias_check_version(call, ref, function, str_of(other));
		if (r)
			return r;
	}
	return 0;
}

/* The parameters into an alias: what is given replaces what is there. 0, CALL_ERROR or a fault. */
static int alias_apply(struct call *call, const struct lambda_ref *ref,
	const struct function_record *function, struct tree *alias)
{
	const json_t *routing = call_get(call, "RoutingConfig");

	if (call_has(call, "FunctionVersion")) {
		int r = alias_check_version(call, ref, function, call_str(call, "FunctionVersion"));
		if (r)
			return r;
		tree_copy(alias, "FunctionVersion", call_get(call, "FunctionVersion"));
	}
	tree_copy(alias, "Description", call_get(call, "Description"));
	if (routing) {
		tree_drop(alias, "RoutingConfig");
		if (json_object_size(json_object_get(routing, "AdditionalVersionWeights")))
			tree_copy(alias, "RoutingConfig", routing);
	}
	tree_put(alias, "RevisionId", record_revision());
	if (alias->err)
		return err_pass(alias->err);
	const json_t *kept = json_object_get(alias->at, "RoutingConfig");
	return err_pass(
		alias_check_weights(call, ref, function, json_get_str(alias->at, "FunctionVersion"),
			json_object_get(kept, "AdditionalVersionWeights")));
}

/* Write the alias of `doc` and let the engine know. 0, LAMBDA_AGAIN or a fault. */
static int alias_write(const struct lambda_ref *ref, const struct function_record *function,
	const json_t *doc, uint64_t revision)
{
	struct batch batch = { .scope = &ref->scope };
	str name = json_get_str(json_object_get(doc, "Alias"), "Name");

	batch_put(&batch, KIND_ALIAS, record_child_key(function, name), doc, revision);
	batch_put_function(&batch, function);
	return err_pass(lambda_commit(&batch, ref->name));
}

/* --- create --- */

static int alias_create_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *existing = NULL, *doc = NULL;
	str name = call_str(call, "Name");

	(void)context;
	int r = lambda_function_read(call, ref, call_str(call, "FunctionVersion"), &function);
	if (r)
		return err_pass(r);
	r = alias_record_get(&function, name, &existing, NULL);
	if (r == RECORD_FOUND) {
		str arn = lambda_arn(&ref->scope, ref->name, name);
		return lambda_refuse(
			call, CONFLICT, "Alias already exists: " STR_FMT, STR_ARG(arn));
	}
	if (r < 0)
		return err_pass(r);
	doc = json_pack("{s:i,s:{s:s}}", "Schema", RECORD_SCHEMA, "Alias", "Description", "");
	struct tree alias = { .at = json_object_get(doc, "Alias") };
	tree_put_str(&alias, "Name", name);
	r = alias_apply(call, ref, &function, &alias);
	if (r == 0)
		r = alias_write(ref, &function, doc, DOCS_NEW);
	return r ? err_pass(r) : err_pass(alias_show(call, call->out, ref, alias.at));
}

int lambda_create_alias(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read_latest(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, alias_create_once, NULL));
}

/* --- get, update, delete --- */

/* Function and alias, if both exist: RECORD_FOUND, RECORD_ABSENT, or a fault. */
static int alias_read(const struct lambda_ref *ref, str name, struct function_record *ret_function,
	json_t **ret_doc, uint64_t *ret_revision)
{
	int r = function_record_get(&ref->scope, ref->name, ret_function);

	if (r != RECORD_FOUND)
		return err_pass(r);
	return err_pass(alias_record_get(ret_function, name, ret_doc, ret_revision));
}

int lambda_get_alias(struct call *call)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	str name = call_str(call, "Name");
	struct lambda_ref ref;

	int r = lambda_ref_read_latest(call, &ref);
	if (r)
		return err_pass(r);
	r = alias_read(&ref, name, &function, &doc, NULL);
	if (r == RECORD_ABSENT) {
		str arn = lambda_arn(&ref.scope, ref.name, name);
		return lambda_refuse(
			call, NOT_FOUND, "Cannot find alias arn: " STR_FMT, STR_ARG(arn));
	}
	return r < 0 ? err_pass(r)
		     : err_pass(alias_show(call, call->out, &ref, json_object_get(doc, "Alias")));
}

static int alias_update_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	str name = call_str(call, "Name");
	uint64_t revision;

	(void)context;
	int r = alias_read(ref, name, &function, &doc, &revision);
	if (r == RECORD_ABSENT) {
		str arn = lambda_arn(&ref->scope, ref->name, name);
		return lambda_refuse(call, NOT_FOUND, "Alias not found: " STR_FMT, STR_ARG(arn));
	}
	if (r < 0)
		return err_pass(r);
	struct tree alias = { .at = json_object_get(doc, "Alias") };
	r = lambda_check_revision(call, json_get_str(alias.at, "RevisionId"));
	if (r == 0)
		r = alias_apply(call, ref, &function, &alias);
	if (r == 0)
		r = lambda_provision_check_alias(call, ref, alias.at);
	if (r == 0)
		r = alias_write(ref, &function, doc, revision);
	if (r == 0) /* what is provisioned for it moves with it */
		r = lambda_provision_tell(&ref->scope, ref->name);
	return r ? err_pass(r) : err_pass(alias_show(call, call->out, ref, alias.at));
}

int lambda_update_alias(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read_latest(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, alias_update_once, NULL));
}

static int alias_delete_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	struct batch batch = { .scope = &ref->scope };
	str name = call_str(call, "Name");
	uint64_t revision;

	(void)context;
	int r = alias_read(ref, name, &function, &doc, &revision);
	if (r != RECORD_FOUND)
		return r < 0 ? err_pass(r) : 0;
	batch_delete(&batch, KIND_ALIAS, record_child_key(&function, name), revision);
	batch_delete(&batch, KIND_POLICY, record_child_key(&function, name), DOCS_ANY);
	batch_delete(&batch, KIND_EVENT_INVOKE, record_child_key(&function, name), DOCS_ANY);
	batch_put_function(&batch, &function);
	r = lambda_provision_drop(&batch, ref->name, name);
	if (r == 0)
		r = lambda_commit(&batch, ref->name);
	if (r == 0)
		r = lambda_reserved_tell(&ref->scope);
	return r ? err_pass(r) : err_pass(lambda_provision_tell(&ref->scope, ref->name));
}

int lambda_delete_alias(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read_latest(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, alias_delete_once, NULL));
}

/* --- list --- */

/* One page of those that point to `version` (empty: of all). */
static int alias_list(struct call *call, const struct lambda_ref *ref, const json_t *docs,
	const struct lambda_page *page, struct tree *out)
{
	str version = call_str(call, "FunctionVersion"), last = {};
	struct tree items = { .at = json_object_get(out->at, "Aliases") };
	size_t i;
	json_t *doc;

	json_array_foreach(docs, i, doc)
	{
		const json_t *alias = json_object_get(doc, "Alias");
		if (version.len && !str_eq(json_get_str(alias, "FunctionVersion"), version))
			continue;
		if (json_array_size(items.at) == page->limit) {
			lambda_page_more(page, out, last);
			break;
		}
		json_auto_t *shown = json_object();
		int r = shown ? alias_show(call, shown, ref, alias) : err_raise(-ENOMEM);
		if (r < 0)
			return err_pass(r);
		tree_add(&items, json_incref(shown));
		last = json_get_str(alias, "Name");
	}
	tree_join(out, &items);
	return err_pass(out->err);
}

int lambda_list_aliases(struct call *call)
{
	scoped_function function = {};
	json_auto_t *docs = json_array();
	struct tree out = { .at = call->out };
	struct lambda_page page;
	struct lambda_ref ref;

	int r = lambda_ref_read_latest(call, &ref);
	if (r == 0)
		r = lambda_page_read(call, "aliases", LIMIT_ALIAS_PAGE, &page);
	if (r == 0)
		r = lambda_function_read(call, &ref, S(""), &function);
	if (r)
		return err_pass(r);
	/* With a filter nobody knows how many to read; the aliases of one function are few. */
	size_t limit = call_has(call, "FunctionVersion") ? 0 : page.limit + 1;
	r = docs ? record_list(&function, KIND_ALIAS, page.after, limit, docs) : err_raise(-ENOMEM);
	if (r < 0)
		return err_pass(r);
	tree_put(&out, "Aliases", json_array());
	return err_pass(alias_list(call, &ref, docs, &page, &out));
}
