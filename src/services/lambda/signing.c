/*
 * A configuration is a document; which functions have it is told by documents of the kind lambda.signed. Whoever gives one to
 * a function writes it too, unchanged, so that none is deleted which a function has just been given.
 */
#include "services/lambda/signing.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/platform.h"
#include "model/arn.h"
#include "os/random.h"
#include "services/lambda/config.h"
#include "services/lambda/operations.h"
#include "services/lambda/page.h"
#include "services/lambda/tags.h"

#include <errno.h>

enum { SIGNING_ID_LEN = 17, SIGNING_PAGE = 50 };

/* --- names and documents --- */

/* "csc-…" of an ARN of the scope's account and region; empty when it is none. */
static str signing_id(const struct lambda_scope *scope, str arn)
{
	str prefix = arena_strf(scope->arena,
		"arn:" STR_FMT ":lambda:" STR_FMT ":" STR_FMT ":code-signing-config:",
		STR_ARG(arn_partition(scope->region)), STR_ARG(scope->region),
		STR_ARG(scope->account));

	return prefix.at && str_starts(arn, prefix) ? str_from(arn, prefix.len) : S("");
}

str lambda_signing_key(const struct lambda_scope *scope, str arn)
{
	str id = signing_id(scope, arn);

	return id.len ? record_account_key(scope, id) : (str){};
}

/* CSC/NAME of a function that has it, or "CSC/" with an empty name. */
static str signed_key(const struct lambda_scope *scope, str arn, str name)
{
	str key = lambda_signing_key(scope, arn);

	return key.at ? arena_strf(scope->arena, STR_FMT "/" STR_FMT, STR_ARG(key), STR_ARG(name))
		      : key;
}

int lambda_signing_get(
	const struct lambda_scope *scope, str arn, json_t **ret_doc, uint64_t *ret_revision)
{
	if (signing_id(scope, arn).len == 0)
		return RECORD_ABSENT;
	return err_pass(record_get(
		scope, KIND_SIGNING, lambda_signing_key(scope, arn), ret_doc, ret_revision));
}

/* --- what it does --- */

static int signing_missing(struct call *call, str arn)
{
	return lambda_refuse(call, "CodeSigningConfigNotFoundException",
		"The code signing configuration cannot be found. Check that the provided configuration is not deleted: " STR_FMT
		".",
		STR_ARG(arn));
}

int lambda_signing_check(struct call *call, str name, str arn)
{
	struct lambda_scope scope = lambda_scope_of(call);
	json_auto_t *doc = NULL;

	if (arn.len == 0)
		return 0;
	int r = lambda_signing_get(&scope, arn, &doc, NULL);
	if (r == RECORD_ABSENT)
		return signing_missing(call, arn);
	if (r < 0)
		return err_pass(r);
	const json_t *policies = json_object_get(
		json_object_get(doc, "Config"), "CodeSigningPolicies");
	if (!str_eq(json_get_str(policies, "UntrustedArtifactOnDeployment"), S("Enforce"))) {
		log_warn("unsigned_code", LOG_STR("function", name), LOG_STR("config", arn));
		return 0;
	}
	return lambda_refuse(call, "CodeVerificationFailedException",
		"Lambda cannot deploy the function. The function or layer might be signed using a "
		"signature that the client is not configured to accept. Check the provided signature "
		"for unsigned.");
}

int lambda_signing_check_function(struct call *call, const struct function_record *function)
{
	return err_pass(lambda_signing_check(
		call, function->name, json_get_str(function->doc, "CodeSigningConfigArn")));
}

/* --- of a function --- */

void lambda_signing_forget(struct batch *batch, const struct function_record *function)
{
	str arn = json_get_str(function->doc, "CodeSigningConfigArn");

	if (arn.len)
		batch_delete(batch, KIND_SIGNED, signed_key(batch->scope, arn, function->name),
			DOCS_ANY);
}

int lambda_signing_put(
	struct call *call, struct function_record *function, struct batch *batch, str arn)
{
	json_auto_t *config = NULL, *mark = json_pack("{s:i}", "Schema", RECORD_SCHEMA);
	struct tree doc = { .at = function->doc };
	uint64_t revision;

