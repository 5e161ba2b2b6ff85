/*
 * What Lambda has beside functions and what does not exist here: pinned runtimes. None can be put, hence "they are
 * updated automatically" is the truth. Clients like Terraform read these
 * after every change.
 */
#include "base/err.h"
#include "model/arn.h"
#include "services/lambda/names.h"
#include "services/lambda/operations.h"
#include "services/lambda/tree.h"

#include <errno.h>

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
