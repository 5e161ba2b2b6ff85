#pragma once
/* Who asks, as resource-based policies see him and as refusals name him. */
#include "aws/call.h"
#include "services/lambda/statements.h"
#include "wire/session.h"

struct front_caller;

/* Immutable; lives without what it was made from. */
struct lambda_caller {
	char account[SESSION_ACCOUNT_LEN + 1];
	char arn[SESSION_ARN_MAX];	 /* of the session, or of the account's root */
	char role[SESSION_NAME_MAX + 1]; /* whose session it is; empty: of none */
};

/* `session` may be NULL: then it is the account itself. */
void lambda_caller_init(
	struct lambda_caller *caller, str account, str region, const struct session *session);
void lambda_caller_init_of(struct lambda_caller *caller, const struct call *call);

/* What a policy is asked about this caller, who invokes (or reads) by the API; views into *caller. */
struct policy_request lambda_caller_request(const struct lambda_caller *caller, str action);

/*
 * The function's own account may do all; another one what the policy of the function, version or alias says: 0 and
 * *ret_is_allowed, or a fault. A function that is not there allows nothing. Worker; blocks.
 */
[[nodiscard]] int lambda_caller_may(const struct lambda_caller *caller,
	const struct lambda_scope *owner, str name, str qualifier, str action,
	bool *ret_is_allowed);

/* "User: … is not authorized to perform: ACTION on resource: ARN because …" */
void lambda_caller_put_refusal(
	const struct lambda_caller *caller, str action, str arn, struct buf *out);

/* The same as the answer to a call: AccessDeniedException. Returns CALL_ERROR, or a fault. */
[[nodiscard]] int lambda_refuse_access(struct call *call, str action, str arn);
