/*
 * Values are JSON objects with the member names of AWS's model, so what is stored is nearly what is answered; "Schema"
 * tells a future reader which form it has before it. A document that does not parse or has another schema
 * is a fault: the store is ours, nobody else writes it.
 */
#include "services/lambda/records.h"

#include "aws/call.h"
#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "os/random.h"
#include "services/lambda/tree.h"
#include "wire/digest.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int record_parse(str value, json_t **ret_doc)
{
	json_auto_t *doc = json_loadb(
		value.at, value.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

	if (!doc || !json_is_object(doc))
		return err_raise(-EBADMSG);
	if (json_integer_value(json_object_get(doc, "Schema")) != RECORD_SCHEMA)
		return err_raise(-EPROTONOSUPPORT);
	*ret_doc = json_incref(doc);
	return 0;
}

int record_get(const struct lambda_scope *scope, str kind, str key, json_t **ret_doc,
	uint64_t *ret_revision)
{
	struct buf value;

	if (!key.at)
		return err_raise(-ENOMEM);
	if (key.len > DOCS_KEY_MAX)
		return RECORD_ABSENT; /* nothing of that name was ever stored */
	buf_init(&value, DOCS_VALUE_MAX);
	int r = docs_get(scope->platform->docs, kind, key, &value, ret_revision);
	if (r == DOCS_DONE)
		r = value.err ? err_raise(value.err) : record_parse(buf_str(&value), ret_doc);
	else if (r == DOCS_ABSENT)
		r = RECORD_ABSENT;
	buf_done(&value);
	return err_pass(r);
}

/* --- keys --- */

str record_account_key(const struct lambda_scope *scope, str name)
{
	return arena_strf(scope->arena, STR_FMT "/" STR_FMT "/" STR_FMT, STR_ARG(scope->account),
		STR_ARG(scope->region), STR_ARG(name));
}

str record_child_key(const struct function_record *function, str child)
{
	const struct lambda_scope *scope = function->scope;

	assert(function->id.len > 0);
	return arena_strf(scope->arena, STR_FMT "/" STR_FMT "/" STR_FMT "/" STR_FMT "/" STR_FMT,
		STR_ARG(scope->account), STR_ARG(scope->region), STR_ARG(function->name),
		STR_ARG(function->id), STR_ARG(child));
}

/* Ten digits, so that the order of keys is the order of numbers. */
str record_version_key(const struct function_record *function, uint64_t number)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%010" PRIu64, number);

	return record_child_key(function, (str){ digits, (size_t)len });
}

int record_digest(const json_t *config, uint8_t to[static 32])
{
	struct buf raw;

	buf_init(&raw, 64);
	int r = base64_decode(json_get_str(config, "CodeSha256"), &raw);
	if (r == 0 && raw.len != 32)
		r = err_raise(-EBADMSG);
	if (r == 0)
		memcpy(to, raw.at, 32);
	buf_done(&raw);
	return err_pass(r);
}

str record_code_key(const struct lambda_scope *scope, const json_t *config, str user)
{
	uint8_t digest[32];
	struct buf key;

	if (record_digest(config, digest) < 0)
		return (str){};
	buf_init(&key, DOCS_KEY_MAX);
	hex_put(&key, (str){ (const char *)digest, sizeof(digest) });
	buf_put_char(&key, '/');
	buf_put(&key, user);
	str made = user.at && !key.err ? arena_str(scope->arena, buf_str(&key)) : (str){};
	buf_done(&key);
	return made;
}

/* --- functions --- */

void function_record_done(struct function_record *function)
{
	json_decref(function->doc);
	*function = (struct function_record){};
}

