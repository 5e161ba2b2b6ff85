/*
 * Shapes of answers. Fields are those that IAM's own answers have, absent where it leaves them out.
 */
#include "services/iam/shapes.h"

#include "base/err.h"
#include "os/random.h"
#include "wire/http.h"

#include <errno.h>
#include <string.h>

enum { ID_LEN = 17, DOCUMENT_MAX = 1024 * 1024, TAGS_MAX = 50 };

str iam_id(struct call *call, const char *prefix)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	unsigned char bytes[ID_LEN];
	char text[ID_LEN];

	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < ID_LEN; i++)
		text[i] = letters[bytes[i] % (sizeof(letters) - 1)];
	return arena_strf(call->arena, "%s%.*s", prefix, ID_LEN, text);
}

str iam_arn(struct call *call, const char *kind, str path, str name)
{
	return arena_strf(call->arena, "arn:aws:iam::" STR_FMT ":%s" STR_FMT STR_FMT,
		STR_ARG(call->account), kind, STR_ARG(path.len ? path : S("/")), STR_ARG(name));
}

json_t *iam_document(const char *text)
{
	struct buf encoded;

	buf_init(&encoded, DOCUMENT_MAX);
	uri_encode(str_of(text), false, &encoded);
	json_t *document = encoded.err ? NULL : json_from_str(buf_str(&encoded));
	buf_done(&encoded);
	return document;
}

int iam_check_document(struct call *call, str document)
{
	json_t *tree = json_loadb(document.at ? document.at : "", document.len, 0, NULL);
	bool is_object = json_is_object(tree);

	json_decref(tree);
	if (is_object)
		return 0;
	return call_error(
		call, "MalformedPolicyDocumentException", "This policy contains invalid Json");
}

/* A deep copy of some members, under the same names; those that are absent stay so. */
static int copy_members(json_t *to, const json_t *from, const char *const *names)
{
	for (size_t i = 0; names[i]; i++) {
		json_t *value = json_object_get(from, names[i]);
		if (!value)
			continue;
		int r = json_put(to, names[i], json_deep_copy(value));
		if (r < 0)
			return err_pass(r);
	}
	return 0;
}

json_t *iam_role_listed(struct call *call, const json_t *role)
{
	static const char *const names[] = { "Path", "RoleName", "RoleId", "CreateDate",
		"Description", "MaxSessionDuration", NULL };
	str arn = iam_arn(call, "role", json_get_str(role, "Path"), json_get_str(role, "RoleName"));
	json_t *shape = json_object();

	int r = shape && arn.at ? copy_members(shape, role, names) : err_raise(-ENOMEM);
	if (r == 0)
		r = json_put(shape, "Arn", json_from_str(arn));
	if (r == 0)
		r = json_put(shape, "AssumeRolePolicyDocument",
			iam_document(json_string_value(
				json_object_get(role, "AssumeRolePolicyDocument"))));
	if (r == 0)
		return shape;
	json_decref(shape);
	return NULL;
}

json_t *iam_role_shape(struct call *call, const json_t *role)
{
	static const char *const names[] = { "PermissionsBoundary", NULL };
	const json_t *tags = json_object_get(role, "Tags");
	json_t *shape = iam_role_listed(call, role);

	int r = shape ? copy_members(shape, role, names) : err_raise(-ENOMEM);
	if (r == 0 && json_array_size(tags))
		r = json_put(shape, "Tags", json_deep_copy(tags));
	if (r == 0)
		r = json_put(shape, "RoleLastUsed", json_object());
	if (r == 0)
		return shape;
	json_decref(shape);
	return NULL;
}

/* How many roles have it attached. */
static json_int_t attachment_count(struct call *call, str arn)
{
	json_t *roles = NULL, *role, *attached;
	size_t i, k;
	json_int_t count = 0;

	if (iam_list(call, KIND_ROLE, &roles) < 0)
		return 0;
	json_array_foreach(roles, i, role)
	{
		json_array_foreach(json_object_get(role, "Attached"), k, attached)
			count += str_eq(json_get_str(attached, "PolicyArn"), arn);
	}
	json_decref(roles);
	return count;
}

