/*
 * "Lambda doesn't publish a version if the function's configuration and code haven't changed since the last version":
 * each version remembers the fingerprint of the $LATEST it was made of, which is compared with that of $LATEST
 * now. (Not the version's own: its description may have been given with PublishVersion.)
 */
#include "services/lambda/publish.h"

#include "base/err.h"
#include "services/lambda/code.h"
#include "services/lambda/config.h"
#include "services/lambda/operations.h"
#include "services/lambda/settle.h"
#include "services/lambda/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

static void publish_put_states(struct tree *config, enum publish_state state)
{
	if (state != PUBLISH_READY) {
		lambda_config_set_created(config);
		return;
	}
	tree_put(config, "RevisionId", record_revision());
	tree_put(config, "Build", record_revision());
}

static uint64_t publish_next(const struct function_record *function)
{
	json_int_t next = json_integer_value(json_object_get(function->doc, "NextVersion"));

	assert(next > 0 && next <= RECORD_VERSION_MAX);
	return (uint64_t)next;
}

int lambda_publish(struct batch *batch, struct function_record *function, enum publish_state state,
	str description, uint64_t *ret_number, json_t **ret_config)
{
	uint64_t number = publish_next(function);
	json_auto_t *config = json_deep_copy(function->latest);
	json_auto_t *doc = json_object();
	struct tree config_tree = { .at = config }, doc_tree = { .at = doc };
	struct tree function_tree = { .at = function->doc };
	str version = arena_strf(batch->scope->arena, "%" PRIu64, number);

	tree_put_str(&config_tree, "Version", version);
	if (description.at)
		tree_put_str(&config_tree, "Description", description);
	publish_put_states(&config_tree, state);
	tree_put_int(&doc_tree, "Schema", RECORD_SCHEMA);
	tree_put(&doc_tree, "Config", json_incref(config));
	tree_put_str(
		&doc_tree, "Source", record_fingerprint(batch->scope->arena, function->latest));
	tree_put_int(&function_tree, "NextVersion", (int64_t)number + 1);
	tree_join(&doc_tree, &config_tree);
	tree_join(&doc_tree, &function_tree);
	if (doc_tree.err)
		return err_pass(doc_tree.err);

	if (lambda_snapshot_is_wanted(config) && state == PUBLISH_SNAPSHOT)
		lambda_snapshot_note(batch, function, number);
	batch_put(batch, KIND_VERSION, record_version_key(function, number), doc, DOCS_NEW);
	lambda_code_use(batch, function, config, version);
	*ret_number = number;
	*ret_config = json_incref(config);
	return 0;
}

int lambda_publish_unchanged(const struct function_record *function, json_t **ret_version_doc)
{
	uint64_t next = publish_next(function);
	json_t *doc;

	if (next == 1)
		return RECORD_ABSENT;
	int r = version_record_get(function, next - 1, &doc, NULL);
	if (r != RECORD_FOUND)
		return err_pass(r);
	str now = record_fingerprint(function->scope->arena, function->latest);
	if (now.at && str_eq(now, json_get_str(doc, "Source"))) {
		*ret_version_doc = doc;
		return RECORD_FOUND;
	}
	json_decref(doc);
	return now.at ? RECORD_ABSENT : err_raise(-ENOMEM);
}

/* --- PublishVersion --- */

static int publish_check(struct call *call, const struct function_record *function)
{
	str sha256 = json_get_str(function->latest, "CodeSha256");
	str given = call_str(call, "CodeSha256");

	int r = lambda_check_revision(call, json_get_str(function->latest, "RevisionId"));
	if (r)
		return r;
	if (given.len && !str_eq(given, sha256))
		return lambda_refuse(call, INVALID,
			"CodeSHA256 (" STR_FMT
			") is different from current CodeSHA256 in $LATEST (" STR_FMT
			"). Please try again with the CodeSHA256 in $LATEST.",
			STR_ARG(given), STR_ARG(sha256));
	return lambda_refuse_busy(call, function);
}

static int publish_show(struct call *call, const struct lambda_ref *ref, const json_t *config)
{
	str arn = lambda_arn(&ref->scope, ref->name, json_get_str(config, "Version"));

	return err_pass(lambda_config_show(call->out, config, ref->name, arn, CONFIG_WHOLE));
}

static int publish_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *doc = NULL, *config = NULL;
	struct batch batch = { .scope = &ref->scope };
	uint64_t number;

	(void)context;
	int r = lambda_function_read(call, ref, S(""), &function);
	if (r == 0)
		r = publish_check(call, &function);
	if (r)
		return err_pass(r);
	r = lambda_publish_unchanged(&function, &doc);
	if (r == RECORD_FOUND)
		return err_pass(publish_show(call, ref, json_object_get(doc, "Config")));
	if (r < 0)
		return err_pass(r);

	str description = call_has(call, "Description") ? call_str(call, "Description") : (str){};
	bool is_snapshot = lambda_snapshot_is_wanted(function.latest);
	r = lambda_publish(&batch, &function, is_snapshot ? PUBLISH_SNAPSHOT : PUBLISH_READY,
		description, &number, &config);
	if (r < 0)
		return err_pass(r);
	/* A new version is a change of the function that was published: $LATEST gets a new revision too. */
	struct tree latest = { .at = function.latest };
	tree_put(&latest, "RevisionId", record_revision());
	if (latest.err)
		return err_pass(latest.err);
	batch_put_function(&batch, &function);
	r = lambda_commit(&batch, ref->name);
	if (r)
		return r;
	if (is_snapshot)
		lambda_snapshot_later(&function, number);
	return err_pass(publish_show(call, ref, config));
}

int lambda_publish_version(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read_latest(call, &ref);
	if (r)
		return err_pass(r);
	if (call_has(call, "PublishTo"))
		return lambda_refuse(call, INVALID, "PublishTo is not available in mayfly yet.");
	return err_pass(lambda_retry(call, &ref, publish_once, NULL));
}