	lambda_signing_forget(batch, function);
	tree_drop(&doc, "CodeSigningConfigArn");
	if (arn.len == 0)
		return err_pass(doc.err);
	int r = lambda_signing_get(function->scope, arn, &config, &revision);
	if (r == RECORD_ABSENT)
		return signing_missing(call, arn);
	if (r < 0)
		return err_pass(r);
	tree_put_str(&doc, "CodeSigningConfigArn", arn);
	batch_put(batch, KIND_SIGNING, lambda_signing_key(function->scope, arn), config, revision);
	batch_put(batch, KIND_SIGNED, signed_key(function->scope, arn, function->name), mark,
		DOCS_ANY);
	return err_pass(doc.err);
}

static int put_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	struct batch batch = { .scope = &ref->scope };
	const str *arn = context;

	int r = lambda_function_read(call, ref, S(""), &function);
	if (r == 0)
		r = lambda_signing_put(call, &function, &batch, *arn);
	if (r)
		return err_pass(r);
	batch_put_function(&batch, &function);
	return err_pass(lambda_commit(&batch, ref->name));
}

int lambda_put_function_code_signing_config(struct call *call)
{
	struct tree out = { .at = call->out };
	str arn = call_str(call, "CodeSigningConfigArn");
	struct lambda_ref ref;

	int r = lambda_ref_read_function(call, &ref);
	if (r == 0)
		r = lambda_retry(call, &ref, put_once, &arn);
	if (r)
		return err_pass(r);
	tree_put_str(&out, "CodeSigningConfigArn", arn);
	tree_put_str(&out, "FunctionName", ref.name);
	return err_pass(out.err);
}

int lambda_delete_function_code_signing_config(struct call *call)
{
	str none = S("");
	struct lambda_ref ref;

	int r = lambda_ref_read_function(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, put_once, &none));
}

/* A function without one is answered with nothing at all. */
int lambda_get_function_code_signing_config(struct call *call)
{
	scoped_function function = {};
	struct tree out = { .at = call->out };
	struct lambda_ref ref;

	int r = lambda_ref_read_function(call, &ref);
	if (r == 0)
		r = lambda_function_read(call, &ref, S(""), &function);
	if (r)
		return err_pass(r);
	str arn = json_get_str(function.doc, "CodeSigningConfigArn");
	if (arn.len == 0)
		return 0;
	tree_put_str(&out, "CodeSigningConfigArn", arn);
	tree_put_str(&out, "FunctionName", ref.name);
	return err_pass(out.err);
}

/* --- configurations --- */

static int signing_not_found(struct call *call, str arn)
{
	return lambda_refuse(call, NOT_FOUND,
		"The Lambda code signing configuration " STR_FMT " can not be found.",
		STR_ARG(arn));
}

/* The configuration of the call: 0 and *ret_doc (the caller's), CALL_ERROR or a fault. */
static int signing_read(struct call *call, json_t **ret_doc, uint64_t *ret_revision)
{
	struct lambda_scope scope = lambda_scope_of(call);
	str arn = call_str(call, "CodeSigningConfigArn");

	int r = lambda_signing_get(&scope, arn, ret_doc, ret_revision);
	return r == RECORD_ABSENT ? signing_not_found(call, arn) : err_pass(r);
}

static str signing_new_id(struct arena *arena)
{
	static const char letters[] = "0123456789abcdefghijklmnopqrstuv";
	unsigned char bytes[SIGNING_ID_LEN];
	char text[SIGNING_ID_LEN];

	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		text[i] = letters[bytes[i] % (sizeof(letters) - 1)];
	return arena_strf(arena, "csc-%.*s", SIGNING_ID_LEN, text);
}

/* What was given replaces what is there. */
static void signing_apply(struct call *call, struct tree *config)
{
	tree_copy(config, "Description", call_get(call, "Description"));
	tree_copy(config, "AllowedPublishers", call_get(call, "AllowedPublishers"));
	if (json_object_get(call_get(call, "CodeSigningPolicies"), "UntrustedArtifactOnDeployment"))
		tree_copy(config, "CodeSigningPolicies", call_get(call, "CodeSigningPolicies"));
	tree_put(config, "LastModified", lambda_config_now());
}

