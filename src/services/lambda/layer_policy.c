/*
 * AddLayerVersionPermission, RemoveLayerVersionPermission, GetLayerVersionPolicy. A policy is written together with its
 * version's document, unchanged, so that none is made for a version that is gone.
 */
#include "base/err.h"
#include "services/lambda/layers.h"
#include "services/lambda/operations.h"
#include "services/lambda/statements.h"

#include <errno.h>

static const char LAYER_GETTER[] = "GetLayerPolicy";

/* A version and its policy, as they were read. */
struct layer_policy {
	str arn, key;
	json_t *version, *policy; /* owned; policy NULL: there is none */
	uint64_t version_revision, policy_revision;
};

static void layer_policy_done(struct layer_policy *read)
{
	json_decref(read->version);
	json_decref(read->policy);
}
#define scoped_layer_policy [[gnu::cleanup(layer_policy_done)]] struct layer_policy

static int layer_policy_read(
	struct call *call, const struct lambda_ref *ref, uint64_t number, struct layer_policy *read)
{
	read->arn = lambda_layer_arn(&ref->scope, ref->name, number);
	int r = lambda_layer_get(
		&ref->scope, ref->name, number, &read->version, &read->version_revision);
	if (r == RECORD_ABSENT)
		return lambda_refuse(call, NOT_FOUND, "Layer version " STR_FMT " does not exist.",
			STR_ARG(read->arn));
	if (r < 0)
		return err_pass(r);
	read->key = lambda_layer_key(&ref->scope, ref->name, number);
	read->policy_revision = DOCS_NEW;
	r = record_get(
		&ref->scope, KIND_LAYER_POLICY, read->key, &read->policy, &read->policy_revision);
	return r == RECORD_ABSENT ? 0 : err_pass(r);
}

static int layer_policy_refuse_none(struct call *call)
{
	return lambda_refuse(call, NOT_FOUND, "No policy is associated with the given resource.");
}

/* The policy as it is now; without statements there is none. */
static int layer_policy_write(const struct lambda_ref *ref, const struct layer_policy *read)
{
	struct batch batch = { .scope = &ref->scope };

	if (json_array_size(json_object_get(read->policy, "Statement")))
		batch_put(
			&batch, KIND_LAYER_POLICY, read->key, read->policy, read->policy_revision);
	else
		batch_delete(&batch, KIND_LAYER_POLICY, read->key, read->policy_revision);
	batch_put(&batch, KIND_LAYER_VERSION, read->key, read->version, read->version_revision);
	int r = batch_commit(&batch);
	return r == DOCS_CONFLICT ? LAMBDA_AGAIN : err_pass(r);
}

/* LayerName and VersionNumber, then `once` until it is through. */
static int layer_policy_change(struct call *call, lambda_once_fn *once)
{
	struct lambda_ref ref;
	uint64_t number;

	int r = lambda_layer_ref_own(call, &ref);
	if (r == 0)
		r = lambda_layer_number(call, &number);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, once, &number));
}

static int add_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_layer_policy read = {};
	json_auto_t *statement = NULL;
	struct tree out = { .at = call->out };
	const uint64_t *number = context;

	int r = layer_policy_read(call, ref, *number, &read);
	if (r == 0)
		r = lambda_statement_new(call, read.arn, &statement);
	if (r == 0)
		r = lambda_statement_append(call, LAYER_GETTER, &read.policy, statement);
	if (r == 0)
		r = layer_policy_write(ref, &read);
	if (r)
		return err_pass(r);
	str text = record_text(call->arena, statement, JSON_COMPACT);
	tree_put(&out, "Statement", text.at ? json_from_str(text) : NULL);
	tree_copy(&out, "RevisionId", json_object_get(read.policy, "RevisionId"));
	return err_pass(out.err);
}

int lambda_add_layer_version_permission(struct call *call)
{
	return err_pass(layer_policy_change(call, add_once));
}

static int remove_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_layer_policy read = {};
	const uint64_t *number = context;

	int r = layer_policy_read(call, ref, *number, &read);
	if (r)
		return err_pass(r);
	if (!read.policy)
		return layer_policy_refuse_none(call);
	r = lambda_statement_take(call, LAYER_GETTER, read.policy);
	return r ? err_pass(r) : err_pass(layer_policy_write(ref, &read));
}

int lambda_remove_layer_version_permission(struct call *call)
{
	return err_pass(layer_policy_change(call, remove_once));
}

int lambda_get_layer_version_policy(struct call *call)
{
	scoped_layer_policy read = {};
	struct tree out = { .at = call->out };
	struct lambda_ref ref;
	uint64_t number;

	int r = lambda_layer_ref_own(call, &ref);
	if (r == 0)
		r = lambda_layer_number(call, &number);
	if (r == 0)
		r = layer_policy_read(call, &ref, number, &read);
	if (r)
		return err_pass(r);
	if (!read.policy)
		return layer_policy_refuse_none(call);
	str text = lambda_policy_text(call->arena, read.policy);
	tree_put(&out, "Policy", text.at ? json_from_str(text) : NULL);
	tree_copy(&out, "RevisionId", json_object_get(read.policy, "RevisionId"));
	return err_pass(out.err);
}
