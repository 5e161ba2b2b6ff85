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
	{ "AddPermission", op_add_permission },
	{ "CreateAlias", op_create_alias },
	{ "CreateFunction", op_create_function },
	{ "DeleteAlias", op_delete_alias },
	{ "DeleteFunction", op_delete_function },
	{ "DeleteFunctionCodeSigningConfig", op_delete_function_code_signing_config },
	{ "DeleteFunctionConcurrency", op_delete_function_concurrency },
	{ "DeleteFunctionEventInvokeConfig", op_delete_function_event_invoke_config },
	{ "DeleteFunctionUrlConfig", op_delete_function_url_config },
	{ "DeleteProvisionedConcurrencyConfig", op_delete_provisioned_concurrency_config },
	{ "GetAccountSettings", op_get_account_settings },
	{ "GetAlias", op_get_alias },
	{ "GetFunction", op_get_function },
	{ "GetFunctionCodeSigningConfig", op_get_function_code_signing_config },
	{ "GetFunctionConcurrency", op_get_function_concurrency },
	{ "GetFunctionConfiguration", op_get_function_configuration },
	{ "GetFunctionEventInvokeConfig", op_get_function_event_invoke_config },
	{ "GetFunctionRecursionConfig", op_get_function_recursion_config },
	{ "GetFunctionUrlConfig", op_get_function_url_config },
	{ "GetPolicy", op_get_policy },
	{ "GetProvisionedConcurrencyConfig", op_get_provisioned_concurrency_config },
	{ "GetRuntimeManagementConfig", op_get_runtime_management_config },
	{ "Invoke", op_invoke },
	{ "ListAliases", op_list_aliases },
	{ "ListFunctionEventInvokeConfigs", op_list_function_event_invoke_configs },
	{ "ListFunctionUrlConfigs", op_list_function_url_configs },
	{ "ListFunctions", op_list_functions },
	{ "ListProvisionedConcurrencyConfigs", op_list_provisioned_concurrency_configs },
	{ "ListTags", op_list_tags },
	{ "ListVersionsByFunction", op_list_versions_by_function },
	{ "PublishVersion", op_publish_version },
	{ "PutFunctionConcurrency", op_put_function_concurrency },
	{ "PutFunctionRecursionConfig", op_put_function_recursion_config },
	{ "RemovePermission", op_remove_permission },
	{ "TagResource", op_tag_resource },
	{ "UntagResource", op_untag_resource },
	{ "UpdateAlias", op_update_alias },
	{ "UpdateFunctionCode", op_update_function_code },
	{ "UpdateFunctionConfiguration", op_update_function_configuration },
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
