#pragma once
/*
 * Resource-based policies, of functions (and their versions and aliases) and of layer versions: statements that come and
 * go by their ids, and what they allow. A policy is a document {"Schema", "RevisionId", "Statement": [...]}.
 */
#include "model/policy.h"
#include "services/lambda/names.h"

/* The policy as it is answered, JSON text in the arena; at == NULL when out of memory. */
str lambda_policy_text(struct arena *arena, const json_t *doc);

/*
 * The statement that AddPermission or AddLayerVersionPermission asks for, about this resource: 0 and *ret_statement (the
 * caller's), CALL_ERROR, or a fault.
 */
[[nodiscard]] int lambda_statement_new(struct call *call, str resource, json_t **ret_statement);

/*
 * Append a statement; *doc (NULL: there is none yet) becomes the policy with it, in a new revision. `getter` is the
 * operation to name when the RevisionId of the call is another. 0, CALL_ERROR or a fault.
 */
[[nodiscard]] int lambda_statement_append(
	struct call *call, const char *getter, json_t **doc, const json_t *statement);

/* Take the statement of the call's StatementId out: as above. */
[[nodiscard]] int lambda_statement_take(struct call *call, const char *getter, json_t *doc);

/* Does the policy (NULL: none) let a request through? */
[[nodiscard]] bool lambda_policy_allows(const json_t *doc, const struct policy_request *request);

/*
 * The same of the policy that a function, or a version or alias of it, has: 0 and *ret_is_allowed, or a fault. The ""
 * qualifier and $LATEST are the function's own. Worker; blocks.
 */
[[nodiscard]] int lambda_policy_ask(const struct function_record *function, str qualifier,
	const struct policy_request *request, bool *ret_is_allowed);
