/*
 * CreateFunction: configuration, then code, then one write that fails if the name is taken. Everything that can be
 * refused is refused before the write, so a failed create leaves nothing.
 */
#include "base/err.h"
#include "model/limits.h"
#include "services/lambda/code.h"
#include "services/lambda/config.h"
#include "services/lambda/layers.h"
#include "services/lambda/operations.h"
#include "services/lambda/publish.h"
#include "services/lambda/settle.h"
#include "services/lambda/signing.h"
#include "services/lambda/tags.h"

#include <errno.h>

static int create_check_name(struct call *call, const struct lambda_ref *ref)
{
	scoped_function existing = {};

	if (ref->name.len > LIMIT_FUNCTION_NAME)
		return lambda_refuse(call, INVALID,
			"1 validation error detected: Value '" STR_FMT
			"' at 'functionName' failed to "
			"satisfy constraint: Member must have length less than or equal to %d",
			STR_ARG(ref->name), LIMIT_FUNCTION_NAME);
	int r = function_record_get(&ref->scope, ref->name, &existing);
	if (r == RECORD_FOUND)
		return lambda_refuse(
			call, CONFLICT, "Function already exist: " STR_FMT, STR_ARG(ref->name));
	return r == RECORD_ABSENT ? 0 : err_pass(r);
}

/* Put the new function's documents into the batch; `config` becomes its $LATEST. */
static int create_fill(struct call *call, struct function_record *function, struct batch *batch,
	json_t **ret_published)
{
	struct tree doc = { .at = function->doc };
	uint64_t number = 0;

	tree_copy(&doc, "Tags", call_get(call, "Tags"));
	if (doc.err)
		return err_pass(doc.err);
	if (call_bool(call, "Publish", false)) {
		int r = lambda_publish(
			batch, function, PUBLISH_PENDING, (str){}, &number, ret_published);
		if (r < 0)
			return err_pass(r);
	}
	if (call_has(call, "CodeSigningConfigArn")) {
		int r = lambda_signing_put(
			call, function, batch, call_str(call, "CodeSigningConfigArn"));
		if (r)
			return err_pass(r);
	}
	lambda_code_use(batch, function, function->latest, S("$LATEST"));
	lambda_unsettle(function, batch, number);
	batch_put_function(batch, function);
	return 0;
}

static int create_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *published = NULL;
	struct batch batch = { .scope = &ref->scope };
	json_t *config = context;

	int r = function_record_new(&ref->scope, ref->name, json_incref(config), &function);
	if (r == 0)
		r = create_fill(call, &function, &batch, &published);
	if (r == 0)
		r = lambda_commit(&batch, ref->name);
	if (r == LAMBDA_AGAIN) { /* the name is taken by now, or something else has changed */
		r = create_check_name(call, ref);
		return r ? err_pass(r) : LAMBDA_AGAIN;
	}
	if (r)
		return err_pass(r);
	lambda_settle_later(&ref->scope, ref->name);
	/* With Publish, AWS answers the version, but with the ARN of the function. */
	str arn = lambda_arn(&ref->scope, ref->name, S(""));
	return err_pass(lambda_config_show(
		call->out, published ? published : function.latest, ref->name, arn, CONFIG_WHOLE));
}

int lambda_create_function(struct call *call)
{
	struct lambda_ref ref;
	scoped_code code = {};
	json_auto_t *config = NULL;

	int r = lambda_ref_read_function(call, &ref);
	if (r == 0)
		r = create_check_name(call, &ref);
	if (r == 0)
		r = lambda_config_new(call, &ref, &config);
	if (r == 0)
		r = lambda_check_tags(call, NULL, call_get(call, "Tags"));
	if (r == 0)
		r = lambda_signing_check(call, ref.name, call_str(call, "CodeSigningConfigArn"));
	if (r == 0)
		r = lambda_code_take(call, call_get(call, "Code"), &code);
	if (r)
		return err_pass(r);

	struct tree tree = { .at = config };
	lambda_code_put(&tree, &code);
	lambda_config_set_created(&tree);
	r = tree.err ? err_pass(tree.err) : lambda_layers_check_size(call, config);
	if (r == 0)
		r = lambda_retry(call, &ref, create_once, config);
	code.is_used = r == 0;
	lambda_code_done(&code);
	lambda_code_sweep_sometimes(call->platform);
	return err_pass(r);
}
