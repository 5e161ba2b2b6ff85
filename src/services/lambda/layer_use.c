/*
 * What a function has of layers. It remembers their ZIPs itself: a layer version that is deleted goes on working for the
 * functions that have it, and only cannot be chosen any more.
 */
#include "base/err.h"
#include "model/arn.h"
#include "model/limits.h"
#include "services/lambda/caller.h"
#include "services/lambda/layers.h"

#include <errno.h>
#include <inttypes.h>

static int use_refuse_missing(struct call *call, str arn)
{
	return lambda_refuse(
		call, INVALID, "Layer version " STR_FMT " does not exist.", STR_ARG(arn));
}

/* The version that an ARN names: 0 and *ret_doc (the caller's), CALL_ERROR or a fault. */
static int use_read(struct call *call, str arn, json_t **ret_doc)
{
	struct lambda_scope scope = lambda_scope_of(call);
	struct layer_name name;
	uint64_t number;

	if (layer_name_parse(arn, &name) < 0)
		return use_refuse_missing(call, arn); /* AWS's own */
	bool is_here = str_eq(name.region, call->region);
	if (!is_here && str_eq(name.account, call->account))
		return lambda_refuse(call, INVALID,
			"Layers are not in the same region as the function. Layers are expected "
			"to be in region " STR_FMT ".",
			STR_ARG(call->region));
	if (!is_here)
		return lambda_refuse_access(call, S("lambda:GetLayerVersion"), arn);
	if (str_to_u64(name.version, RECORD_VERSION_MAX, &number) < 0 || number == 0)
		return use_refuse_missing(call, arn);
	scope.account = name.account;
	int r = lambda_layer_have(call, &scope, name.name, number, ret_doc);
	if (r)
		return err_pass(r);
	return *ret_doc ? 0 : use_refuse_missing(call, arn);
}

/* An ARN without its version. */
static str use_layer_of(str arn)
{
	struct layer_name name;

	return layer_name_parse(arn, &name) == 0 && name.version.len
		? str_slice(arn, 0, arn.len - name.version.len - 1)
		: arn;
}

/* "Two different versions of the same layer …" of those that were chosen before this one. */
static int use_check_twice(struct call *call, const json_t *given, size_t at)
{
	str arn = json_view(json_array_get(given, at));

	for (size_t i = at; i-- > 0;) {
		str before = json_view(json_array_get(given, i));
		if (str_eq(use_layer_of(before), use_layer_of(arn)))
			return lambda_refuse(call, INVALID,
				"Two different versions of the same layer are not allowed to be "
				"referenced in the same function. " STR_FMT " and " STR_FMT
				" are versions of the same layer.",
				STR_ARG(before), STR_ARG(arn));
	}
	return 0;
}

static int use_add(struct call *call, str arn, struct tree *shown, struct tree *code)
{
	json_auto_t *doc = NULL;

	int r = use_read(call, arn, &doc);
	if (r)
		return err_pass(r);
	const json_t *layer = json_object_get(doc, "Layer");
	struct tree item = { .at = json_object() }, zip = { .at = json_object() };
	tree_put_str(&item, "Arn", arn);
	tree_copy(&item, "CodeSize", json_object_get(layer, "CodeSize"));
	tree_copy(&zip, "CodeSha256", json_object_get(layer, "CodeSha256"));
	tree_copy(&zip, "Unpacked", json_object_get(layer, "Unpacked"));
	tree_copy(&zip, "HasExtensions", json_object_get(layer, "HasExtensions"));
	tree_add(shown, item.at);
	tree_add(code, zip.at);
	tree_join(shown, &item);
	tree_join(code, &zip);
	return 0;
}

int lambda_layers_set(struct call *call, struct tree *config)
{
	const json_t *given = call_get(call, "Layers");
	struct tree shown = { .at = json_array() }, code = { .at = json_array() };
	int r = 0;

	if (json_array_size(given) > LIMIT_LAYERS)
		r = lambda_refuse(
			call, INVALID, "Cannot reference more than %d layers.", LIMIT_LAYERS);
	for (size_t i = 0; r == 0 && i < json_array_size(given); i++) {
		r = use_add(call, json_view(json_array_get(given, i)), &shown, &code);
		if (r == 0)
			r = use_check_twice(call, given, i);
	}
	if (r == 0 && json_array_size(shown.at)) {
		tree_copy(config, "Layers", shown.at);
		tree_copy(config, "LayerCode", code.at);
	} else if (r == 0 && given) {
		tree_drop(config, "Layers");
		tree_drop(config, "LayerCode");
	}
	json_decref(shown.at);
	json_decref(code.at);
	tree_join(config, &shown);
	tree_join(config, &code);
	return r ? err_pass(r) : err_pass(config->err);
}

int lambda_layers_check_size(struct call *call, const json_t *config)
{
	uint64_t bytes = (uint64_t)json_integer_value(json_object_get(config, "Unpacked"));
	size_t i;
	json_t *layer;

	json_array_foreach(json_object_get(config, "LayerCode"), i, layer)
		bytes += (uint64_t)json_integer_value(json_object_get(layer, "Unpacked"));
	if (bytes <= LIMIT_UNZIPPED_BYTES)
		return 0;
	return lambda_refuse(call, INVALID,
		"Function code combined with layers exceeds the maximum allowed size of %d bytes. "
		"The actual size is %" PRIu64 " bytes.",
		LIMIT_UNZIPPED_BYTES, bytes);
}
