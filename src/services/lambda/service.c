/*
 * One row an operation. What AWS's model has and this table has not is answered by the front, by name; a field
 * that cannot act yet is refused by the handler (see config.c).
 */
#include "services/lambda/service.h"

#include "base/attr.h"
#include "base/err.h"
#include "services/lambda/code.h"
#include "services/lambda/delete.h"
#include "services/lambda/invoke.h"
#include "services/lambda/operations.h"
#include "services/lambda/settle.h"

extern const struct aws_service aws_service_lambda; /* generated from AWS's model */

static const struct call_route lambda_routes[] = {
	{ "AddPermission", lambda_op_add_permission },
	{ "CreateAlias", lambda_op_create_alias },
	{ "CreateFunction", lambda_op_create_function },
	{ "DeleteAlias", lambda_op_delete_alias },
	{ "DeleteFunction", lambda_op_delete_function },
	{ "DeleteFunctionCodeSigningConfig", lambda_op_delete_function_code_signing_config },
	{ "DeleteFunctionConcurrency", lambda_op_delete_function_concurrency },
	{ "DeleteFunctionEventInvokeConfig", lambda_op_delete_function_event_invoke_config },
	{ "DeleteFunctionUrlConfig", lambda_op_delete_function_url_config },
	{ "DeleteProvisionedConcurrencyConfig", lambda_op_delete_provisioned_concurrency_config },
	{ "GetAccountSettings", lambda_op_get_account_settings },
	{ "GetAlias", lambda_op_get_alias },
	{ "GetFunction", lambda_op_get_function },
	{ "GetFunctionCodeSigningConfig", lambda_op_get_function_code_signing_config },
	{ "GetFunctionConcurrency", lambda_op_get_function_concurrency },
	{ "GetFunctionConfiguration", lambda_op_get_function_configuration },
	{ "GetFunctionEventInvokeConfig", lambda_op_get_function_event_invoke_config },
	{ "GetFunctionRecursionConfig", lambda_op_get_function_recursion_config },
	{ "GetFunctionUrlConfig", lambda_op_get_function_url_config },
	{ "GetPolicy", lambda_op_get_policy },
	{ "GetProvisionedConcurrencyConfig", lambda_op_get_provisioned_concurrency_config },
	{ "GetRuntimeManagementConfig", lambda_op_get_runtime_management_config },
	{ "Invoke", op_invoke },
	{ "ListAliases", lambda_op_list_aliases },
	{ "ListFunctionEventInvokeConfigs", lambda_op_list_function_event_invoke_configs },
	{ "ListFunctionUrlConfigs", lambda_op_list_function_url_configs },
	{ "ListFunctions", lambda_op_list_functions },
	{ "ListProvisionedConcurrencyConfigs", lambda_op_list_provisioned_concurrency_configs },
	{ "ListTags", lambda_op_list_tags },
	{ "ListVersionsByFunction", lambda_op_list_versions_by_function },
	{ "PublishVersion", lambda_op_publish_version },
	{ "PutFunctionConcurrency", lambda_op_put_function_concurrency },
	{ "PutFunctionRecursionConfig", lambda_op_put_function_recursion_config },
	{ "RemovePermission", lambda_op_remove_permission },
	{ "TagResource", lambda_op_tag_resource },
	{ "UntagResource", lambda_op_untag_resource },
	{ "UpdateAlias", lambda_op_update_alias },
	{ "UpdateFunctionCode", lambda_op_update_function_code },
	{ "UpdateFunctionConfiguration", lambda_op_update_function_configuration },
};

const struct call_service lambda_service = {
	.model = &aws_service_lambda,
	.routes = lambda_routes,
	.route_count = ARRAY_LEN(lambda_routes),
	.validation_code = "ValidationException",
};

int lambda_start(struct platform *platform)
{
	int r = lambda_settle_all(platform);

	if (r == 0)
		r = lambda_delete_leftovers(platform);
	if (r < 0)
		return err_pass(r);
	lambda_code_sweep(platform);
	return 0;
}
