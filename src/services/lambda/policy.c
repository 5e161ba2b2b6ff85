/*
 * AddPermission, RemovePermission, GetPolicy: the resource-based policy of a function, of a version or of an alias. Each of
 * the three has one of its own, with its own revision. What the statements are is in statements.h.
 */
#include "base/err.h"
#include "engine/platform.h"
#include "model/arn.h"
#include "services/lambda/names.h"
#include "services/lambda/operations.h"
#include "services/lambda/statements.h"
#include "services/lambda/tree.h"

#include <errno.h>

static const char POLICY_MISSING[] = "The resource you requested does not exist.";

/* Does the version or alias exist that a policy is about? Each kind is missed in its own words. */
static int policy_check_qualifier(
	struct call *call, const struct lambda_ref *ref, const struct function_record *function)
{
	json_auto_t *doc = NULL;
	json_t *config;
	bool may_be_alias = str_find(ref->qualifier, '$') < 0 && str_find(ref->qualifier, '.') < 0;
	enum qualifier_kind kind = qualifier_kind(ref->qualifier);
	int r = RECORD_ABSENT;

	if (kind == QUALIFIER_LATEST)
		return 0;
	if (kind == QUALIFIER_VERSION)
		r = lambda_version_read(function, ref->qualifier, &doc, &config);
	else if (may_be_alias)
		r = alias_record_get(function, ref->qualifier, &doc, NULL);
	if (r != RECORD_ABSENT)
		return err_pass(r);
	if (kind != QUALIFIER_ALIAS || !may_be_alias)
		return lambda_not_found(call, ref, ref->qualifier);
	str arn = lambda_arn(&ref->scope, ref->name, ref->qualifier);
	return lambda_refuse(call, NOT_FOUND, "Cannot find alias arn: " STR_FMT, STR_ARG(arn));
}

/* $LATEST has the policy of the function. */
static str policy_qualifier(const struct lambda_ref *ref)
{
	return qualifier_kind(ref->qualifier) == QUALIFIER_LATEST ? S("") : ref->qualifier;
}

static int policy_read(const struct lambda_ref *ref, const struct function_record *function,
	json_t **ret_doc, uint64_t *ret_revision)
{
	return err_pass(policy_record_get(function, policy_qualifier(ref), ret_doc, ret_revision));
}

/* --- AddPermission --- */

static int add_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *statement = NULL, *doc = NULL;
	struct batch batch = { .scope = &ref->scope };
	struct tree out = { .at = call->out };
	uint64_t revision = DOCS_NEW;

	(void)context;
	int r = lambda_function_read(call, ref, S(""), &function);
	if (r == 0)
		r = policy_check_qualifier(call, ref, &function);
	if (r == 0)
		r = lambda_statement_new(
			call, lambda_arn(&ref->scope, ref->name, ref->qualifier), &statement);
	if (r)
		return err_pass(r);
	r = policy_read(ref, &function, &doc, &revision);
	if (r >= 0)
		r = lambda_statement_append(call, "GetPolicy", &doc, statement);
	if (r)
		return err_pass(r);
	batch_put(&batch, KIND_POLICY, record_child_key(&function, policy_qualifier(ref)), doc,
		revision);
	batch_put_function(&batch, &function);
	r = lambda_commit(&batch, ref->name);
	if (r)
		return err_pass(r);
	str text = record_text(call->arena, statement, JSON_COMPACT);
	tree_put(&out, "Statement", text.at ? json_from_str(text) : NULL);
	return err_pass(out.err);
}

int lambda_add_permission(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r)
		return err_pass(r);
	if (str_eq(ref.qualifier, S("$LATEST")))
		return lambda_refuse(
			call, INVALID, "We currently do not support adding policies for $LATEST.");
	return err_pass(lambda_retry(call, &ref, add_once, NULL));
}

/* --- RemovePermission --- */

/* The function and the policy that a statement shall be removed from. 0, CALL_ERROR or a fault. */
static int remove_read(struct call *call, const struct lambda_ref *ref,
	struct function_record *function, json_t **ret_doc, uint64_t *ret_revision)
{
	int r = function_record_get(&ref->scope, ref->name, function);

	if (r == RECORD_ABSENT) {
		str arn = lambda_arn(&ref->scope, ref->name, S(""));
		return lambda_refuse(
			call, NOT_FOUND, "No policy found for: " STR_FMT, STR_ARG(arn));
	}
	if (r == RECORD_FOUND)
		r = policy_check_qualifier(call, ref, function);
	if (r)
		return err_pass(r);
	r = policy_read(ref, function, ret_doc, ret_revision);
	if (r == RECORD_ABSENT)
		return lambda_refuse(
			call, NOT_FOUND, "No policy is associated with the given resource.");
	return err_pass(r);
}

static int remove_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	struct batch batch = { .scope = &ref->scope };
	uint64_t revision;

	(void)context;
	int r = remove_read(call, ref, &function, &doc, &revision);
	if (r == 0)
		r = lambda_statement_take(call, "GetFunction/GetAlias", doc);
	if (r)
		return err_pass(r);
	str key = record_child_key(&function, policy_qualifier(ref));
	if (json_array_size(json_object_get(doc, "Statement")))
		batch_put(&batch, KIND_POLICY, key, doc, revision);
	else
		batch_delete(&batch, KIND_POLICY, key, revision);
	batch_put_function(&batch, &function);
	return err_pass(lambda_commit(&batch, ref->name));
}

int lambda_remove_permission(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, remove_once, NULL));
}

/* --- GetPolicy --- */

int lambda_get_policy(struct call *call)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	struct tree out = { .at = call->out };
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r)
		return err_pass(r);
	r = function_record_get(&ref.scope, ref.name, &function);
	if (r == RECORD_FOUND)
		r = policy_read(&ref, &function, &doc, NULL);
	if (r == RECORD_ABSENT)
		return lambda_refuse(call, NOT_FOUND, "%s", POLICY_MISSING);
	if (r < 0)
		return err_pass(r);
	str text = lambda_policy_text(call->arena, doc);
	tree_put(&out, "Policy", text.at ? json_from_str(text) : NULL);
	tree_copy(&out, "RevisionId", json_object_get(doc, "RevisionId"));
	return err_pass(out.err);
}