/* Point the views of a record into its document; the document is taken. */
static int function_record_adopt(const struct lambda_scope *scope, str name, json_t *doc,
	uint64_t revision, struct function_record *ret_function)
{
	struct function_record function = {
		.scope = scope,
		.name = name,
		.doc = doc,
		.revision = revision,
		.latest = json_object_get(doc, "Latest"),
		.id = json_get_str(doc, "Id"),
	};

	if (!json_is_object(function.latest) || function.id.len == 0) {
		json_decref(doc);
		return err_raise(-EBADMSG);
	}
	*ret_function = function;
	return 0;
}

int function_record_get(
	const struct lambda_scope *scope, str name, struct function_record *ret_function)
{
	json_t *doc;
	uint64_t revision;

	int r = record_get(scope, KIND_FUNCTION, record_account_key(scope, name), &doc, &revision);
	if (r != RECORD_FOUND)
		return err_pass(r);
	return err_pass(function_record_adopt(scope, name, doc, revision, ret_function));
}

int function_record_new(const struct lambda_scope *scope, str name, json_t *latest,
	struct function_record *ret_function)
{
	char id[UUID_LEN + 1];
	json_auto_t *doc = json_object();
	struct tree tree = { .at = doc };

	random_uuid(id);
	tree_put_int(&tree, "Schema", RECORD_SCHEMA);
	tree_put_str(&tree, "Id", (str){ id, 8 });
	tree_put_str(&tree, "Name", name);
	tree_put_int(&tree, "NextVersion", 1);
	tree_put(&tree, "Tags", json_object());
	tree_put(&tree, "Latest", latest);
	if (tree.err)
		return err_pass(tree.err);
	return err_pass(
		function_record_adopt(scope, name, json_incref(doc), DOCS_NEW, ret_function));
}

int version_record_get(const struct function_record *function, uint64_t number, json_t **ret_doc,
	uint64_t *ret_revision)
{
	json_t *doc;

	int r = record_get(function->scope, KIND_VERSION, record_version_key(function, number),
		&doc, ret_revision);
	if (r != RECORD_FOUND)
		return err_pass(r);
	if (!json_is_object(json_object_get(doc, "Config"))) {
		json_decref(doc);
		return err_raise(-EBADMSG);
	}
	*ret_doc = doc;
	return RECORD_FOUND;
}

int alias_record_get(
	const struct function_record *function, str name, json_t **ret_doc, uint64_t *ret_revision)
{
	json_t *doc;

	int r = record_get(
		function->scope, KIND_ALIAS, record_child_key(function, name), &doc, ret_revision);
	if (r != RECORD_FOUND)
		return err_pass(r);
	if (!json_is_object(json_object_get(doc, "Alias"))) {
		json_decref(doc);
		return err_raise(-EBADMSG);
	}
	*ret_doc = doc;
	return RECORD_FOUND;
}

int policy_record_get(const struct function_record *function, str qualifier, json_t **ret_doc,
	uint64_t *ret_revision)
{
	return err_pass(record_get(function->scope, KIND_POLICY,
		record_child_key(function, qualifier), ret_doc, ret_revision));
}

str record_url_key(const struct function_record *function, str qualifier)
{
	return record_child_key(function, qualifier.len ? qualifier : S("$LATEST"));
}

int url_record_get(const struct function_record *function, str qualifier, json_t **ret_doc,
	uint64_t *ret_revision)
{
	return err_pass(record_get(function->scope, KIND_URL, record_url_key(function, qualifier),
		ret_doc, ret_revision));
}

/* --- lists --- */

struct record_listing {
	json_t *array;
	int err;
};

static int record_list_each(void *context, str key, str value, uint64_t revision)
{
	struct record_listing *listing = context;
	json_t *doc;

	(void)key;
	(void)revision;
	listing->err = record_parse(value, &doc);
	if (listing->err == 0 && json_array_append_new(listing->array, doc) < 0)
		listing->err = err_raise(-ENOMEM);
	return listing->err;
}

