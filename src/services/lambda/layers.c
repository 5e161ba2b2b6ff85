/* What all operations on layers share: names, keys, documents, and who may have a version. */
#include "services/lambda/layers.h"

#include "base/attr.h"
#include "base/err.h"
#include "model/arn.h"
#include "services/lambda/caller.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

/* --- names --- */

str lambda_layer_arn(const struct lambda_scope *scope, str name, uint64_t number)
{
	str version = number ? arena_strf(scope->arena, ":%" PRIu64, number) : S("");

	return arena_strf(scope->arena,
		"arn:" STR_FMT ":lambda:" STR_FMT ":" STR_FMT ":layer:" STR_FMT STR_FMT,
		STR_ARG(arn_partition(scope->region)), STR_ARG(scope->region),
		STR_ARG(scope->account), STR_ARG(name), STR_ARG(version));
}

int lambda_layer_ref(struct call *call, struct lambda_ref *ret_ref)
{
	struct lambda_ref ref = {
		.scope = lambda_scope_of(call),
		.name = call_str(call, "LayerName"),
	};
	struct layer_name name;

	if (layer_name_parse(ref.name, &name) == 0) {
		if (!str_eq(name.region, call->region))
			return lambda_refuse(call, NOT_FOUND,
				"Layers from '" STR_FMT
				"' are not reachable in this region ('" STR_FMT "')",
				STR_ARG(name.region), STR_ARG(call->region));
		ref.name = name.name;
		ref.scope.account = name.account;
	}
	*ret_ref = ref;
	return 0;
}

int lambda_layer_ref_own(struct call *call, struct lambda_ref *ret_ref)
{
	struct lambda_ref ref;

	int r = lambda_layer_ref(call, &ref);
	if (r)
		return err_pass(r);
	if (!str_eq(ref.scope.account, call->account))
		return lambda_refuse_access(call,
			arena_strf(call->arena, "lambda:" STR_FMT, STR_ARG(call->operation->name)),
			lambda_layer_arn(&ref.scope, ref.name, 0));
	*ret_ref = ref;
	return 0;
}

int lambda_layer_number(struct call *call, uint64_t *ret_number)
{
	int64_t number = call_int(call, "VersionNumber", 0);

	if (number < 1)
		return lambda_refuse(call, INVALID, "Layer Version Cannot be less than 1");
	*ret_number = (uint64_t)number;
	return 0;
}

/* --- documents --- */

str lambda_layer_key(const struct lambda_scope *scope, str name, uint64_t number)
{
	assert(number <= RECORD_VERSION_MAX);
	return arena_strf(scope->arena, STR_FMT "/" STR_FMT "/" STR_FMT "/%010" PRIu64,
		STR_ARG(scope->account), STR_ARG(scope->region), STR_ARG(name),
		(uint64_t)RECORD_VERSION_MAX - number);
}

int lambda_layer_get(const struct lambda_scope *scope, str name, uint64_t number, json_t **ret_doc,
	uint64_t *ret_revision)
{
	json_t *doc;

	if (number > RECORD_VERSION_MAX)
		return RECORD_ABSENT;
	int r = record_get(scope, KIND_LAYER_VERSION, lambda_layer_key(scope, name, number), &doc,
		ret_revision);
	if (r != RECORD_FOUND)
		return err_pass(r);
	if (!json_is_object(json_object_get(doc, "Layer"))) {
		json_decref(doc);
		return err_raise(-EBADMSG);
	}
	*ret_doc = doc;
	return RECORD_FOUND;
}

/* May another account have this version? */
static int layer_is_allowed(struct call *call, const struct lambda_scope *scope, str name,
	uint64_t number, bool *ret_is_allowed)
{
	json_auto_t *policy = NULL;
	struct lambda_caller caller;

	if (number > RECORD_VERSION_MAX)
		return 0;
	int r = record_get(
		scope, KIND_LAYER_POLICY, lambda_layer_key(scope, name, number), &policy, NULL);
	if (r < 0)
		return err_pass(r);
	lambda_caller_init_of(&caller, call);
	const struct policy_request request = lambda_caller_request(
		&caller, S("lambda:GetLayerVersion"));
	*ret_is_allowed = r == RECORD_FOUND && lambda_policy_allows(policy, &request);
	return 0;
}

int lambda_layer_have(struct call *call, const struct lambda_scope *scope, str name,
	uint64_t number, json_t **ret_doc)
{
	bool is_allowed = str_eq(scope->account, call->account);

	if (!is_allowed) {
		int r = layer_is_allowed(call, scope, name, number, &is_allowed);
		if (r < 0)
			return err_pass(r);
	}
	if (!is_allowed)
		return lambda_refuse_access(
			call, S("lambda:GetLayerVersion"), lambda_layer_arn(scope, name, number));
	*ret_doc = NULL;
	int r = lambda_layer_get(scope, name, number, ret_doc, NULL);
	return r == RECORD_ABSENT ? 0 : err_pass(r);
}

void lambda_layer_show(
	struct tree *out, const struct lambda_scope *scope, str name, const json_t *layer)
{
	static const char *const members[] = { "Description", "CreatedDate", "Version",
		"CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo" };
	json_int_t number = json_integer_value(json_object_get(layer, "Version"));

	tree_put_str(out, "LayerVersionArn", lambda_layer_arn(scope, name, (uint64_t)number));
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		tree_copy(out, members[i], json_object_get(layer, members[i]));
}
