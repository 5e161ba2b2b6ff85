/*
 * PublishLayerVersion, GetLayerVersion, GetLayerVersionByArn, DeleteLayerVersion. The layer's document is written with each
 * new version, so that two that are published at once have two numbers.
 */
#include "base/err.h"
#include "model/arn.h"
#include "services/lambda/code.h"
#include "services/lambda/config.h"
#include "services/lambda/layers.h"
#include "services/lambda/operations.h"

#include <errno.h>
#include <inttypes.h>

static const char LAYER_MISSING[] = "The resource you requested does not exist.";

/* Who uses the ZIP of a version: see record_code_key(). */
static str layer_user(const struct lambda_scope *scope, str name, uint64_t number)
{
	str layer = arena_strf(scope->arena, STR_FMT STR_FMT "/%" PRIu64, STR_ARG(CODE_LAYER),
		STR_ARG(name), number);

	return layer.at ? record_account_key(scope, layer) : layer;
}

/* A version as it is published and as it is got. */
static int layer_answer(
	struct call *call, const struct lambda_scope *scope, str name, const json_t *layer)
{
	struct tree out = { .at = call->out };
	json_int_t number = json_integer_value(json_object_get(layer, "Version"));
	struct lambda_ref ref = { .scope = *scope,
		.name = arena_strf(
			call->arena, STR_FMT STR_FMT, STR_ARG(CODE_LAYER), STR_ARG(name)) };
	str version = arena_strf(call->arena, "%" PRIu64, (uint64_t)number), address;

	if (!ref.name.at || !version.at)
		return err_raise(-ENOMEM);
	int r = lambda_code_address(call, &ref, version, &address);
	if (r < 0)
		return err_pass(r);
	struct tree content = tree_object(&out, "Content");
	tree_put_str(&content, "Location", address);
	tree_copy(&content, "CodeSha256", json_object_get(layer, "CodeSha256"));
	tree_copy(&content, "CodeSize", json_object_get(layer, "CodeSize"));
	tree_join(&out, &content);
	tree_put_str(&out, "LayerArn", lambda_layer_arn(scope, name, 0));
	lambda_layer_show(&out, scope, name, layer);
	return err_pass(out.err);
}

/* --- PublishLayerVersion --- */

/* The version's document: 0 and *ret_doc (the caller's), or a fault. */
static int publish_make(
	struct call *call, uint64_t number, const struct lambda_code *code, json_t **ret_doc)
{
	json_auto_t *made = json_object();
	struct tree doc = { .at = made };
	struct tree layer = tree_object(&doc, "Layer");

	tree_put_int(&doc, "Schema", RECORD_SCHEMA);
	tree_put_int(&layer, "Version", (int64_t)number);
	tree_put_str(&layer, "Description", call_str(call, "Description"));
	tree_put(&layer, "CreatedDate", lambda_config_now());
	tree_copy(&layer, "CompatibleRuntimes", call_get(call, "CompatibleRuntimes"));
	tree_copy(&layer, "CompatibleArchitectures", call_get(call, "CompatibleArchitectures"));
	tree_copy(&layer, "LicenseInfo", call_get(call, "LicenseInfo"));
	lambda_code_put(&layer, code);
	tree_join(&doc, &layer);
	if (doc.err)
		return err_pass(doc.err);
	*ret_doc = json_incref(made);
	return 0;
}

/* The layer, with the number of its next version counted up. */
static int publish_count(const struct lambda_ref *ref, struct batch *batch, uint64_t *ret_number)
{
	json_auto_t *doc = NULL;
	uint64_t revision = DOCS_NEW;
	str key = record_account_key(&ref->scope, ref->name);

	int r = record_get(&ref->scope, KIND_LAYER, key, &doc, &revision);
	if (r < 0)
		return err_pass(r);
	if (r == RECORD_ABSENT)
		doc = json_object();
	struct tree layer = { .at = doc };
	json_int_t next = json_integer_value(json_object_get(doc, "NextVersion"));
	if (next < 1)
		next = 1;
	if (next >= RECORD_VERSION_MAX)
		return err_raise(-EOVERFLOW);
	tree_put_int(&layer, "Schema", RECORD_SCHEMA);
	tree_put_str(&layer, "Name", ref->name);
	tree_put_int(&layer, "NextVersion", next + 1);
	if (layer.err)
		return err_pass(layer.err);
	batch_put(batch, KIND_LAYER, key, doc, revision);
	*ret_number = (uint64_t)next;
	return 0;
}

