#pragma once
/* The handlers of IAM, one an operation of the model; see aws/call.h. */
#include "aws/call.h"

call_fn iam_create_role, iam_get_role, iam_list_roles, iam_update_role, iam_update_role_description,
	iam_delete_role, iam_tag_role, iam_untag_role, iam_list_role_tags,
	iam_update_assume_role_policy, iam_put_role_permissions_boundary,
	iam_delete_role_permissions_boundary, iam_list_instance_profiles_for_role;

call_fn iam_attach_role_policy, iam_detach_role_policy, iam_list_attached_role_policies,
	iam_put_role_policy, iam_get_role_policy, iam_delete_role_policy, iam_list_role_policies,
	iam_list_entities_for_policy;

call_fn iam_create_policy, iam_get_policy, iam_list_policies, iam_delete_policy,
	iam_create_policy_version, iam_get_policy_version, iam_list_policy_versions,
	iam_delete_policy_version, iam_set_default_policy_version, iam_tag_policy, iam_untag_policy,
	iam_list_policy_tags;
