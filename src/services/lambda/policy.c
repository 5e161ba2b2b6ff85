/*
 * AddPermission, RemovePermission, GetPolicy: the resource-based policy of a function, of a version or of an alias. Each of
 * the three has one of its own, with its own revision.
 *
 * A policy and a statement are answered as JSON *text* inside the answer, with the members in AWS's order.
 */
#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "model/arn.h"
#include "model/limits.h"
#include "services/lambda/names.h"
#include "services/lambda/operations.h"
#include "services/lambda/tree.h"

#include <errno.h>

static const char POLICY_MISSING[] = "The resource you requested does not exist.";

/* --- a statement --- */

static bool principal_is_account(str principal)
{
	uint64_t number;

	return principal.len == 12 && str_to_u64(principal, UINT64_MAX, &number) == 0;
}

/* s3.amazonaws.com, events.amazonaws.com.cn, alexa-appkit.amazon.com … */
static bool principal_is_service(str principal)
{
	static const str ends[] = { S_INIT(".amazonaws.com"), S_INIT(".amazonaws.com.cn"),
		S_INIT(".amazon.com") };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (principal.len > ends[i].len && str_ends(principal, ends[i]))
			return true;
	return false;
}

static int statement_put_principal(struct call *call, struct tree *statement)
{
	str principal = call_str(call, "Principal");

	if (str_eq(principal, S("*"))) {
		tree_put_text(statement, "Principal", "*");
		return 0;
	}
	bool is_service = principal_is_service(principal);
	bool is_account = principal_is_account(principal);
	if (!is_service && !is_account && !str_starts(principal, S("arn:")))
		return lambda_refuse(call, INVALID,
			"The provided principal was invalid. Please check the principal and try again.");
	if (is_account)
		principal = arena_strf(call->arena, "arn:" STR_FMT ":iam::" STR_FMT ":root",
			STR_ARG(arn_partition(call->region)), STR_ARG(principal));
	struct tree inner = tree_object(statement, "Principal");
	tree_put_str(&inner, is_service ? "Service" : "AWS", principal);
	tree_join(statement, &inner);
	return 0;
}

/* Parameters that become conditions: under which operator, by which key. */
static const struct {
	const char *parameter, *operator, * key;
} statement_conditions[] = {
	{ "SourceAccount", "StringEquals", "AWS:SourceAccount" },
	{ "PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID" },
	{ "FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType" },
	{ "EventSourceToken", "StringEquals", "lambda:EventSourceToken" },
	{ "InvokedViaFunctionUrl", "Bool", "lambda:InvokedViaFunctionUrl" },
	{ "SourceArn", "ArnLike", "AWS:SourceArn" },
};

static void statement_put_conditions(struct call *call, struct tree *statement)
{
	struct tree conditions = { .at = json_object() };

	for (size_t i = 0; i < ARRAY_LEN(statement_conditions); i++) {
		const json_t *value = call_get(call, statement_conditions[i].parameter);
		const char *operator= statement_conditions[i].operator;
		if (!value)
			continue;
		if (!json_object_get(conditions.at, operator))
			tree_put(&conditions, operator, json_object());
		struct tree group = { .at = json_object_get(conditions.at, operator) };
		if (json_is_boolean(value))
			tree_put_text(&group, statement_conditions[i].key,
				json_is_true(value) ? "true" : "false");
		else
			tree_copy(&group, statement_conditions[i].key, value);
		tree_join(&conditions, &group);
	}
	tree_join(statement, &conditions);
	if (json_object_size(conditions.at))
		tree_put(statement, "Condition", conditions.at);
	else
		json_decref(conditions.at);
}

/* The statement that AddPermission asks for: 0 and *ret_statement (the caller's), CALL_ERROR or a fault. */
static int statement_make(struct call *call, const struct lambda_ref *ref, json_t **ret_statement)
{
	json_auto_t *made = json_object();
	struct tree statement = { .at = made };

	if (call_has(call, "FunctionUrlAuthType") &&
		!str_eq(call_str(call, "Action"), S("lambda:InvokeFunctionUrl")))
		return lambda_refuse(call, INVALID,
			"FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action");
	tree_put_str(&statement, "Sid", call_str(call, "StatementId"));
	tree_put_text(&statement, "Effect", "Allow");
	int r = statement_put_principal(call, &statement);
	if (r)
		return r;
	tree_put_str(&statement, "Action", call_str(call, "Action"));
	tree_put_str(&statement, "Resource", lambda_arn(&ref->scope, ref->name, ref->qualifier));
	statement_put_conditions(call, &statement);
	if (statement.err)
		return err_pass(statement.err);
	*ret_statement = json_incref(made);
	return 0;
}

