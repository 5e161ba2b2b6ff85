/* IAM's operations. */
#include "services/iam/service.h"

#include "base/attr.h"
#include "services/iam/operations.h"

extern const struct aws_service aws_service_iam;

static const struct call_route routes[] = {
	{ "AttachRolePolicy", op_attach_role_policy },
	{ "CreatePolicy", op_create_policy },
	{ "CreatePolicyVersion", op_create_policy_version },
	{ "CreateRole", op_create_role },
	{ "DeletePolicy", op_delete_policy },
	{ "DeletePolicyVersion", op_delete_policy_version },
	{ "DeleteRole", op_delete_role },
	{ "DeleteRolePermissionsBoundary", op_delete_role_permissions_boundary },
	{ "DeleteRolePolicy", op_delete_role_policy },
	{ "DetachRolePolicy", op_detach_role_policy },
	{ "GetPolicy", op_get_policy },
	{ "GetPolicyVersion", op_get_policy_version },
	{ "GetRole", op_get_role },
	{ "GetRolePolicy", op_get_role_policy },
	{ "ListAttachedRolePolicies", op_list_attached_role_policies },
	{ "ListEntitiesForPolicy", op_list_entities_for_policy },
	{ "ListInstanceProfilesForRole", op_list_instance_profiles_for_role },
	{ "ListPolicies", op_list_policies },
	{ "ListPolicyTags", op_list_policy_tags },
	{ "ListPolicyVersions", op_list_policy_versions },
	{ "ListRolePolicies", op_list_role_policies },
	{ "ListRoleTags", op_list_role_tags },
	{ "ListRoles", op_list_roles },
	{ "PutRolePermissionsBoundary", op_put_role_permissions_boundary },
	{ "PutRolePolicy", op_put_role_policy },
	{ "SetDefaultPolicyVersion", op_set_default_policy_version },
	{ "TagPolicy", op_tag_policy },
	{ "TagRole", op_tag_role },
	{ "UntagPolicy", op_untag_policy },
	{ "UntagRole", op_untag_role },
	{ "UpdateAssumeRolePolicy", op_update_assume_role_policy },
	{ "UpdateRole", op_update_role },
	{ "UpdateRoleDescription", op_update_role_description },
};

const struct call_service iam_service = {
	.model = &aws_service_iam,
	.routes = routes,
	.route_count = ARRAY_LEN(routes),
	.validation_code = "ValidationError",
};
