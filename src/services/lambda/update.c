/*
 * UpdateFunctionCode and UpdateFunctionConfiguration: read, check, change, write if nothing changed meanwhile, else
 * begin again. A ZIP is taken in once, before the first try.
 */
#include "base/err.h"
#include "services/lambda/code.h"
#include "services/lambda/config.h"
#include "services/lambda/layers.h"
#include "services/lambda/operations.h"
#include "services/lambda/publish.h"
#include "services/lambda/runtime.h"
#include "services/lambda/settle.h"
#include "services/lambda/signing.h"

#include <errno.h>

/* The function, if it is the revision that the client means: 0, CALL_ERROR or a fault. */
static int update_read(
	struct call *call, const struct lambda_ref *ref, struct function_record *function)
{
	int r = lambda_function_read(call, ref, S(""), function);

	return r ? err_pass(r)
		 : lambda_check_revision(call, json_get_str(function->latest, "RevisionId"));
}

/* --- configuration --- */

static int update_configuration_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *before = NULL;
	struct batch batch = { .scope = &ref->scope };

	(void)context;
	int r = update_read(call, ref, &function);
	if (r == 0 && !(before = json_copy(function.latest)))
		r = err_raise(-ENOMEM);
	if (r == 0)
		r = lambda_config_update(
			call, function.latest, json_object_get(function.doc, "Tags"));
	if (r == 0 && json_array_size(call_get(call, "Layers")))
		r = lambda_signing_check_function(call, &function);
	if (r == 0)
		r = lambda_refuse_busy(call, &function);
	if (r)
		return err_pass(r);
	struct tree latest = { .at = function.latest };
	lambda_config_set_updated(&latest);
	if (latest.err)
		return err_pass(latest.err);
	if (call_has(call, "Layers")) {
		lambda_code_leave(&batch, &function, before, S("$LATEST"));
		lambda_code_use(&batch, &function, function.latest, S("$LATEST"));
	}
	lambda_unsettle(&function, &batch, 0);
	batch_put_function(&batch, &function);
	r = lambda_commit(&batch, ref->name);
	if (r)
		return err_pass(r);
	str arn = lambda_arn(&ref->scope, ref->name, S(""));
	return err_pass(
		lambda_config_show(call->out, function.latest, ref->name, arn, CONFIG_WHOLE));
}

int lambda_update_function_configuration(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read_latest(call, &ref);
	if (r == 0)
		r = lambda_retry(call, &ref, update_configuration_once, NULL);
	if (r == 0)
		lambda_settle_later(&ref.scope, ref.name);
	return err_pass(r);
}

/* --- code --- */

/* What can be refused before the ZIP is looked at. */
static int update_code_check(struct call *call, const struct lambda_ref *ref)
{
	scoped_function function = {};

	int r = update_read(call, ref, &function);
	if (r)
		return err_pass(r);
	if (call_has(call, "ImageUri"))
		return lambda_refuse(call, INVALID,
			"Please don't provide ImageUri when updating a function with packageType Zip.");
	if (call_has(call, "PublishTo"))
		return lambda_refuse(call, INVALID, "PublishTo is not available in mayfly yet.");
	struct tree latest = { .at = function.latest };
	r = lambda_architecture_set(call, &latest);
	if (r == 0)
		r = latest.err;
	if (r == 0)
		r = lambda_signing_check_function(call, &function);
	return r ? err_pass(r) : lambda_refuse_busy(call, &function);
}

/* The new code in $LATEST, and who uses which ZIP. */
static void update_code_put(
	struct function_record *function, struct batch *batch, const struct lambda_code *code)
{
	struct tree latest = { .at = function->latest };

	if (!str_eq(json_get_str(function->latest, "CodeSha256"), code->sha256)) {
		lambda_code_leave(batch, function, function->latest, S("$LATEST"));
		lambda_code_put(&latest, code);
		lambda_code_use(batch, function, function->latest, S("$LATEST"));
	}
	if (latest.err)
		batch->err = latest.err;
}

static int update_code_write(struct call *call, const struct lambda_ref *ref,
	struct function_record *function, struct batch *batch)
{
	json_auto_t *published = NULL;
	struct tree latest = { .at = function->latest };
	uint64_t number = 0;

	lambda_config_set_updated(&latest);
	if (latest.err)
		return err_pass(latest.err);
	int r = RECORD_ABSENT;
	json_auto_t *unchanged = NULL;
	if (call_bool(call, "Publish", false)) {
		r = lambda_publish_unchanged(function, &unchanged);
		if (r == RECORD_FOUND)
			published = json_incref(json_object_get(unchanged, "Config"));
		else if (r == RECORD_ABSENT)
			r = lambda_publish(
				batch, function, PUBLISH_PENDING, (str){}, &number, &published);
		if (r < 0)
			return err_pass(r);
	}
	lambda_unsettle(function, batch, number);
	batch_put_function(batch, function);
	r = lambda_commit(batch, ref->name);
	if (r)
		return err_pass(r);
	const json_t *shown = published ? published : function->latest;
	str qualifier = published ? json_get_str(published, "Version") : S("");
	str arn = lambda_arn(&ref->scope, ref->name, qualifier);
	return err_pass(lambda_config_show(call->out, shown, ref->name, arn, CONFIG_WHOLE));
}

static int update_code_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	struct batch batch = { .scope = &ref->scope };
	struct lambda_code *code = context;

	int r = update_read(call, ref, &function);
	if (r)
		return err_pass(r);
	struct tree latest = { .at = function.latest };
	r = lambda_architecture_set(call, &latest);
	if (r == 0)
		r = latest.err;
	if (r == 0)
		r = lambda_refuse_busy(call, &function);
	if (r)
		return err_pass(r);
	update_code_put(&function, &batch, code);
	r = batch.err ? err_pass(batch.err) : lambda_layers_check_size(call, function.latest);
	if (r)
		return err_pass(r);
	if (call_bool(call, "DryRun", false)) {
		str arn = lambda_arn(&ref->scope, ref->name, S(""));
		return err_pass(lambda_config_show(
			call->out, function.latest, ref->name, arn, CONFIG_WHOLE));
	}
	r = update_code_write(call, ref, &function, &batch);
	code->is_used = r == 0;
	return err_pass(r);
}

int lambda_update_function_code(struct call *call)
{
	struct lambda_ref ref;
	scoped_code code = {};

	int r = lambda_ref_read_latest(call, &ref);
	if (r == 0)
		r = update_code_check(call, &ref);
	if (r == 0)
		r = lambda_code_take(call, call->in, &code);
	if (r == 0)
		r = lambda_retry(call, &ref, update_code_once, &code);
	if (r)
		return err_pass(r);
	if (code.is_used)
		lambda_settle_later(&ref.scope, ref.name);
	lambda_code_done(&code);
	lambda_code_sweep_sometimes(call->platform);
	return 0;
}
