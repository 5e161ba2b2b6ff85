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
#include "services/lambda/provisioned.h"
#include "services/lambda/settle.h"
#include "services/lambda/snapshot.h"

extern const struct aws_service aws_service_lambda; /* generated from AWS's model */

static const struct call_route lambda_routes[] = {
	{ "AddLayerVersionPermission", lambda_add_layer_version_permission },
	{ "AddPermission", lambda_add_permission },
	{ "CreateAlias", lambda_create_alias },
	{ "CreateCodeSigningConfig", lambda_create_code_signing_config },
	{ "CreateFunction", lambda_create_function },
	{ "CreateFunctionUrlConfig", lambda_create_function_url_config },
	{ "DeleteAlias", lambda_delete_alias },
	{ "DeleteCodeSigningConfig", lambda_delete_code_signing_config },
	{ "DeleteFunction", lambda_delete_function },
	{ "DeleteFunctionCodeSigningConfig", lambda_delete_function_code_signing_config },
	{ "DeleteFunctionConcurrency", lambda_delete_function_concurrency },
	{ "DeleteFunctionEventInvokeConfig", lambda_delete_function_event_invoke_config },
	{ "DeleteFunctionUrlConfig", lambda_delete_function_url_config },
	{ "DeleteLayerVersion", lambda_delete_layer_version },
	{ "DeleteProvisionedConcurrencyConfig", lambda_delete_provisioned_concurrency_config },
	{ "GetAccountSettings", lambda_get_account_settings },
	{ "GetAlias", lambda_get_alias },
	{ "GetCodeSigningConfig", lambda_get_code_signing_config },
	{ "GetFunction", lambda_get_function },
	{ "GetFunctionCodeSigningConfig", lambda_get_function_code_signing_config },
	{ "GetFunctionConcurrency", lambda_get_function_concurrency },
	{ "GetFunctionConfiguration", lambda_get_function_configuration },
	{ "GetFunctionEventInvokeConfig", lambda_get_function_event_invoke_config },
	{ "GetFunctionRecursionConfig", lambda_get_function_recursion_config },
	{ "GetFunctionUrlConfig", lambda_get_function_url_config },
	{ "GetLayerVersion", lambda_get_layer_version },
	{ "GetLayerVersionByArn", lambda_get_layer_version_by_arn },
	{ "GetLayerVersionPolicy", lambda_get_layer_version_policy },
	{ "GetPolicy", lambda_get_policy },
	{ "GetProvisionedConcurrencyConfig", lambda_get_provisioned_concurrency_config },
	{ "GetRuntimeManagementConfig", lambda_get_runtime_management_config },
	{ "Invoke", op_invoke },
	{ "InvokeAsync", op_invoke_async },
	{ "InvokeWithResponseStream", op_invoke },
	{ "ListAliases", lambda_list_aliases },
	{ "ListCodeSigningConfigs", lambda_list_code_signing_configs },
	{ "ListFunctionEventInvokeConfigs", lambda_list_function_event_invoke_configs },
	{ "ListFunctionUrlConfigs", lambda_list_function_url_configs },
	{ "ListFunctions", lambda_list_functions },
	{ "ListFunctionsByCodeSigningConfig", lambda_list_functions_by_code_signing_config },
	{ "ListLayerVersions", lambda_list_layer_versions },
	{ "ListLayers", lambda_list_layers },
	{ "ListProvisionedConcurrencyConfigs", lambda_list_provisioned_concurrency_configs },
	{ "ListTags", lambda_list_tags },
	{ "ListVersionsByFunction", lambda_list_versions_by_function },
	{ "PublishLayerVersion", lambda_publish_layer_version },
	{ "PublishVersion", lambda_publish_version },
	{ "PutFunctionCodeSigningConfig", lambda_put_function_code_signing_config },
	{ "PutFunctionConcurrency", lambda_put_function_concurrency },
	{ "PutFunctionEventInvokeConfig", lambda_put_function_event_invoke_config },
	{ "PutFunctionRecursionConfig", lambda_put_function_recursion_config },
	{ "PutProvisionedConcurrencyConfig", lambda_put_provisioned_concurrency_config },
	{ "PutRuntimeManagementConfig", lambda_put_runtime_management_config },
	{ "RemoveLayerVersionPermission", lambda_remove_layer_version_permission },
	{ "RemovePermission", lambda_remove_permission },
	{ "TagResource", lambda_tag_resource },
	{ "UntagResource", lambda_untag_resource },
	{ "UpdateAlias", lambda_update_alias },
	{ "UpdateCodeSigningConfig", lambda_update_code_signing_config },
	{ "UpdateFunctionCode", lambda_update_function_code },
	{ "UpdateFunctionConfiguration", lambda_update_function_configuration },
	{ "UpdateFunctionEventInvokeConfig", lambda_update_function_event_invoke_config },
	{ "UpdateFunctionUrlConfig", lambda_update_function_url_config },
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
	lambda_snapshot_sweep(platform);
	r = lambda_provision_tell_all(platform);
	if (r < 0)
		return err_pass(r);
	return err_pass(lambda_snapshot_resume(platform));
}
