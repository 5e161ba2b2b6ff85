/*
 * Policies on roles: attached ones by ARN, inline ones by name.
 */
#include "base/err.h"
#include "base/mem.h"
#include "services/iam/operations.h"
#include "services/iam/shapes.h"

#include <errno.h>

/* The last part of a policy's ARN is its name. */
static str arn_name(str arn)
{
	str rest = arn, part, name = arn;

	while (str_cut(&rest, '/', &part))
		name = rest;
	return name;
}

static int policy_exists(struct call *call, str arn)
{
	str name = iam_policy_name(call, arn);
	json_t *policy = NULL;

	if (iam_is_managed_by_aws(arn))
		return 0;
	int r = name.len ? iam_get(call, KIND_POLICY, name, &policy) : RECORD_ABSENT;
	json_decref(policy);
	if (r == RECORD_ABSENT)
		return call_error(call, "NoSuchEntityException",
			"Policy " STR_FMT " does not exist or is not attachable.", STR_ARG(arn));
	return err_pass(r);
}

static size_t attached_find(const json_t *attached, str arn)
{
	size_t i;
	json_t *one;

	json_array_foreach(attached, i, one)
	{
		if (str_eq(json_get_str(one, "PolicyArn"), arn))
			return i;
	}
	return json_array_size(attached);
}

static int attach(struct call *call, json_t *role)
{
	str arn = call_str(call, "PolicyArn");
	json_t *attached = json_object_get(role, "Attached");

	if (attached_find(attached, arn) < json_array_size(attached))
		return 0;
	json_t *one = json_pack("{s:o, s:o}", "PolicyName", json_from_str(arn_name(arn)),
		"PolicyArn", json_from_str(arn));
	return json_array_append_new(attached, one) < 0 ? err_raise(-ENOMEM) : 0;
}

int iam_attach_role_policy(struct call *call)
{
	int r = policy_exists(call, call_str(call, "PolicyArn"));

	return r ? err_pass(r)
		 : err_pass(iam_change(call, KIND_ROLE, call_str(call, "RoleName"), attach));
}

static int detach(struct call *call, json_t *role)
{
	str arn = call_str(call, "PolicyArn");
	json_t *attached = json_object_get(role, "Attached");
	size_t at = attached_find(attached, arn);

	if (at == json_array_size(attached))
		return call_error(call, "NoSuchEntityException",
			"Policy " STR_FMT " was not found.", STR_ARG(arn));
	return json_array_remove(attached, at) < 0 ? err_raise(-ENOMEM) : 0;
}

int iam_detach_role_policy(struct call *call)
{
	return err_pass(iam_change(call, KIND_ROLE, call_str(call, "RoleName"), detach));
}

int iam_list_attached_role_policies(struct call *call)
{
	json_t *role = NULL;

	int r = iam_role_get(call, &role);
	if (r == 0)
		r = iam_page(
			call, json_object_get(role, "Attached"), "AttachedPolicies", iam_as_it_is);
	json_decref(role);
	return err_pass(r);
}

/* --- inline --- */

/* The policy's name as a key of jansson's, in the arena (names have no NUL: the model's pattern). */
static const char *inline_name(struct call *call)
{
	str copy = arena_str(call->arena, call_str(call, "PolicyName"));

	return copy.at ? copy.at : "";
}

static int put_inline(struct call *call, json_t *role)
{
	return err_pass(json_put(json_object_get(role, "Inline"), inline_name(call),
		json_from_str(call_str(call, "PolicyDocument"))));
}

int iam_put_role_policy(struct call *call)
{
	int r = iam_check_document(call, call_str(call, "PolicyDocument"));

	return r ? err_pass(r)
		 : err_pass(iam_change(call, KIND_ROLE, call_str(call, "RoleName"), put_inline));
}

static int no_such_inline(struct call *call)
{
	return call_error(call, "NoSuchEntityException",
		"The role policy with name " STR_FMT " cannot be found.",
		STR_ARG(call_str(call, "PolicyName")));
}

static int delete_inline(struct call *call, json_t *role)
{
	return json_object_del(json_object_get(role, "Inline"), inline_name(call)) < 0
		? no_such_inline(call)
		: 0;
}

int iam_delete_role_policy(struct call *call)
{
	return err_pass(iam_change(call, KIND_ROLE, call_str(call, "RoleName"), delete_inline));
}

int iam_get_role_policy(struct call *call)
{
	json_t *role = NULL;

	int r = iam_role_get(call, &role);
	const char *text = json_string_value(
		json_object_get(json_object_get(role, "Inline"), inline_name(call)));
	if (r == 0 && !text)
		r = no_such_inline(call);
	if (r == 0)
		r = json_put(call->out, "RoleName", json_from_str(call_str(call, "RoleName")));
	if (r == 0)
		r = json_put(call->out, "PolicyName", json_from_str(call_str(call, "PolicyName")));
	if (r == 0)
		r = json_put(call->out, "PolicyDocument", iam_document(text));
	json_decref(role);
	return err_pass(r);
}

int iam_list_role_policies(struct call *call)
{
	json_t *role = NULL, *names = json_array(), *text;
	const char *name;

	int r = names ? iam_role_get(call, &role) : err_raise(-ENOMEM);
	if (r == 0) {
		json_object_foreach(json_object_get(role, "Inline"), name, text)
			json_array_append_new(names, json_string(name));
		r = iam_page(call, names, "PolicyNames", iam_as_it_is);
	}
	json_decref(names);
	json_decref(role);
	return err_pass(r);
}

/* --- the other way round --- */

static json_t *role_that_has_it(struct call *call, const json_t *role)
{
	const json_t *attached = json_object_get(role, "Attached");

	if (attached_find(attached, call_str(call, "PolicyArn")) == json_array_size(attached))
		return NULL;
	return json_pack("{s:O, s:O}", "RoleName", json_object_get(role, "RoleName"), "RoleId",
		json_object_get(role, "RoleId"));
}

int iam_list_entities_for_policy(struct call *call)
{
	json_t *roles = NULL;

	int r = policy_exists(call, call_str(call, "PolicyArn"));
	if (r == 0)
		r = iam_list(call, KIND_ROLE, &roles);
	if (r == 0)
		r = iam_page(call, roles, "PolicyRoles", role_that_has_it);
	if (r == 0)
		r = json_put(call->out, "PolicyGroups", json_array());
	if (r == 0)
		r = json_put(call->out, "PolicyUsers", json_array());
	json_decref(roles);
	return err_pass(r);
}
