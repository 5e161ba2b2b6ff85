/*
 * Roles. Nothing here decides what a role may do: its policies are kept and given back.
 */
#include "base/err.h"
#include "os/clock.h"
#include "services/iam/operations.h"
#include "services/iam/shapes.h"

#include <errno.h>

enum { SESSION_S_DEFAULT = 3600 };

static int copy_given(struct call *call, json_t *role, const char *name)
{
	return call_has(call, name)
		? err_pass(json_put(role, name, json_deep_copy(call_get(call, name))))
		: 0;
}

static json_t *boundary(struct call *call)
{
	return json_pack("{s:s, s:o}", "PermissionsBoundaryType", "PermissionsBoundaryPolicy",
		"PermissionsBoundaryArn", json_from_str(call_str(call, "PermissionsBoundary")));
}

static json_t *role_new(struct call *call)
{
	str path = call_has(call, "Path") ? call_str(call, "Path") : S("/");
	str id = iam_id(call, "AROA");
	json_t *role = id.at
		? json_pack("{s:i, s:o, s:o, s:o, s:I, s:o, s:I, s:[], s:{}}", "Schema", 1,
			  "RoleName", json_from_str(call_str(call, "RoleName")), "Path",
			  json_from_str(path), "RoleId", json_from_str(id), "CreateDate",
			  (json_int_t)(clock_real_ms() / 1000 * 1000), "AssumeRolePolicyDocument",
			  json_from_str(call_str(call, "AssumeRolePolicyDocument")),
			  "MaxSessionDuration",
			  (json_int_t)call_int(call, "MaxSessionDuration", SESSION_S_DEFAULT),
			  "Attached", "Inline")
		: NULL;

	int r = role ? copy_given(call, role, "Description") : err_raise(-ENOMEM);
	if (r == 0 && call_has(call, "PermissionsBoundary"))
		r = json_put(role, "PermissionsBoundary", boundary(call));
	if (r == 0)
		return role;
	json_decref(role);
	return NULL;
}

int iam_create_role(struct call *call)
{
	int r = iam_check_document(call, call_str(call, "AssumeRolePolicyDocument"));
	if (r)
		return err_pass(r);
	json_t *role = role_new(call);
	r = role ? iam_tags_put(call, role) : err_raise(-ENOMEM);
	if (r == 0)
		r = iam_create(call, KIND_ROLE, call_str(call, "RoleName"), role);
	if (r == 0)
		r = json_put(call->out, "Role", iam_role_shape(call, role));
	if (r == 0)
		json_object_del(json_object_get(call->out, "Role"), "RoleLastUsed");
	json_decref(role);
	return err_pass(r);
}

int iam_get_role(struct call *call)
{
	json_t *role = NULL;

	int r = iam_role_get(call, &role);
	if (r == 0)
		r = json_put(call->out, "Role", iam_role_shape(call, role));
	json_decref(role);
	return err_pass(r);
}

static json_t *listed_below_path(struct call *call, const json_t *role)
{
	str prefix = call_str(call, "PathPrefix");

	return !prefix.len || str_starts(json_get_str(role, "Path"), prefix)
		? iam_role_listed(call, role)
		: NULL;
}

int iam_list_roles(struct call *call)
{
	json_t *roles = NULL;

	int r = iam_list(call, KIND_ROLE, &roles);
	if (r == 0)
		r = iam_page(call, roles, "Roles", listed_below_path);
	json_decref(roles);
	return err_pass(r);
}

static int change_role(struct call *call, json_t *role)
{
	int r = copy_given(call, role, "Description");

	return r ? err_pass(r) : err_pass(copy_given(call, role, "MaxSessionDuration"));
}

int iam_update_role(struct call *call)
{
	return err_pass(iam_change(call, KIND_ROLE, call_str(call, "RoleName"), change_role));
}

static int change_description(struct call *call, json_t *role)
{
	int r = copy_given(call, role, "Description");

	return r ? err_pass(r) : err_pass(json_put(call->out, "Role", iam_role_shape(call, role)));
}

int iam_update_role_description(struct call *call)
{
	return err_pass(
		iam_change(call, KIND_ROLE, call_str(call, "RoleName"), change_description));
}

static int change_trust(struct call *call, json_t *role)
{
	return err_pass(json_put(
		role, "AssumeRolePolicyDocument", json_from_str(call_str(call, "PolicyDocument"))));
}

int iam_update_assume_role_policy(struct call *call)
{
	int r = iam_check_document(call, call_str(call, "PolicyDocument"));

	return r ? err_pass(r)
		 : err_pass(iam_change(call, KIND_ROLE, call_str(call, "RoleName"), change_trust));
}

static int may_delete_role(struct call *call, json_t *role)
{
	if (json_array_size(json_object_get(role, "Attached")))
		return call_error(call, "DeleteConflictException",
			"Cannot delete entity, must detach all policies first.");
	if (json_object_size(json_object_get(role, "Inline")))
		return call_error(call, "DeleteConflictException",
			"Cannot delete entity, must delete policies first.");
	return 0;
}

int iam_delete_role(struct call *call)
{
	return err_pass(iam_delete(call, KIND_ROLE, call_str(call, "RoleName"), may_delete_role));
}

int iam_tag_role(struct call *call)
{
	return err_pass(iam_change(call, KIND_ROLE, call_str(call, "RoleName"), iam_tags_put));
}

int iam_untag_role(struct call *call)
{
	return err_pass(iam_change(call, KIND_ROLE, call_str(call, "RoleName"), iam_tags_remove));
}

int iam_list_role_tags(struct call *call)
{
	json_t *role = NULL;

	int r = iam_role_get(call, &role);
	if (r == 0)
		r = iam_page(call, json_object_get(role, "Tags"), "Tags", iam_as_it_is);
	json_decref(role);
	return err_pass(r);
}

static int change_boundary(struct call *call, json_t *role)
{
	return err_pass(json_put(role, "PermissionsBoundary", boundary(call)));
}

int iam_put_role_permissions_boundary(struct call *call)
{
	return err_pass(iam_change(call, KIND_ROLE, call_str(call, "RoleName"), change_boundary));
}

static int drop_boundary(struct call *call, json_t *role)
{
	(void)call;
	json_object_del(role, "PermissionsBoundary");
	return 0;
}

int iam_delete_role_permissions_boundary(struct call *call)
{
	return err_pass(iam_change(call, KIND_ROLE, call_str(call, "RoleName"), drop_boundary));
}

/* There are no instances here, so no profile has the role: the empty list is true. */
int iam_list_instance_profiles_for_role(struct call *call)
{
	json_t *role = NULL;

	int r = iam_role_get(call, &role);
	json_decref(role);
	if (r == 0)
		r = json_put(call->out, "InstanceProfiles", json_array());
	if (r == 0)
		r = json_put(call->out, "IsTruncated", json_false());
	return err_pass(r);
}
