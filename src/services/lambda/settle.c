/*
 *	change ──commit──► Pending / InProgress ──message to the loop──► work on a worker ──commit──► Active / Successful
 *	                         │
 *	                         └── crash ──► lambda_settle_all() at the next start, or lambda_settled_get()
 *
 * What waits is told by "Unsettled" in the function's document (since when, and which version was published with it) and by a
 * document of the kind lambda.unsettled, written and deleted together with it, so that a start finds the few
 * functions in question without reading all of them.
 *
 * Answering "Active" at once instead was rejected: clients look for Pending, and the change has more to do in later
 * times (network interfaces, snapshots) than it has now.
 */
#include "services/lambda/settle.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/platform.h"
#include "model/limits.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/loop.h"
#include "services/lambda/names.h"
#include "services/lambda/snapshot.h"
#include "services/lambda/tree.h"
#include "store/blobs.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { SETTLE_LOST_MS = 2000, SETTLE_TRIES_MAX = 16, SETTLE_ARENA_MAX = 1024 * 1024 };

/* --- one version's states --- */

static bool is_text(const json_t *config, const char *name, const char *text)
{
	const char *value = json_string_value(json_object_get(config, name));

	return value && strcmp(value, text) == 0;
}

/*
 * The states a version ends in. `is_unpacked` false: its code is gone and cannot be had back. The RevisionId was chosen with the
 * change, so settling again after a power cut changes nothing that a client may have seen.
 */
static void settle_config(
	json_t *config, bool is_unpacked, const json_t *revision, struct tree *tree)
{
	bool is_new = is_text(config, "State", "Pending");

	if (!is_new && !is_text(config, "LastUpdateStatus", "InProgress"))
		return;
	tree_drop(tree, "StateReason");
	tree_drop(tree, "StateReasonCode");
	tree_drop(tree, "LastUpdateStatusReason");
	tree_drop(tree, "LastUpdateStatusReasonCode");
	tree_put(tree, "RevisionId", revision ? json_deep_copy(revision) : record_revision());
	tree_put_text(tree, "LastUpdateStatus", is_unpacked ? "Successful" : "Failed");
	if (is_unpacked) {
		tree_put_text(tree, "State", "Active");
		return;
	}
	if (is_new)
		tree_put_text(tree, "State", "Failed");
	tree_put_text(tree, is_new ? "StateReason" : "LastUpdateStatusReason",
		"The function's code could not be unpacked after a restart. Update the code.");
	tree_put_text(
		tree, is_new ? "StateReasonCode" : "LastUpdateStatusReasonCode", "InternalError");
}

/* Is a ZIP unpacked, or can it be? 0 and *ret_is_unpacked, or a fault. */
static int settle_unpack_one(
	const struct lambda_scope *scope, const json_t *zip_of, bool *ret_is_unpacked)
{
	uint8_t digest[DIGEST_LEN];
	scoped_fd zip = -1;
	uint64_t size;
	struct unpacked unpacked = { .answer = UNPACK_FAULT };

	int r = record_digest(zip_of, digest);
	if (r == 0)
		r = blobs_get(scope->platform->blobs, digest, &zip, &size);
	if (r == BLOBS_DONE)
		r = platform_unpack(scope->platform,
			&(struct unpack_ask){ .digest = digest,
				.zip_fd = zip,
				.bytes_max = LIMIT_UNZIPPED_BYTES },
			&unpacked);
	if (r < 0)
		return err_pass(r);
	*ret_is_unpacked = r == BLOBS_DONE && unpacked.answer == UNPACK_DONE;
	return 0;
}

/* The code of a version, and its layers: as above. */
static int settle_unpack(
	const struct lambda_scope *scope, const json_t *config, bool *ret_is_unpacked)
{
	const json_t *layers = json_object_get(config, "LayerCode");

	int r = settle_unpack_one(scope, config, ret_is_unpacked);
	for (size_t i = 0; r == 0 && *ret_is_unpacked && i < json_array_size(layers); i++)
		r = settle_unpack_one(scope, json_array_get(layers, i), ret_is_unpacked);
	return err_pass(r);
}

/* --- a function --- */

/* Of settle_version(): its states wait for a snapshot. */
enum { SETTLE_SNAPSHOT = 1 };

/* The version that was published with the change, if one was. */
static int settle_version(const struct function_record *function, uint64_t number, bool is_unpacked,
	struct batch *batch)
{
	const json_t *unsettled = json_object_get(function->doc, "Unsettled");
	json_t *doc;
	uint64_t revision;

