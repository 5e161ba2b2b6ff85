/*
 * Managed policies and their versions: at most five, one of them the default.
 */
#include "base/err.h"
#include "os/clock.h"
#include "services/iam/operations.h"
#include "services/iam/shapes.h"

#include <errno.h>

enum { VERSIONS_MAX = 5 };

static int no_such_policy(struct call *call)
{
	str arn = call_str(call, "PolicyArn");

	return call_error(
		call, "NoSuchEntityException", "Policy " STR_FMT " was not found.", STR_ARG(arn));
}

/* AWS's own policies are known by name only: what is in them has no effect here, and is not made up. */
static json_t *managed_by_aws(struct call *call, str arn)
{
	str rest = arn, part, name = arn;

	while (str_cut(&rest, '/', &part))
		name = rest;
	(void)call;
	return json_pack("{s:o, s:o, s:s, s:s, s:i, s:i, s:b}", "PolicyName", json_from_str(name),
		"Arn", json_from_str(arn), "Path", "/", "DefaultVersionId", "v1", "AttachmentCount",
		0, "PermissionsBoundaryUsageCount", 0, "IsAttachable", 1);
}

/* The policy that PolicyArn names: 0 and *ret_policy (the caller's), CALL_ERROR, or a fault. */
static int policy_get(struct call *call, json_t **ret_policy)
{
	str name = iam_policy_name(call, call_str(call, "PolicyArn"));

	int r = name.len ? iam_get(call, KIND_POLICY, name, ret_policy) : RECORD_ABSENT;
	return r == RECORD_ABSENT ? no_such_policy(call) : err_pass(r);
}

static int policy_change(struct call *call, iam_change_fn *change)
{
	str name = iam_policy_name(call, call_str(call, "PolicyArn"));

	return name.len ? err_pass(iam_change(call, KIND_POLICY, name, change))
			: no_such_policy(call);
}

static uint64_t now_ms(void)
{
	return clock_real_ms() / 1000 * 1000; /* IAM's times are whole seconds */
}

static json_t *version_new(struct call *call, json_int_t number)
{
	return json_pack("{s:o, s:o, s:I}", "VersionId", json_sprintf("v%lld", (long long)number),
		"Document", json_from_str(call_str(call, "PolicyDocument")), "CreateDate",
		(json_int_t)now_ms());
}

static json_t *policy_new(struct call *call)
{
	str path = call_has(call, "Path") ? call_str(call, "Path") : S("/"),
	    id = iam_id(call, "ANPA");
	json_t *policy = id.at
		? json_pack("{s:i, s:o, s:o, s:o, s:s, s:i, s:I, s:I, s:[o], s:[]}", "Schema", 1,
			  "PolicyName", json_from_str(call_str(call, "PolicyName")), "PolicyId",
			  json_from_str(id), "Path", json_from_str(path), "DefaultVersionId", "v1",
			  "NextVersion", 2, "CreateDate", (json_int_t)now_ms(), "UpdateDate",
			  (json_int_t)now_ms(), "Versions", version_new(call, 1), "Tags")
		: NULL;

	if (policy && call_has(call, "Description") &&
		json_put(policy, "Description", json_from_str(call_str(call, "Description"))) < 0) {
		json_decref(policy);
		return NULL;
	}
	return policy;
}

int iam_create_policy(struct call *call)
{
	int r = iam_check_document(call, call_str(call, "PolicyDocument"));
	if (r)
		return err_pass(r);
	json_t *policy = policy_new(call);
	r = policy ? iam_tags_put(call, policy) : err_raise(-ENOMEM);
	if (r == 0)
		r = iam_create(call, KIND_POLICY, call_str(call, "PolicyName"), policy);
	if (r == 0)
		r = json_put(call->out, "Policy", iam_policy_shape(call, policy));
	json_decref(policy);
	return err_pass(r);
}

int iam_get_policy(struct call *call)
{
	str arn = call_str(call, "PolicyArn");
	json_t *policy = NULL;

	if (iam_is_managed_by_aws(arn))
		return err_pass(json_put(call->out, "Policy", managed_by_aws(call, arn)));
	int r = policy_get(call, &policy);
	if (r == 0)
		r = json_put(call->out, "Policy", iam_policy_shape(call, policy));
	json_decref(policy);
	return err_pass(r);
}

static json_t *listed_policy(struct call *call, const json_t *policy)
{
	str prefix = call_str(call, "PathPrefix");
	json_t *shape = NULL;

	if (!prefix.len || str_starts(json_get_str(policy, "Path"), prefix))
		shape = iam_policy_shape(call, policy);
	if (call_bool(call, "OnlyAttached", false) && shape &&
		json_integer_value(json_object_get(shape, "AttachmentCount")) == 0) {
		json_decref(shape);
		return NULL;
	}
	json_object_del(shape, "Tags");
	json_object_del(shape, "Description");
	return shape;
}

int iam_list_policies(struct call *call)
{
	bool is_aws = str_eq(call_str(call, "Scope"), S("AWS"));
	json_t *policies = is_aws ? json_array() : NULL;

	int r = is_aws ? 0 : iam_list(call, KIND_POLICY, &policies);
	if (r == 0)
		r = iam_page(call, policies, "Policies", listed_policy);
	json_decref(policies);
	return err_pass(r);
}

