#pragma once
/* From the documents to the shapes of IAM's answers, and the values that new entities get. */
#include "services/iam/records.h"

/* A role as GetRole shows it (with tags and boundary), and as ListRoles does. NULL: out of memory. */
json_t *iam_role_shape(struct call *call, const json_t *role);
json_t *iam_role_listed(struct call *call, const json_t *role);

/* A policy as GetPolicy shows it; a version of it, with its document or without. */
json_t *iam_policy_shape(struct call *call, const json_t *policy);
json_t *iam_version_shape(
	struct call *call, const json_t *policy, const json_t *version, bool has_document);

/* A document as IAM gives it out: percent-encoded (RFC 3986), as the API reference says. */
json_t *iam_document(const char *text);

/* "AROA…": prefix and 17 random letters and digits, in the arena; at == NULL: out of memory. */
str iam_id(struct call *call, const char *prefix);

/* arn:aws:iam::ACCOUNT:KIND/PATH/NAME, in the arena. */
str iam_arn(struct call *call, const char *kind, str path, str name);

/* Is it a JSON object? 0, or CALL_ERROR MalformedPolicyDocument. */
[[nodiscard]] int iam_check_document(struct call *call, str document);

/* Put the Tags of the call over those of the entity; take away its TagKeys. */
[[nodiscard]] int iam_tags_put(struct call *call, json_t *doc);
[[nodiscard]] int iam_tags_remove(struct call *call, json_t *doc);

/* The name in a policy's ARN; an empty view when it is not of this account (AWS's own have account "aws"). */
str iam_policy_name(struct call *call, str arn);
bool iam_is_managed_by_aws(str arn);
