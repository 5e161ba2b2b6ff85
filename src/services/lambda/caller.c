/*
 * "Cross-account requests": the policy of the caller's own side is not looked at (there are none that are evaluated), so
 * what decides is the resource's. The words are AWS's, which names the session of a role by its own ARN.
 */
#include "services/lambda/caller.h"

#include "base/err.h"
#include "model/arn.h"
#include "services/lambda/names.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

enum { REFUSAL_MAX = 2048 };

void lambda_caller_init(
	struct lambda_caller *caller, str account, str region, const struct session *session)
{
	*caller = (struct lambda_caller){};
	/* An account has twelve digits, wherever it came from; what has not is nobody's. */
	if (str_to_array(account, caller->account, sizeof(caller->account)) < 0)
		caller->account[0] = '\0';
	if (session) {
		session_put_arn(session, caller->arn);
		(void)!str_to_array(str_of(session->role), caller->role, sizeof(caller->role));
		return;
	}
	int len = snprintf(caller->arn, sizeof(caller->arn), "arn:" STR_FMT ":iam::%s:root",
		STR_ARG(arn_partition(region)), caller->account);
	assert(len > 0 && (size_t)len < sizeof(caller->arn));
	(void)len;
}

void lambda_caller_init_of(struct lambda_caller *caller, const struct call *call)
{
	lambda_caller_init(caller, call->account, call->region, call->session);
}

struct policy_request lambda_caller_request(const struct lambda_caller *caller, str action)
{
	return (struct policy_request){
		.action = action,
		.account = str_of(caller->account),
		.identity = str_of(caller->arn),
		.role = str_of(caller->role),
		.given = { [POLICY_VIA_URL] = S("false") },
	};
}

int lambda_caller_may(const struct lambda_caller *caller, const struct lambda_scope *owner,
	str name, str qualifier, str action, bool *ret_is_allowed)
{
	const struct policy_request request = lambda_caller_request(caller, action);
	scoped_function function = {};

	if (str_eq(owner->account, str_of(caller->account))) {
		*ret_is_allowed = true;
		return 0;
	}
	int r = function_record_get(owner, name, &function);
	if (r == RECORD_FOUND)
		return err_pass(lambda_policy_ask(&function, qualifier, &request, ret_is_allowed));
	*ret_is_allowed = false;
	return r < 0 ? err_pass(r) : 0;
}

void lambda_caller_put_refusal(
	const struct lambda_caller *caller, str action, str arn, struct buf *out)
{
	buf_put(out, S("User: "));
	buf_put(out, str_of(caller->arn));
	buf_put(out, S(" is not authorized to perform: "));
	buf_put(out, action);
	buf_put(out, S(" on resource: "));
	buf_put(out, arn);
	buf_put(out, S(" because no resource-based policy allows the "));
	buf_put(out, action);
	buf_put(out, S(" action"));
}

int lambda_refuse_access(struct call *call, str action, str arn)
{
	struct lambda_caller caller;
	struct buf text;

	lambda_caller_init_of(&caller, call);
	buf_init(&text, REFUSAL_MAX);
	lambda_caller_put_refusal(&caller, action, arn, &text);
	call->error_status = 403;
	int r = call_error(call, "AccessDeniedException", STR_FMT, STR_ARG(buf_str(&text)));
	buf_done(&text);
	return err_pass(r);
}
