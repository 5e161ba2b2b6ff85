#pragma once
/* The handlers of IAM, one an operation of the model; see aws/call.h. */
#include "aws/call.h"

call_fn op_create_role, op_get_role, op_list_roles, op_update_role, op_update_role_description,
	op_delete_role, op_tag_role, op_untag_role, op_list_role_tags, op_update_assume_role_policy,
	op_put_role_permissions_boundary, op_delete_role_permissions_boundary,
	op_list_instance_profiles_for_role;

call_fn op_attach_role_policy, op_detach_role_policy, op_list_attached_role_policies,
	op_put_role_policy, op_get_role_policy, op_delete_role_policy, op_list_role_policies,
	op_list_entities_for_policy;

call_fn op_create_policy, op_get_policy, op_list_policies, op_delete_policy,
	op_create_policy_version, op_get_policy_version, op_list_policy_versions,
	op_delete_policy_version, op_set_default_policy_version, op_tag_policy, op_untag_policy,
	op_list_policy_tags;
