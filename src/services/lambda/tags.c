/*
 * TagResource, UntagResource, ListTags. The resource is an ARN of a function or a code signing configuration; each of the
 * other kinds that it can name has its own way to say that there is none.
 */
#include "services/lambda/tags.h"

#include "base/attr.h"
#include "base/err.h"
#include "model/arn.h"
#include "model/limits.h"
#include "services/lambda/operations.h"
#include "services/lambda/signing.h"
#include "services/lambda/tree.h"

#include <errno.h>

/* --- rules --- */

static size_t tag_characters(str text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += ((unsigned char)text.at[i] & 0xC0) != 0x80;
	return count;
}

static int tag_check(struct call *call, str key, str value)
{
	size_t len = tag_characters(key);

	if (len == 0 || len > LIMIT_TAG_KEY)
		return lambda_refuse(call, INVALID,
			"Tag keys must have between 1 and %d characters.", LIMIT_TAG_KEY);
	if (tag_characters(value) > LIMIT_TAG_VALUE)
		return lambda_refuse(call, INVALID, "Tag values must have at most %d characters.",
			LIMIT_TAG_VALUE);
	if (str_starts_fold(key, S("aws:")))
		return lambda_refuse(call, INVALID,
			"Tag keys that begin with aws: are reserved for system use.");
	return 0;
}

int lambda_check_tags(struct call *call, const json_t *there, const json_t *tags)
{
	size_t count = json_object_size(there);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)tags, key, value)
	{
		int r = tag_check(call, str_of(key), json_view(value));
		if (r)
			return r;
		count += !json_object_get(there, key);
	}
	if (count > LIMIT_TAGS)
		return lambda_refuse(call, INVALID, "Number of tags exceeds resource tag limit.");
	return 0;
}

/* --- the resource --- */

/* Kinds of resources that an ARN can name beside functions, and what is said when there is none. */
#define TAG_SIGNING S("code-signing-config:")
static const struct {
	str kind;
	const char *name;
} tag_kinds[] = {
	{ S_INIT("code-signing-config:"), "Code signing configuration" },
	{ S_INIT("event-source-mapping:"), "Event source mapping" },
	{ S_INIT("capacity-provider:"), "Capacity provider" },
};

static int tag_refuse_kind(struct call *call, str arn, str resource)
{
	if (str_starts(resource, S("layer:")))
		return lambda_refuse(
			call, INVALID, "Tags on layers are not available in mayfly yet.");
	for (size_t i = 0; i < ARRAY_LEN(tag_kinds); i++)
		if (str_starts(resource, tag_kinds[i].kind))
			return lambda_refuse(call, NOT_FOUND, "%s not found: " STR_FMT,
				tag_kinds[i].name, STR_ARG(arn));
	return lambda_refuse(call, NOT_FOUND, "The resource you requested does not exist: " STR_FMT,
		STR_ARG(arn));
}

/* arn:PARTITION:lambda:REGION:ACCOUNT:RESOURCE; the model's pattern has let it pass. */
static int tag_ref_read(struct call *call, struct lambda_ref *ret_ref)
{
	str arn = call_str(call, "Resource"), rest = arn, part;
	struct function_name name;

	for (int i = 0; i < 5; i++)
		if (!str_cut(&rest, ':', &part))
			return tag_refuse_kind(call, arn, S(""));
	if (!str_starts(rest, S("function:")))
		return tag_refuse_kind(call, arn, rest);
	if (function_name_parse(arn, &name) < 0 || !str_eq(name.region, call->region) ||
		!str_eq(name.account, call->account))
		return lambda_refuse(call, NOT_FOUND, "Function not found: " STR_FMT, STR_ARG(arn));
	if (name.qualifier.len)
		return lambda_refuse(call, INVALID,
			"Tags on function aliases and versions are not supported. Please specify a "
			"function ARN.");
	*ret_ref = (struct lambda_ref){
		.scope = lambda_scope_of(call),
		.name = name.name,
	};
	return 0;
}

/* --- the operations --- */

/* Tags change the revision of the function, not the build: what runs goes on. */
static int tag_write(const struct lambda_ref *ref, struct function_record *function)
{
	struct batch batch = { .scope = &ref->scope };
	struct tree latest = { .at = function->latest };

	tree_put(&latest, "RevisionId", record_revision());
	if (latest.err)
		return err_pass(latest.err);
	batch_put_function(&batch, function);
	return err_pass(lambda_commit(&batch, ref->name));
}