/* --- a policy --- */

/* As GetPolicy answers it, in the arena; at == NULL when out of memory. */
static str policy_text(struct arena *arena, const json_t *doc)
{
	json_auto_t *policy = json_pack("{s:s,s:s,s:O}", "Version", "2012-10-17", "Id", "default",
		"Statement", json_object_get(doc, "Statement"));

	return policy ? record_text(arena, policy, JSON_COMPACT) : (str){};
}

/* Where the statement of this id stands, or -1. */
static int policy_find(const json_t *doc, str sid)
{
	size_t i;
	json_t *statement;

	json_array_foreach(json_object_get(doc, "Statement"), i,
		statement) if (str_eq(json_get_str(statement, "Sid"), sid)) return (int)i;
	return -1;
}

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

static int policy_check_size(struct call *call, const json_t *doc)
{
	str text = policy_text(call->arena, doc);

	if (!text.at)
		return err_raise(-ENOMEM);
	if (text.len <= LIMIT_POLICY_BYTES)
		return 0;
	return lambda_refuse(call, "PolicyLengthExceededException",
		"The final policy size (%zu) is bigger than the limit (%d).", text.len,
		LIMIT_POLICY_BYTES);
}

/* Append a statement; the policy is made when there is none. 0, CALL_ERROR or a fault. */
static int policy_append(struct call *call, json_t **doc, const json_t *statement)
{
	str sid = call_str(call, "StatementId");

	if (call_has(call, "RevisionId") &&
		!str_eq(call_str(call, "RevisionId"), json_get_str(*doc, "RevisionId")))
		return lambda_refuse(call, PRECONDITION,
			"The Revision Id provided does not match the latest Revision Id. Call the GetPolicy "
			"API to retrieve the latest Revision Id");
	if (!*doc)
		*doc = json_pack("{s:i,s:[]}", "Schema", RECORD_SCHEMA, "Statement");
	if (policy_find(*doc, sid) >= 0)
		return lambda_refuse(call, CONFLICT,
			"The statement id (" STR_FMT
			") provided already exists. Please provide a new "
			"statement id, or remove the existing statement.",
			STR_ARG(sid));
	struct tree tree = { .at = *doc };
	struct tree statements = { .at = json_object_get(*doc, "Statement") };
	tree_add(&statements, json_deep_copy(statement));
	tree_put(&tree, "RevisionId", record_revision());
	tree_join(&tree, &statements);
	return tree.err ? err_pass(tree.err) : policy_check_size(call, *doc);
}

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
		r = statement_make(call, ref, &statement);
	if (r)
		return err_pass(r);
	r = policy_read(ref, &function, &doc, &revision);
	if (r >= 0)
		r = policy_append(call, &doc, statement);
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

/* Take the statement out. 0, CALL_ERROR or a fault. */
static int policy_take(struct call *call, json_t *doc)
{
	str sid = call_str(call, "StatementId");
	int at = policy_find(doc, sid);
	struct tree tree = { .at = doc };

	if (at < 0)
		return lambda_refuse(call, NOT_FOUND,
			"Statement " STR_FMT " is not found in resource policy.", STR_ARG(sid));
	int r = lambda_check_revision(call, json_get_str(doc, "RevisionId"));
	if (r)
		return r;
	(void)json_array_remove(json_object_get(doc, "Statement"), (size_t)at);
	tree_put(&tree, "RevisionId", record_revision());
	return err_pass(tree.err);
}

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
		r = policy_take(call, doc);
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
	str text = policy_text(call->arena, doc);
	tree_put(&out, "Policy", text.at ? json_from_str(text) : NULL);
	tree_copy(&out, "RevisionId", json_object_get(doc, "RevisionId"));
	return err_pass(out.err);
}
