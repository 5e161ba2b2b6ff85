/*
 * "Policy evaluation logic" of the IAM User Guide, for what AddPermission can write: a principal, an action, and conditions
 * that must all be met. A condition on something that the request does not say is not met. Names of actions
 * are the same in any case of letters, values of conditions are not.
 */
#include "model/policy.h"

#include <assert.h>

static const struct policy_key_form policy_forms[POLICY_KEYS] = {
	[POLICY_SOURCE_ACCOUNT] = { POLICY_STRING_EQUALS, "AWS:SourceAccount" },
	[POLICY_SOURCE_ARN] = { POLICY_ARN_LIKE, "AWS:SourceArn" },
	[POLICY_URL_AUTH_TYPE] = { POLICY_STRING_EQUALS, "lambda:FunctionUrlAuthType" },
	[POLICY_VIA_URL] = { POLICY_BOOL, "lambda:InvokedViaFunctionUrl" },
	[POLICY_EVENT_TOKEN] = { POLICY_STRING_EQUALS, "lambda:EventSourceToken" },
	[POLICY_ORGANIZATION] = { POLICY_STRING_EQUALS, "aws:PrincipalOrgID" },
};

const struct policy_key_form *policy_key_form(enum policy_key key)
{
	assert(key < POLICY_KEYS);
	return &policy_forms[key];
}

const char *policy_operator_name(enum policy_operator operator)
{
	static const char *const names[] = {
		[POLICY_STRING_EQUALS] = "StringEquals",
		[POLICY_BOOL] = "Bool",
		[POLICY_ARN_LIKE] = "ArnLike",
	};

	return names[operator];
}

/* --- ARNs --- */

/* With `*` and `?`, in steps that are at most the product of the lengths: it goes back to the last star only. */
static bool policy_is_like(str text, str pattern)
{
	size_t t = 0, p = 0, star = SIZE_MAX, from = 0;

	while (t < text.len) {
		if (p < pattern.len && pattern.at[p] == '*') {
			star = p++;
			from = t;
		} else if (p < pattern.len &&
			(pattern.at[p] == '?' || pattern.at[p] == text.at[t])) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++from;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.at[p] == '*')
		p++;
	return p == pattern.len;
}

bool policy_arn_is_like(str arn, str pattern)
{
	enum { ARN_COLONS = 5 };
	str part, like;

	for (int i = 0; i < ARN_COLONS; i++)
		if (!str_cut(&arn, ':', &part) || !str_cut(&pattern, ':', &like) ||
			!policy_is_like(part, like))
			return false;
	return policy_is_like(arn, pattern);
}

/* --- a statement --- */

/* arn:PARTITION:iam::ACCOUNT:root is everybody whom the account lets act. */
static bool policy_is_root_of(str arn, str account)
{
	str rest = arn, part;

	for (int i = 0; i < 4; i++)
		if (!str_cut(&rest, ':', &part))
			return false;
	return str_cut(&rest, ':', &part) && str_eq(part, account) && str_eq(rest, S("root"));
}

/*
 * arn:PARTITION:iam::ACCOUNT:role/PATH/NAME lets in all sessions of the role. No two roles of an account have the same name,
 * so its path says nothing more.
 */
static bool policy_is_role(str arn, const struct policy_request *request)
{
	str rest = arn, part;

	if (!request->role.len)
		return false;
	for (int i = 0; i < 3; i++)
		if (!str_cut(&rest, ':', &part))
			return false;
	if (!str_eq(part, S("iam")) || !str_cut(&rest, ':', &part) || !str_cut(&rest, ':', &part) ||
		!str_eq(part, request->account) || !str_cut(&rest, '/', &part) ||
		!str_eq(part, S("role")))
		return false;
	while (str_cut(&rest, '/', &part))
		;
	return str_eq(rest, request->role);
}

static bool policy_is_principal(
	const struct policy_statement *statement, const struct policy_request *request)
{
	switch (statement->kind) {
	case POLICY_ANYBODY:
		return true;
	case POLICY_SERVICE:
		return request->service.len && str_eq(statement->principal, request->service);
	case POLICY_AWS:
		if (request->account.len == 0)
			return false;
		return policy_is_root_of(statement->principal, request->account) ||
			(request->identity.len &&
				str_eq(statement->principal, request->identity)) ||
			policy_is_role(statement->principal, request);
	case POLICY_NOBODY:
		break;
	}
	return false;
}

static bool policy_is_action(str allowed, str wanted)
{
	return str_eq(allowed, S("*")) || str_eq_fold(allowed, wanted) ||
		(str_eq_fold(allowed, S("lambda:*")) && str_starts_fold(wanted, S("lambda:")));
}

static bool policy_is_met(enum policy_key key, str wanted, str given)
{
	if (!given.at)
		return false;
	switch (policy_forms[key].operator) {
	case POLICY_ARN_LIKE:
		return policy_arn_is_like(given, wanted);
	case POLICY_BOOL:
		return str_eq_fold(given, wanted);
	case POLICY_STRING_EQUALS:
		break;
	}
	return str_eq(given, wanted);
}

bool policy_statement_allows(
	const struct policy_statement *statement, const struct policy_request *request)
{
	if (!policy_is_principal(statement, request) ||
		!policy_is_action(statement->action, request->action))
		return false;
	for (enum policy_key key = 0; key < POLICY_KEYS; key++)
		if (statement->wanted[key].at &&
			!policy_is_met(key, statement->wanted[key], request->given[key]))
			return false;
	return true;
}