/* TagResource adds, UntagResource takes away. 0 and *ret_is_changed, CALL_ERROR or a fault. */
static int tag_apply(struct call *call, json_t *there, bool *ret_is_changed)
{
	json_t *given = call_get(call, "Tags");
	struct tree tags = { .at = there };
	size_t before = json_object_size(there), i;
	const char *key;
	json_t *value;

	int r = lambda_check_tags(call, there, given);
	if (r)
		return err_pass(r);
	json_object_foreach(given, key, value) tree_copy(&tags, key, value);
	json_array_foreach(call_get(call, "TagKeys"), i, value)(void)
		json_object_del(there, json_string_value(value)); /* absent is fine */
	*ret_is_changed = given || json_object_size(there) != before;
	return err_pass(tags.err);
}

static int tag_function_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	bool is_changed = false;

	(void)context;
	int r = lambda_function_read(call, ref, S(""), &function);
	if (r == 0)
		r = tag_apply(call, json_object_get(function.doc, "Tags"), &is_changed);
	if (r)
		return err_pass(r);
	return is_changed ? err_pass(tag_write(ref, &function)) : 0;
}

/* A code signing configuration's document; the name of the reference is its ARN. 0, CALL_ERROR or a fault. */
static int tag_signing_read(
	struct call *call, const struct lambda_ref *ref, json_t **ret_doc, uint64_t *ret_revision)
{
	int r = lambda_signing_get(&ref->scope, ref->name, ret_doc, ret_revision);

	return r == RECORD_ABSENT ? tag_refuse_kind(call, ref->name, TAG_SIGNING) : err_pass(r);
}

static int tag_signing_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	json_auto_t *doc = NULL;
	struct batch batch = { .scope = &ref->scope };
	bool is_changed = false;
	uint64_t revision;

	(void)context;
	int r = tag_signing_read(call, ref, &doc, &revision);
	if (r == 0)
		r = tag_apply(call, json_object_get(doc, "Tags"), &is_changed);
	if (r || !is_changed)
		return err_pass(r);
	batch_put(&batch, KIND_SIGNING, lambda_signing_key(&ref->scope, ref->name), doc, revision);
	r = batch_commit(&batch);
	return r == DOCS_CONFLICT ? LAMBDA_AGAIN : err_pass(r);
}

/* Is the resource a code signing configuration? Then *ret_ref is a reference to it. */
static bool tag_is_signing(struct call *call, struct lambda_ref *ret_ref)
{
	*ret_ref = (struct lambda_ref){ .scope = lambda_scope_of(call),
		.name = call_str(call, "Resource") };
	return str_find_str(ret_ref->name, S(":code-signing-config:")) >= 0;
}

static int tag_change(struct call *call)
{
	struct lambda_ref ref;

	if (tag_is_signing(call, &ref))
		return err_pass(lambda_retry(call, &ref, tag_signing_once, NULL));
	int r = tag_ref_read(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, tag_function_once, NULL));
}

int lambda_tag_resource(struct call *call)
{
	return err_pass(tag_change(call));
}

int lambda_untag_resource(struct call *call)
{
	return err_pass(tag_change(call));
}

static int list_signing(struct call *call, const struct lambda_ref *ref)
{
	json_auto_t *doc = NULL;
	struct tree out = { .at = call->out };

	int r = tag_signing_read(call, ref, &doc, NULL);
	if (r)
		return err_pass(r);
	tree_copy(&out, "Tags", json_object_get(doc, "Tags"));
	return err_pass(out.err);
}

int lambda_list_tags(struct call *call)
{
	scoped_function function = {};
	struct tree out = { .at = call->out };
	struct lambda_ref ref;

	if (tag_is_signing(call, &ref))
		return err_pass(list_signing(call, &ref));
	int r = tag_ref_read(call, &ref);
	if (r == 0)
		r = lambda_function_read(call, &ref, S(""), &function);
	if (r)
		return err_pass(r);
	tree_copy(&out, "Tags", json_object_get(function.doc, "Tags"));
	return err_pass(out.err);
}