static int publish_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	struct lambda_code *code = context;
	struct batch batch = { .scope = &ref->scope };
	json_auto_t *doc = NULL;
	uint64_t number = 0;

	int r = publish_count(ref, &batch, &number);
	if (r == 0)
		r = publish_make(call, number, code, &doc);
	if (r < 0)
		return err_pass(r);
	const json_t *layer = json_object_get(doc, "Layer");
	batch_put(&batch, KIND_LAYER_VERSION, lambda_layer_key(&ref->scope, ref->name, number), doc,
		DOCS_NEW);
	lambda_code_use_by(&batch, layer, layer_user(&ref->scope, ref->name, number));
	r = batch_commit(&batch);
	if (r)
		return r == DOCS_CONFLICT ? LAMBDA_AGAIN : err_pass(r);
	code->is_used = true;
	return err_pass(layer_answer(call, &ref->scope, ref->name, layer));
}

int lambda_publish_layer_version(struct call *call)
{
	struct lambda_ref ref;
	scoped_code code = {};

	int r = lambda_layer_ref_own(call, &ref);
	if (r == 0)
		r = lambda_code_take(call, call_get(call, "Content"), &code);
	if (r == 0)
		r = lambda_retry(call, &ref, publish_once, &code);
	lambda_code_done(&code);
	lambda_code_sweep_sometimes(call->platform);
	return err_pass(r);
}

/* --- GetLayerVersion, GetLayerVersionByArn --- */

static int layer_get(struct call *call, const struct lambda_scope *scope, str name, uint64_t number)
{
	json_auto_t *doc = NULL;

	int r = lambda_layer_have(call, scope, name, number, &doc);
	if (r)
		return err_pass(r);
	if (!doc)
		return lambda_refuse(call, NOT_FOUND, "%s", LAYER_MISSING);
	return err_pass(layer_answer(call, scope, name, json_object_get(doc, "Layer")));
}

int lambda_get_layer_version(struct call *call)
{
	struct lambda_ref ref;
	uint64_t number = 0;

	int r = lambda_layer_ref(call, &ref);
	if (r == 0)
		r = lambda_layer_number(call, &number);
	return r ? err_pass(r) : err_pass(layer_get(call, &ref.scope, ref.name, number));
}

int lambda_get_layer_version_by_arn(struct call *call)
{
	struct lambda_scope scope = lambda_scope_of(call);
	struct layer_name name;
	uint64_t number = 0;

	/* What the pattern lets pass besides are layers of AWS's own, of which there are none. */
	if (layer_name_parse(call_str(call, "Arn"), &name) < 0 ||
		str_to_u64(name.version, RECORD_VERSION_MAX, &number) < 0 || number == 0 ||
		!str_eq(name.region, call->region))
		return lambda_refuse(call, NOT_FOUND, "%s", LAYER_MISSING);
	scope.account = name.account;
	return err_pass(layer_get(call, &scope, name.name, number));
}

/* --- DeleteLayerVersion --- */

static int delete_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	const uint64_t *number = context;
	struct batch batch = { .scope = &ref->scope };
	json_auto_t *doc = NULL;
	uint64_t revision;

	(void)call;
	int r = lambda_layer_get(&ref->scope, ref->name, *number, &doc, &revision);
	if (r)
		return r == RECORD_ABSENT ? 0 : err_pass(r); /* there is nothing to do */
	str key = lambda_layer_key(&ref->scope, ref->name, *number);
	batch_delete(&batch, KIND_LAYER_VERSION, key, revision);
	batch_delete(&batch, KIND_LAYER_POLICY, key, DOCS_ANY);
	lambda_code_leave_by(
		&batch, json_object_get(doc, "Layer"), layer_user(&ref->scope, ref->name, *number));
	r = batch_commit(&batch);
	return r == DOCS_CONFLICT ? LAMBDA_AGAIN : err_pass(r);
}

int lambda_delete_layer_version(struct call *call)
{
	struct lambda_ref ref;
	uint64_t number = 0;

	int r = lambda_layer_ref_own(call, &ref);
	if (r == 0)
		r = lambda_layer_number(call, &number);
	if (r == 0)
		r = lambda_retry(call, &ref, delete_once, &number);
	if (r)
		return err_pass(r);
	lambda_code_sweep_sometimes(call->platform);
	return 0;
}