int lambda_create_code_signing_config(struct call *call)
{
	struct lambda_scope scope = lambda_scope_of(call);
	json_auto_t *made = json_object();
	struct batch batch = { .scope = &scope };
	struct tree out = { .at = call->out }, doc = { .at = made };
	str id = signing_new_id(call->arena);
	str arn = arena_strf(call->arena,
		"arn:" STR_FMT ":lambda:" STR_FMT ":" STR_FMT ":code-signing-config:" STR_FMT,
		STR_ARG(arn_partition(call->region)), STR_ARG(call->region), STR_ARG(call->account),
		STR_ARG(id));

	int r = lambda_check_tags(call, NULL, call_get(call, "Tags"));
	if (r)
		return err_pass(r);
	struct tree config = tree_object(&doc, "Config");
	tree_put_int(&doc, "Schema", RECORD_SCHEMA);
	tree_put(&doc, "Tags", json_object());
	tree_copy(&doc, "Tags", call_get(call, "Tags"));
	tree_put_str(&config, "CodeSigningConfigId", id);
	tree_put_str(&config, "CodeSigningConfigArn", arn);
	tree_put_text(&config, "Description", "");
	tree_put(&config, "CodeSigningPolicies",
		json_pack("{s:s}", "UntrustedArtifactOnDeployment", "Warn"));
	signing_apply(call, &config);
	tree_join(&doc, &config);
	if (doc.err)
		return err_pass(doc.err);
	batch_put(&batch, KIND_SIGNING, lambda_signing_key(&scope, arn), made, DOCS_NEW);
	r = batch_commit(&batch);
	if (r)
		return r < 0 ? err_pass(r) : err_raise(-EEXIST); /* 80 random bits */
	tree_copy(&out, "CodeSigningConfig", json_object_get(made, "Config"));
	return err_pass(out.err);
}

int lambda_get_code_signing_config(struct call *call)
{
	json_auto_t *doc = NULL;
	struct tree out = { .at = call->out };

	int r = signing_read(call, &doc, NULL);
	if (r)
		return err_pass(r);
	tree_copy(&out, "CodeSigningConfig", json_object_get(doc, "Config"));
	return err_pass(out.err);
}

static int update_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	json_auto_t *doc = NULL;
	struct batch batch = { .scope = &ref->scope };
	struct tree out = { .at = call->out };
	uint64_t revision;

	(void)context;
	int r = signing_read(call, &doc, &revision);
	if (r)
		return err_pass(r);
	struct tree config = { .at = json_object_get(doc, "Config") };
	signing_apply(call, &config);
	if (config.err)
		return err_pass(config.err);
	batch_put(&batch, KIND_SIGNING, lambda_signing_key(&ref->scope, ref->name), doc, revision);
	r = batch_commit(&batch);
	if (r)
		return r == DOCS_CONFLICT ? LAMBDA_AGAIN : err_pass(r);
	tree_copy(&out, "CodeSigningConfig", config.at);
	return err_pass(out.err);
}

/* The configuration as a reference, for lambda_retry(). */
static struct lambda_ref signing_ref(struct call *call)
{
	return (struct lambda_ref){ .scope = lambda_scope_of(call),
		.name = call_str(call, "CodeSigningConfigArn") };
}

int lambda_update_code_signing_config(struct call *call)
{
	struct lambda_ref ref = signing_ref(call);

	return err_pass(lambda_retry(call, &ref, update_once, NULL));
}

static int signing_count_each(void *context, str key, str value, uint64_t revision)
{
	bool *is_used = context;

	(void)key;
	(void)value;
	(void)revision;
	*is_used = true;
	return 1;
}

static int delete_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	json_auto_t *doc = NULL;
	struct batch batch = { .scope = &ref->scope };
	bool is_used = false;
	uint64_t revision;

	(void)context;
	int r = signing_read(call, &doc, &revision);
	if (r)
		return err_pass(r);
	str prefix = signed_key(&ref->scope, ref->name, S(""));
	r = prefix.at ? docs_list(call->platform->docs, KIND_SIGNED, prefix, S(""), 1,
				signing_count_each, &is_used)
		      : err_raise(-ENOMEM);
	if (r < 0)
		return err_pass(r);
	if (is_used)
		return lambda_refuse(call, CONFLICT,
			"Cannot delete the code signing configuration " STR_FMT
			": functions are using it.",
			STR_ARG(ref->name));
	batch_delete(&batch, KIND_SIGNING, lambda_signing_key(&ref->scope, ref->name), revision);
	r = batch_commit(&batch);
	return r == DOCS_CONFLICT ? LAMBDA_AGAIN : err_pass(r);
}