static int may_delete_policy(struct call *call, json_t *policy)
{
	json_t *shape = iam_policy_shape(call, policy);
	json_int_t attached = json_integer_value(json_object_get(shape, "AttachmentCount"));

	json_decref(shape);
	if (attached)
		return call_error(call, "DeleteConflictException",
			"Cannot delete a policy attached to entities.");
	if (json_array_size(json_object_get(policy, "Versions")) > 1)
		return call_error(call, "DeleteConflictException",
			"This policy has more than one version. Before you delete a policy, you must delete the "
			"policy's versions. The default version is deleted with the policy.");
	return 0;
}

int iam_delete_policy(struct call *call)
{
	str name = iam_policy_name(call, call_str(call, "PolicyArn"));

	return name.len ? err_pass(iam_delete(call, KIND_POLICY, name, may_delete_policy))
			: no_such_policy(call);
}

/* --- versions --- */

static size_t version_find(const json_t *policy, str id)
{
	const json_t *versions = json_object_get(policy, "Versions");
	size_t i;
	json_t *version;

	json_array_foreach(versions, i, version)
	{
		if (str_eq(json_get_str(version, "VersionId"), id))
			return i;
	}
	return json_array_size(versions);
}

/* Of a version that must be there; at the end of the array when it is not. */
static json_t *version_get(const json_t *policy, str id)
{
	return json_array_get(json_object_get(policy, "Versions"), version_find(policy, id));
}

static int no_such_version(struct call *call)
{
	return call_error(call, "NoSuchEntityException",
		"Policy " STR_FMT " version " STR_FMT " does not exist or is not attachable.",
		STR_ARG(call_str(call, "PolicyArn")), STR_ARG(call_str(call, "VersionId")));
}

static int add_version(struct call *call, json_t *policy)
{
	json_t *versions = json_object_get(policy, "Versions");
	json_int_t number = json_integer_value(json_object_get(policy, "NextVersion"));

	if (json_array_size(versions) >= VERSIONS_MAX)
		return call_error(call, "LimitExceededException",
			"A managed policy can have up to 5 versions. Before you create a new version, you must "
			"delete an existing version.");
	json_t *version = version_new(call, number);
	if (!version || json_array_insert_new(versions, 0, version) < 0)
		return err_raise(-ENOMEM);
	int r = json_put(policy, "NextVersion", json_integer(number + 1));
	if (r == 0)
		r = json_put(policy, "UpdateDate", json_integer((json_int_t)now_ms()));
	if (r == 0 && call_bool(call, "SetAsDefault", false))
		r = json_put(policy, "DefaultVersionId",
			json_deep_copy(json_object_get(version, "VersionId")));
	if (r == 0)
		r = json_put(call->out, "PolicyVersion",
			iam_version_shape(call, policy, version, false));
	return err_pass(r);
}

int iam_create_policy_version(struct call *call)
{
	int r = iam_check_document(call, call_str(call, "PolicyDocument"));

	return r ? err_pass(r) : err_pass(policy_change(call, add_version));
}

int iam_get_policy_version(struct call *call)
{
	json_t *policy = NULL;

	int r = policy_get(call, &policy);
	json_t *version = r == 0 ? version_get(policy, call_str(call, "VersionId")) : NULL;
	if (r == 0 && !version)
		r = no_such_version(call);
	if (r == 0)
		r = json_put(
			call->out, "PolicyVersion", iam_version_shape(call, policy, version, true));
	json_decref(policy);
	return err_pass(r);
}

int iam_list_policy_versions(struct call *call)
{
	json_t *policy = NULL, *shapes = json_array(), *version;
	size_t i;

	int r = shapes ? policy_get(call, &policy) : err_raise(-ENOMEM);
	json_array_foreach(json_object_get(policy, "Versions"), i, version)
	{
		if (json_array_append_new(shapes, iam_version_shape(call, policy, version, false)) <
			0)
			r = err_raise(-ENOMEM);
	}
	if (r == 0)
		r = iam_page(call, shapes, "Versions", iam_as_it_is);
	json_decref(shapes);
	json_decref(policy);
	return err_pass(r);
}

static int drop_version(struct call *call, json_t *policy)
{
	str id = call_str(call, "VersionId");

	if (!version_get(policy, id))
		return no_such_version(call);
	if (str_eq(json_get_str(policy, "DefaultVersionId"), id))
		return call_error(call, "DeleteConflictException",
			"Cannot delete the default version of a policy.");
	return json_array_remove(json_object_get(policy, "Versions"), version_find(policy, id)) < 0
		? err_raise(-ENOMEM)
		: 0;
}

int iam_delete_policy_version(struct call *call)
{
	return err_pass(policy_change(call, drop_version));
}

static int set_default(struct call *call, json_t *policy)
{
	str id = call_str(call, "VersionId");

	return version_get(policy, id)
		? err_pass(json_put(policy, "DefaultVersionId", json_from_str(id)))
		: no_such_version(call);
}

int iam_set_default_policy_version(struct call *call)
{
	return err_pass(policy_change(call, set_default));
}

/* --- tags --- */

int iam_tag_policy(struct call *call)
{
	return err_pass(policy_change(call, iam_tags_put));
}

int iam_untag_policy(struct call *call)
{
	return err_pass(policy_change(call, iam_tags_remove));
}

int iam_list_policy_tags(struct call *call)
{
	json_t *policy = NULL;

	int r = policy_get(call, &policy);
	if (r == 0)
		r = iam_page(call, json_object_get(policy, "Tags"), "Tags", iam_as_it_is);
	json_decref(policy);
	return err_pass(r);
}