	int r = version_record_get(function, number, &doc, &revision);
	if (r == RECORD_ABSENT)
		return 0; /* deleted meanwhile */
	if (r < 0)
		return err_pass(r);
	struct tree tree = { .at = json_object_get(doc, "Config") };
	if (is_unpacked && lambda_snapshot_is_wanted(tree.at)) {
		lambda_snapshot_note(
			batch, function, number); /* it stays Pending until that is done */
		json_decref(doc);
		return SETTLE_SNAPSHOT;
	}
	settle_config(tree.at, is_unpacked, json_object_get(unsettled, "VersionRevisionId"), &tree);
	batch_put(batch, KIND_VERSION, record_version_key(function, number), doc, revision);
	json_decref(doc);
	return err_pass(tree.err);
}

static int settle_once(const struct lambda_scope *scope, str name, enum settle_why why)
{
	scoped_function function = {};
	struct batch batch = { .scope = scope };
	bool is_unpacked = true;

	int r = function_record_get(scope, name, &function);
	if (r != RECORD_FOUND)
		return r < 0 ? err_pass(r) : 0;
	json_t *unsettled = json_object_get(function.doc, "Unsettled");
	if (!unsettled)
		return 0;
	if (why == SETTLE_LOST) {
		r = settle_unpack(scope, function.latest, &is_unpacked);
		if (r < 0)
			return err_pass(r);
	}
	uint64_t number = (uint64_t)json_integer_value(json_object_get(unsettled, "Version"));
	if (number) {
		r = settle_version(&function, number, is_unpacked, &batch);
		if (r < 0)
			return err_pass(r);
	}
	const bool is_snapshot = number && r == SETTLE_SNAPSHOT;
	struct tree latest = { .at = function.latest }, doc = { .at = function.doc };
	settle_config(
		function.latest, is_unpacked, json_object_get(unsettled, "RevisionId"), &latest);
	tree_drop(&doc, "Unsettled");
	tree_join(&doc, &latest);
	if (doc.err)
		return err_pass(doc.err);
	batch_put_function(&batch, &function);
	batch_delete(&batch, KIND_UNSETTLED, record_account_key(scope, name), DOCS_ANY);
	batch.is_soon = !is_snapshot; /* else a power cut lets it be done again */
	r = lambda_commit(&batch, name);
	if (r == 0 && is_snapshot)
		lambda_snapshot_later(&function, number);
	return err_pass(r);
}

int lambda_settle(const struct lambda_scope *scope, str name, enum settle_why why)
{
	int r = LAMBDA_AGAIN;

	for (int i = 0; i < SETTLE_TRIES_MAX && r == LAMBDA_AGAIN; i++)
		r = settle_once(scope, name, why);
	return r == LAMBDA_AGAIN ? err_raise(-EAGAIN) : err_pass(r);
}

/* --- later --- */

struct settle_job {
	struct message message;
	struct work work;
	struct platform *platform;
	str account, region, name; /* views into `text` */
	char text[];
};

static void settle_job_run(struct work *work)
{
	struct settle_job *job = list_entry(work, struct settle_job, work);
	struct arena arena;

	arena_init(&arena, SETTLE_ARENA_MAX);
	struct lambda_scope scope = {
		.platform = job->platform,
		.arena = &arena,
		.account = job->account,
		.region = job->region,
	};
	int r = lambda_settle(&scope, job->name, SETTLE_NEXT);
	if (r < 0)
		err_log(r, "finish the state of a function");
	arena_done(&arena);
}

static void settle_job_done(struct work *work)
{
	mem_free(list_entry(work, struct settle_job, work));
}

static void settle_job_start(struct message *message)
{
	struct settle_job *job = list_entry(message, struct settle_job, message);

	job->work.run = settle_job_run;
	job->work.done = settle_job_done;
	int r = loop_work(job->platform->loop, &job->work);
	if (r < 0) {
		err_log(r, "finish the state of a function");
		mem_free(job);
	}
}

static str settle_copy(char **to, str from)
{
	str copy = { *to, from.len };

	if (from.len)
		memcpy(*to, from.at, from.len);
	*to += from.len;
	return copy;
}

