/* IAM's operations. */
#include "services/iam/service.h"

#include "base/attr.h"
#include "services/iam/operations.h"

extern const struct aws_service aws_service_iam;

static const struct call_route routes[] = {
	{ "AttachRolePolicy", iam_attach_role_policy },
	{ "CreatePolicy", iam_create_policy },
	{ "CreatePolicyVersion", iam_create_policy_version },
	{ "CreateRole", iam_create_role },
	{ "DeletePolicy", iam_delete_policy },
	{ "DeletePolicyVersion", iam_delete_policy_version },
	{ "DeleteRole", iam_delete_role },
	{ "DeleteRolePermissionsBoundary", iam_delete_role_permissions_boundary },
	{ "DeleteRolePolicy", iam_delete_role_policy },
	{ "DetachRolePolicy", iam_detach_role_policy },
	{ "GetPolicy", iam_get_policy },
	{ "GetPolicyVersion", iam_get_policy_version },
	{ "GetRole", iam_get_role },
	{ "GetRolePolicy", iam_get_role_policy },
	{ "ListAttachedRolePolicies", iam_list_attached_role_policies },
	{ "ListEntitiesForPolicy", iam_list_entities_for_policy },
	{ "ListInstanceProfilesForRole", iam_list_instance_profiles_for_role },
	{ "ListPolicies", iam_list_policies },
	{ "ListPolicyTags", iam_list_policy_tags },
	{ "ListPolicyVersions", iam_list_policy_versions },
	{ "ListRolePolicies", iam_list_role_policies },
	{ "ListRoleTags", iam_list_role_tags },
	{ "ListRoles", iam_list_roles },
	{ "PutRolePermissionsBoundary", iam_put_role_permissions_boundary },
	{ "PutRolePolicy", iam_put_role_policy },
	{ "SetDefaultPolicyVersion", iam_set_default_policy_version },
	{ "TagPolicy", iam_tag_policy },
	{ "TagRole", iam_tag_role },
	{ "UntagPolicy", iam_untag_policy },
	{ "UntagRole", iam_untag_role },
	{ "UpdateAssumeRolePolicy", iam_update_assume_role_policy },
	{ "UpdateRole", iam_update_role },
	{ "UpdateRoleDescription", iam_update_role_description },
};

const struct call_service iam_service = {
	.model = &aws_service_iam,
	.routes = routes,
	.route_count = ARRAY_LEN(routes),
	.validation_code = "ValidationError",
};
