/*
 * A policy and a statement are answered as JSON *text* inside the answer, with the members in AWS's order. What is
 * asked of a policy is decided by model/policy.h; here statements are made, kept, and read back.
 */
#include "services/lambda/statements.h"

#include "base/attr.h"
#include "base/err.h"
#include "model/arn.h"
#include "model/limits.h"
#include "services/lambda/tree.h"

#include <errno.h>

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

/* Parameters that become conditions, in AWS's order. */
static const struct {
	const char *parameter;
	enum policy_key key;
} statement_conditions[] = {
	{ "SourceAccount", POLICY_SOURCE_ACCOUNT },
	{ "FunctionUrlAuthType", POLICY_URL_AUTH_TYPE },
	{ "EventSourceToken", POLICY_EVENT_TOKEN },
	{ "InvokedViaFunctionUrl", POLICY_VIA_URL },
	{ "SourceArn", POLICY_SOURCE_ARN },
};

static void statement_put_conditions(struct call *call, struct tree *statement)
{
	struct tree conditions = { .at = json_object() };

	for (size_t i = 0; i < ARRAY_LEN(statement_conditions); i++) {
		const json_t *value = call_get(call, statement_conditions[i].parameter);
		const struct policy_key_form *form = policy_key_form(statement_conditions[i].key);
		const char *group_name = policy_operator_name(form->operator);
		if (!value)
			continue;
		if (!json_object_get(conditions.at, group_name))
			tree_put(&conditions, group_name, json_object());
		struct tree group = { .at = json_object_get(conditions.at, group_name) };
		if (json_is_boolean(value))
			tree_put_text(&group, form->name, json_is_true(value) ? "true" : "false");
		else
			tree_copy(&group, form->name, value);
		tree_join(&conditions, &group);
	}
	tree_join(statement, &conditions);
	if (json_object_size(conditions.at))
		tree_put(statement, "Condition", conditions.at);
	else
		json_decref(conditions.at);
}

/* There are no organizations here, so nobody could be known to be of one. */
static int statement_check_available(struct call *call)
{
	static const char *const parameters[] = { "PrincipalOrgID", "OrganizationId" };

	for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
		if (call_has(call, parameters[i]))
			return lambda_refuse(call, INVALID,
				"%s (AWS Organizations) is not available in mayfly yet.",
				parameters[i]);
	return 0;
}

int lambda_statement_new(struct call *call, str resource, json_t **ret_statement)
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
	if (r == 0)
		r = statement_check_available(call);
	if (r)
		return r;
	tree_put_str(&statement, "Action", call_str(call, "Action"));
	tree_put_str(&statement, "Resource", resource);
	statement_put_conditions(call, &statement);
	if (statement.err)
		return err_pass(statement.err);
	*ret_statement = json_incref(made);
	return 0;
}

/* --- a policy --- */

str lambda_policy_text(struct arena *arena, const json_t *doc)
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

static int policy_check_size(struct call *call, const json_t *doc)
{
	str text = lambda_policy_text(call->arena, doc);

	if (!text.at)
		return err_raise(-ENOMEM);
	if (text.len <= LIMIT_POLICY_BYTES)
		return 0;
	return lambda_refuse(call, "PolicyLengthExceededException",
		"The final policy size (%zu) is bigger than the limit (%d).", text.len,
		LIMIT_POLICY_BYTES);
}

int lambda_statement_append(
	struct call *call, const char *getter, json_t **doc, const json_t *statement)
{
	str sid = call_str(call, "StatementId");

	int r = lambda_check_revision_by(call, json_get_str(*doc, "RevisionId"), getter);
	if (r)
		return r;
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

int lambda_statement_take(struct call *call, const char *getter, json_t *doc)
{
	str sid = call_str(call, "StatementId");
	int at = policy_find(doc, sid);
	struct tree tree = { .at = doc };

	if (at < 0)
		return lambda_refuse(call, NOT_FOUND,
			"Statement " STR_FMT " is not found in resource policy.", STR_ARG(sid));
	int r = lambda_check_revision_by(call, json_get_str(doc, "RevisionId"), getter);
	if (r)
		return r;
	(void)json_array_remove(json_object_get(doc, "Statement"), (size_t)at);
	tree_put(&tree, "RevisionId", record_revision());
	return err_pass(tree.err);
}

/* --- what it allows --- */

static void statement_read_principal(const json_t *principal, struct policy_statement *to)
{
	str service = json_get_str(principal, "Service"), identity = json_get_str(principal, "AWS");

	if (str_eq(json_view(principal), S("*")) || str_eq(identity, S("*")))
		to->kind = POLICY_ANYBODY;
	else if (service.len)
		to->kind = POLICY_SERVICE;
	else if (identity.len)
		to->kind = POLICY_AWS;
	to->principal = service.len ? service : identity;
}

/* False: it has a condition that is none of those that are known here, so it allows nothing. */
static bool statement_read(const json_t *statement, struct policy_statement *ret_statement)
{
	struct policy_statement read = { .action = json_get_str(statement, "Action") };
	const json_t *conditions = json_object_get(statement, "Condition");
	size_t known = 0, all = 0;
	const char *name;
	json_t *group;

	statement_read_principal(json_object_get(statement, "Principal"), &read);
	for (enum policy_key key = 0; key < POLICY_KEYS; key++) {
		const struct policy_key_form *form = policy_key_form(key);
		const json_t *given = json_object_get(
			json_object_get(conditions, policy_operator_name(form->operator)),
			form->name);
		if (given)
			read.wanted[key] = json_view(given);
		known += json_is_string(given);
	}
	json_object_foreach((json_t *)conditions, name, group)
		all += json_is_object(group) ? json_object_size(group) : 1;
	*ret_statement = read;
	return known == all && str_eq(json_get_str(statement, "Effect"), S("Allow"));
}

bool lambda_policy_allows(const json_t *doc, const struct policy_request *request)
{
	struct policy_statement statement;
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(doc, "Statement"), i, item)
	{
		if (statement_read(item, &statement) &&
			policy_statement_allows(&statement, request))
			return true;
	}
	return false;
}

int lambda_policy_ask(const struct function_record *function, str qualifier,
	const struct policy_request *request, bool *ret_is_allowed)
{
	json_auto_t *doc = NULL;
	bool is_latest = str_eq(qualifier, S("$LATEST"));

	int r = policy_record_get(function, is_latest ? S("") : qualifier, &doc, NULL);
	if (r < 0)
		return err_pass(r);
	*ret_is_allowed = r == RECORD_FOUND && lambda_policy_allows(doc, request);
	return 0;
}