int record_list_prefix(const struct lambda_scope *scope, str kind, str prefix, str after,
	size_t limit, json_t *ret_array)
{
	struct record_listing listing = { .array = ret_array };

	if (!prefix.at || !after.at)
		return err_raise(-ENOMEM);
	int r = docs_list(
		scope->platform->docs, kind, prefix, after, limit, record_list_each, &listing);
	return err_pass(r < 0 ? r : listing.err);
}

int record_list(const struct function_record *function, str kind, str after, size_t limit,
	json_t *ret_array)
{
	str prefix = record_child_key(function, S(""));

	return err_pass(record_list_prefix(function->scope, kind, prefix,
		after.len ? record_child_key(function, after) : S(""), limit, ret_array));
}

/* --- text --- */

static int record_text_put(const char *at, size_t len, void *context)
{
	struct buf *text = context;

	buf_put(text, (str){ at, len });
	return text->err;
}

str record_text(struct arena *arena, const json_t *doc, size_t flags)
{
	struct buf text;
	str copy = {};

	buf_init(&text, DOCS_VALUE_MAX);
	if (json_dump_callback(doc, record_text_put, &text, flags) == 0)
		copy = arena_str(arena, buf_str(&text));
	buf_done(&text);
	return copy;
}

/* What changes without the version being another one, or is told per version. */
static const char *const record_volatile[] = {
	"Build",
	"HasExtensions",
	"LastModified",
	"LastUpdateStatus",
	"LastUpdateStatusReason",
	"LastUpdateStatusReasonCode",
	"RevisionId",
	"RuntimeVersionConfig",
	"Snapshot",
	"State",
	"StateReason",
	"StateReasonCode",
	"Unpacked",
	"Version",
};

str record_fingerprint(struct arena *arena, const json_t *config)
{
	json_auto_t *copy = json_copy((json_t *)config);
	uint8_t digest[32];
	struct buf hex;

	if (!copy)
		return (str){};
	for (size_t i = 0; i < ARRAY_LEN(record_volatile); i++)
		(void)json_object_del(copy, record_volatile[i]);
	str text = record_text(arena, copy, JSON_COMPACT | JSON_SORT_KEYS);
	if (!text.at)
		return (str){};
	digest_sha256(text, digest);
	buf_init(&hex, 2 * sizeof(digest));
	hex_put(&hex, (str){ (const char *)digest, sizeof(digest) });
	str made = hex.err ? (str){} : arena_str(arena, buf_str(&hex));
	buf_done(&hex);
	return made;
}

json_t *record_revision(void)
{
	char uuid[UUID_LEN + 1];

	random_uuid(uuid);
	return json_stringn(uuid, UUID_LEN);
}

/* --- writing --- */

static void batch_add(struct batch *batch, str kind, str key, str value, uint64_t expect)
{
	assert(batch->count < DOCS_BATCH_MAX);
	if (!key.at)
		batch->err = err_raise(-ENOMEM);
	if (batch->err)
		return;
	batch->writes[batch->count++] =
		(struct docs_write){ .kind = kind, .key = key, .value = value, .expect = expect };
}

void batch_put(struct batch *batch, str kind, str key, const json_t *doc, uint64_t expect)
{
	str value = record_text(batch->scope->arena, doc, JSON_COMPACT);

	if (!value.at)
		batch->err = err_raise(-ENOMEM);
	batch_add(batch, kind, key, value, expect);
}

void batch_delete(struct batch *batch, str kind, str key, uint64_t expect)
{
	batch_add(batch, kind, key, (str){}, expect);
}

void batch_put_function(struct batch *batch, const struct function_record *function)
{
	batch_put(batch, KIND_FUNCTION, record_account_key(batch->scope, function->name),
		function->doc, function->revision);
}

int batch_commit(struct batch *batch)
{
	if (batch->err)
		return err_pass(batch->err);
	assert(batch->count > 0);
	return err_pass((batch->is_soon ? docs_write_soon : docs_write)(
		batch->scope->platform->docs, batch->writes, batch->count, NULL));
}
