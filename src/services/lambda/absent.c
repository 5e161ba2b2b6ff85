/*
 * What Lambda has beside functions and what does not exist here yet: event invoke
 * configurations, pinned runtimes. Nothing of it can be put (those operations have no row in the
 * table, so they say that they are not available), hence "there is none" is the truth. Clients like Terraform read these
 * after every change.
 */
#include "base/err.h"
#include "model/arn.h"
#include "services/lambda/names.h"
#include "services/lambda/operations.h"
#include "services/lambda/tree.h"

#include <errno.h>

/* The function must exist; "Function not found: ARN". */
static int absent_check_function(struct call *call)
{
	scoped_function function = {};
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_function_read(call, &ref, S(""), &function));
}

/* The function must exist, or this is what is said. */
static int absent_check_function_saying(struct call *call, const char *words)
{
	scoped_function function = {};
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r)
		return err_pass(r);
	r = function_record_get(&ref.scope, ref.name, &function);
	return r == RECORD_ABSENT ? lambda_refuse(call, NOT_FOUND, "%s", words) : err_pass(r);
}

/* A list without items. */
static int absent_put_list(struct call *call, const char *name)
{
	struct tree out = { .at = call->out };

	tree_put(&out, name, json_array());
	return err_pass(out.err);
}

/* --- runtime updates: what is installed on the node runs, so they are automatic --- */

static int runtime_management(struct call *call)
{
	scoped_found found = {};
	struct tree out = { .at = call->out };
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r == 0)
		r = lambda_find(call, &ref, &found);
	if (r)
		return err_pass(r);
	str qualifier = ref.qualifier.len ? ref.qualifier : S("$LATEST");
	tree_put_text(&out, "UpdateRuntimeOn", "Auto");
	tree_put_str(&out, "FunctionArn", lambda_arn(&ref.scope, ref.name, qualifier));
	return err_pass(out.err);
}

int lambda_get_runtime_management_config(struct call *call)
{
	return err_pass(runtime_management(call));
}

int lambda_put_runtime_management_config(struct call *call)
{
	str when = call_str(call, "UpdateRuntimeOn");

	int r = runtime_management(call);
	if (r)
		return err_pass(r);
	if (!str_eq(when, S("Auto")))
		return lambda_refuse(call, INVALID,
			"UpdateRuntimeOn " STR_FMT
			" is not available in mayfly: functions run on what is installed on the node.",
			STR_ARG(when));
	if (call_has(call, "RuntimeVersionArn"))
		return lambda_refuse(call, INVALID,
			"RuntimeVersionArn is for UpdateRuntimeOn Manual, which is not available in mayfly.");
	return 0;
}

/* --- recursive loops: nothing looks for them, which AWS calls Allow --- */

int lambda_get_function_recursion_config(struct call *call)
{
	struct tree out = { .at = call->out };

	int r = absent_check_function(call);
	if (r)
		return err_pass(r);
	tree_put_text(&out, "RecursiveLoop", "Allow");
	return err_pass(out.err);
}

int lambda_put_function_recursion_config(struct call *call)
{
	int r = lambda_get_function_recursion_config(call);

	if (r)
		return err_pass(r);
	if (str_eq(call_str(call, "RecursiveLoop"), S("Allow")))
		return 0;
	return lambda_refuse(call, INVALID,
		"RecursiveLoop Terminate (detection of recursive loops) is not available in mayfly yet.");
}

/* --- event invoke configurations --- */

static int absent_event_invoke(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r)
		return err_pass(r);
	str arn = lambda_arn(
		&ref.scope, ref.name, ref.qualifier.len ? ref.qualifier : S("$LATEST"));
	return lambda_refuse(call, NOT_FOUND,
		"The function " STR_FMT " doesn't have an EventInvokeConfig", STR_ARG(arn));
}

int lambda_get_function_event_invoke_config(struct call *call)
{
	return absent_event_invoke(call);
}

int lambda_delete_function_event_invoke_config(struct call *call)
{
	return absent_event_invoke(call);
}

int lambda_list_function_event_invoke_configs(struct call *call)
{
	int r = absent_check_function_saying(call, "The function doesn't exist.");

	return r ? err_pass(r) : err_pass(absent_put_list(call, "FunctionEventInvokeConfigs"));
}
