#pragma once
/*
 * The handlers of Lambda's operations, one a line of the table in service.c. Each answers as call.h says: 0 with
 * call->out filled, CALL_ERROR, or a fault. (Invoke is in invoke.h.)
 */
struct call;

/* create.c, update.c, delete.c, read.c, publish.c: functions and their versions */
int lambda_create_function(struct call *call);
int lambda_update_function_code(struct call *call);
int lambda_update_function_configuration(struct call *call);
int lambda_delete_function(struct call *call);
int lambda_get_function(struct call *call);
int lambda_get_function_configuration(struct call *call);
int lambda_list_functions(struct call *call);
int lambda_list_versions_by_function(struct call *call);
int lambda_publish_version(struct call *call);

/* alias.c */
int lambda_create_alias(struct call *call);
int lambda_get_alias(struct call *call);
int lambda_update_alias(struct call *call);
int lambda_delete_alias(struct call *call);
int lambda_list_aliases(struct call *call);

/* policy.c */
int lambda_add_permission(struct call *call);
int lambda_remove_permission(struct call *call);
int lambda_get_policy(struct call *call);

/* layer_versions.c, layer_lists.c, layer_policy.c */
int lambda_publish_layer_version(struct call *call);
int lambda_get_layer_version(struct call *call);
int lambda_get_layer_version_by_arn(struct call *call);
int lambda_delete_layer_version(struct call *call);
int lambda_list_layers(struct call *call);
int lambda_list_layer_versions(struct call *call);
int lambda_add_layer_version_permission(struct call *call);
int lambda_remove_layer_version_permission(struct call *call);
int lambda_get_layer_version_policy(struct call *call);

/* signing.c */
int lambda_create_code_signing_config(struct call *call);
int lambda_get_code_signing_config(struct call *call);
int lambda_update_code_signing_config(struct call *call);
int lambda_delete_code_signing_config(struct call *call);
int lambda_list_code_signing_configs(struct call *call);
int lambda_list_functions_by_code_signing_config(struct call *call);
int lambda_put_function_code_signing_config(struct call *call);
int lambda_get_function_code_signing_config(struct call *call);
int lambda_delete_function_code_signing_config(struct call *call);

/* tags.c */
int lambda_tag_resource(struct call *call);
int lambda_untag_resource(struct call *call);
int lambda_list_tags(struct call *call);

/* concurrency.c */
int lambda_put_function_concurrency(struct call *call);
int lambda_get_function_concurrency(struct call *call);
int lambda_delete_function_concurrency(struct call *call);
int lambda_get_account_settings(struct call *call);

/* provisioned.c */
int lambda_put_provisioned_concurrency_config(struct call *call);
int lambda_get_provisioned_concurrency_config(struct call *call);
int lambda_delete_provisioned_concurrency_config(struct call *call);
int lambda_list_provisioned_concurrency_configs(struct call *call);

/* url.c */
int lambda_create_function_url_config(struct call *call);
int lambda_get_function_url_config(struct call *call);
int lambda_update_function_url_config(struct call *call);
int lambda_delete_function_url_config(struct call *call);
int lambda_list_function_url_configs(struct call *call);

/* recursion.c */
int lambda_get_function_recursion_config(struct call *call);
int lambda_put_function_recursion_config(struct call *call);

/* event_invoke.c */
int lambda_put_function_event_invoke_config(struct call *call);
int lambda_update_function_event_invoke_config(struct call *call);
int lambda_get_function_event_invoke_config(struct call *call);
int lambda_delete_function_event_invoke_config(struct call *call);
int lambda_list_function_event_invoke_configs(struct call *call);

/* absent.c: what a function has none of, told truthfully */
int lambda_get_runtime_management_config(struct call *call);
int lambda_put_runtime_management_config(struct call *call);