int lambda_delete_code_signing_config(struct call *call)
{
	struct lambda_ref ref = signing_ref(call);

	return err_pass(lambda_retry(call, &ref, delete_once, NULL));
}

/* --- lists --- */

/* A page of documents: what each shows is appended by `add`, which answers what a marker says to go on behind it. */
struct signing_listing {
	const struct lambda_scope *scope;
	struct lambda_page page;
	struct tree items;
	json_t *(*show)(const struct lambda_scope *scope, str last, const json_t *doc);
	str last; /* the last part of the key */
	bool has_more;
};

static int signing_list_each(void *context, str key, str value, uint64_t revision)
{
	struct signing_listing *listing = context;
	json_auto_t *doc = json_loadb(value.at, value.len, JSON_ALLOW_NUL, NULL);
	str rest = key, part;

	(void)revision;
	if (json_array_size(listing->items.at) == listing->page.limit) {
		listing->has_more = true;
		return 1;
	}
	while (str_cut(&rest, '/', &part))
		;
	listing->last = arena_str(listing->scope->arena, rest);
	tree_add(&listing->items, doc ? listing->show(listing->scope, rest, doc) : NULL);
	return listing->items.err;
}

/* All documents of a kind below a prefix, from the page's marker on, as the member `name`: 0 or a fault. */
static int signing_list(
	struct call *call, struct signing_listing *listing, str kind, str prefix, const char *name)
{
	struct tree out = { .at = call->out };
	str after = listing->page.after;

	tree_put(&out, name, json_array());
	listing->items.at = json_object_get(call->out, name);
	if (after.len == 0)
		after = S("");
	else
		after = arena_strf(call->arena, STR_FMT STR_FMT, STR_ARG(prefix), STR_ARG(after));
	if (!prefix.at || !after.at)
		return err_raise(-ENOMEM);
	int r = docs_list(call->platform->docs, kind, prefix, after, listing->page.limit + 1,
		signing_list_each, listing);
	if (r < 0)
		return err_pass(r);
	tree_join(&out, &listing->items);
	if (listing->has_more)
		lambda_page_more(&listing->page, &out, listing->last);
	return err_pass(out.err);
}

static json_t *signing_show_config(const struct lambda_scope *scope, str last, const json_t *doc)
{
	(void)scope;
	(void)last;
	return json_incref(json_object_get(doc, "Config"));
}

static json_t *signing_show_function(const struct lambda_scope *scope, str last, const json_t *doc)
{
	str arn = lambda_arn(scope, last, S(""));

	(void)doc;
	return arn.at ? json_from_str(arn) : NULL;
}

int lambda_list_code_signing_configs(struct call *call)
{
	struct lambda_scope scope = lambda_scope_of(call);
	struct signing_listing listing = { .scope = &scope, .show = signing_show_config };

	int r = lambda_page_read(call, "code-signing-configs", SIGNING_PAGE, &listing.page);
	if (r)
		return err_pass(r);
	return err_pass(signing_list(call, &listing, KIND_SIGNING,
		record_account_key(&scope, S("")), "CodeSigningConfigs"));
}

int lambda_list_functions_by_code_signing_config(struct call *call)
{
	struct lambda_scope scope = lambda_scope_of(call);
	struct signing_listing listing = { .scope = &scope, .show = signing_show_function };
	json_auto_t *doc = NULL;

	int r = signing_read(call, &doc, NULL);
	if (r == 0)
		r = lambda_page_read(call, "signed-functions", SIGNING_PAGE, &listing.page);
	if (r)
		return err_pass(r);
	str prefix = signed_key(&scope, call_str(call, "CodeSigningConfigArn"), S(""));
	return err_pass(signing_list(call, &listing, KIND_SIGNED, prefix, "FunctionArns"));
}