json_t *iam_policy_shape(struct call *call, const json_t *policy)
{
	static const char *const names[] = { "PolicyName", "PolicyId", "Path", "DefaultVersionId",
		"Description", "CreateDate", "UpdateDate", "Tags", NULL };
	str arn = iam_arn(
		call, "policy", json_get_str(policy, "Path"), json_get_str(policy, "PolicyName"));
	json_t *shape = json_object();

	int r = shape && arn.at ? copy_members(shape, policy, names) : err_raise(-ENOMEM);
	if (r == 0)
		r = json_put(shape, "Arn", json_from_str(arn));
	if (r == 0)
		r = json_put(shape, "AttachmentCount", json_integer(attachment_count(call, arn)));
	if (r == 0)
		r = json_put(shape, "PermissionsBoundaryUsageCount", json_integer(0));
	if (r == 0)
		r = json_put(shape, "IsAttachable", json_true());
	if (r == 0)
		return shape;
	json_decref(shape);
	return NULL;
}

json_t *iam_version_shape(
	struct call *call, const json_t *policy, const json_t *version, bool has_document)
{
	static const char *const names[] = { "VersionId", "CreateDate", NULL };
	bool is_default = str_eq(
		json_get_str(version, "VersionId"), json_get_str(policy, "DefaultVersionId"));
	json_t *shape = json_object();

	(void)call;
	int r = shape ? copy_members(shape, version, names) : err_raise(-ENOMEM);
	if (r == 0)
		r = json_put(shape, "IsDefaultVersion", json_boolean(is_default));
	if (r == 0 && has_document)
		r = json_put(shape, "Document",
			iam_document(json_string_value(json_object_get(version, "Document"))));
	if (r == 0)
		return shape;
	json_decref(shape);
	return NULL;
}

/* --- tags --- */

static size_t tag_find(const json_t *tags, str key)
{
	size_t i;
	json_t *tag;

	json_array_foreach(tags, i, tag)
	{
		if (str_eq(json_get_str(tag, "Key"), key))
			return i;
	}
	return json_array_size(tags);
}

int iam_tags_put(struct call *call, json_t *doc)
{
	json_t *tags = json_object_get(doc, "Tags"), *tag;
	size_t i;

	if (!tags) {
		tags = json_array();
		int r = json_put(doc, "Tags", tags);
		if (r < 0)
			return err_pass(r);
	}
	json_array_foreach(call_get(call, "Tags"), i, tag)
	{
		size_t at = tag_find(tags, json_get_str(tag, "Key"));
		json_t *copy = json_deep_copy(tag);
		int r = at < json_array_size(tags) ? json_array_set_new(tags, at, copy)
						   : json_array_append_new(tags, copy);
		if (r < 0)
			return err_raise(-ENOMEM);
	}
	if (json_array_size(tags) > TAGS_MAX)
		return call_error(call, "LimitExceededException",
			"The number of tags has reached the maximum limit.");
	return 0;
}

int iam_tags_remove(struct call *call, json_t *doc)
{
	json_t *tags = json_object_get(doc, "Tags"), *key;
	size_t i;

	json_array_foreach(call_get(call, "TagKeys"), i, key)
	{
		size_t at = tag_find(tags, json_view(key));
		if (at < json_array_size(tags))
			(void)json_array_remove(tags, at);
	}
	return 0;
}

/* --- ARNs of policies --- */

bool iam_is_managed_by_aws(str arn)
{
	return str_starts(arn, S("arn:aws:iam::aws:policy/"));
}

str iam_policy_name(struct call *call, str arn)
{
	str prefix = arena_strf(
		    call->arena, "arn:aws:iam::" STR_FMT ":policy/", STR_ARG(call->account)),
	    part;

	if (!prefix.at || !str_starts(arn, prefix))
		return (str){};
	str name = str_from(arn, prefix.len);
	str rest = name;
	while (str_cut(&rest, '/', &part))
		name = rest;
	return name;
}