void lambda_settle_later(const struct lambda_scope *scope, str name)
{
	size_t len = scope->account.len + scope->region.len + name.len;

	if (!scope->platform->loop)
		return; /* no loop, no later */
	struct settle_job *job = mem_new(1, sizeof(*job) + len);
	if (!job) {
		err_log(err_raise(-ENOMEM), "finish the state of a function");
		return;
	}
	char *text = job->text;
	job->platform = scope->platform;
	job->account = settle_copy(&text, scope->account);
	job->region = settle_copy(&text, scope->region);
	job->name = settle_copy(&text, name);
	job->message.run = settle_job_start;
	loop_post(scope->platform->loop, &job->message);
}

/* --- at the start --- */

/* Keys are collected first: a listing may hold what a write needs. */
struct settle_keys {
	struct arena *arena;
	json_t *keys;
	int err;
};

static int settle_keys_each(void *context, str key, str value, uint64_t revision)
{
	struct settle_keys *keys = context;

	(void)value;
	(void)revision;
	if (json_array_append_new(keys->keys, json_from_str(key)) < 0)
		keys->err = err_raise(-ENOMEM);
	return keys->err;
}

static int settle_key(struct platform *platform, str key)
{
	struct arena arena;
	struct lambda_scope scope = { .platform = platform, .arena = &arena };
	str name = key;

	if (!str_cut(&name, '/', &scope.account) || !str_cut(&name, '/', &scope.region))
		return err_raise(-EBADMSG);
	arena_init(&arena, SETTLE_ARENA_MAX);
	int r = lambda_settle(&scope, name, SETTLE_LOST);
	arena_done(&arena);
	return err_pass(r);
}

int lambda_settle_all(struct platform *platform)
{
	struct settle_keys keys = { .keys = json_array() };
	size_t i;
	json_t *key;

	if (!keys.keys)
		return err_raise(-ENOMEM);
	int r = docs_list(platform->docs, KIND_UNSETTLED, S(""), S(""), 0, settle_keys_each, &keys);
	if (r == 0)
		r = keys.err;
	json_array_foreach(keys.keys, i, key)
	{
		if (r < 0)
			break;
		r = settle_key(platform, json_view(key));
	}
	json_decref(keys.keys);
	return err_pass(r);
}

/* --- what changes note and ask --- */

void lambda_unsettle(struct function_record *function, struct batch *batch, uint64_t version)
{
	struct tree doc = { .at = function->doc };
	json_auto_t *mark = json_pack("{s:i}", "Schema", RECORD_SCHEMA);
	struct tree unsettled = tree_object(&doc, "Unsettled");

	tree_put_int(&unsettled, "Since", (int64_t)clock_real_ms());
	tree_put(&unsettled, "RevisionId", record_revision());
	if (version) {
		tree_put_int(&unsettled, "Version", (int64_t)version);
		tree_put(&unsettled, "VersionRevisionId", record_revision());
	}
	tree_join(&doc, &unsettled);
	if (doc.err || !mark) {
		batch->err = doc.err ? doc.err : err_raise(-ENOMEM);
		return;
	}
	batch_put(batch, KIND_UNSETTLED, record_account_key(batch->scope, function->name), mark,
		DOCS_ANY);
}

static bool settle_is_lost(const struct function_record *function)
{
	const json_t *unsettled = json_object_get(function->doc, "Unsettled");
	int64_t since = json_integer_value(json_object_get(unsettled, "Since"));
	int64_t now = (int64_t)clock_real_ms();

	/* A time in the future is a clock that was set: as good as lost. */
	return unsettled && (now - since > SETTLE_LOST_MS || since > now);
}

int lambda_settled_get(
	const struct lambda_scope *scope, str name, struct function_record *ret_function)
{
	struct function_record function;

	int r = function_record_get(scope, name, &function);
	if (r != RECORD_FOUND)
		return err_pass(r);
	if (!settle_is_lost(&function)) {
		*ret_function = function;
		return RECORD_FOUND;
	}
	function_record_done(&function);
	r = lambda_settle(scope, name, SETTLE_LOST);
	if (r < 0)
		err_log(r, "finish the lost state of a function");
	return err_pass(function_record_get(scope, name, ret_function));
}

int lambda_refuse_busy(struct call *call, const struct function_record *function)
{
	if (is_text(function->latest, "State", "Pending"))
		return lambda_refuse(call, CONFLICT,
			"The operation cannot be performed at this time. The function is currently in the "
			"following state: Pending");
	if (!is_text(function->latest, "LastUpdateStatus", "InProgress"))
		return 0;
	str arn = lambda_arn(function->scope, function->name, S(""));
	return lambda_refuse(call, CONFLICT,
		"The operation cannot be performed at this time. An update is in progress for resource: " STR_FMT,
		STR_ARG(arn));
}
