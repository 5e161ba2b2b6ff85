/*
 * Admission: may this invocation run now, and which version does it run?
 *
 * The order is that of the answers a caller can act on: the function's state, a runtime that this
 * node lacks, then concurrency. A reservation is a function's own: it is held against the
 * reservation only. All others share what the account has in its region ("Understanding Lambda
 * function scaling").
 */
#include "base/attr.h"
#include "engine/core.h"
#include "engine/directory.h"
#include "engine/invocation.h"
#include "engine/pool.h"
#include "engine/runtimes.h"

#include <stdio.h>

enum { MILLION = 1'000'000 };

/* An alias may send a part of its invocations to a second version. */
static struct function_version *target_choose(
	struct engine *engine, const struct function_target *target)
{
	if (target->other && engine_random(engine, MILLION) < target->other_per_million)
		return target->other;
	return target->version;
}

static bool state_refuses(struct invocation *invocation, const struct function_version *version)
{
	switch (version->state) {
	case FUNCTION_ACTIVE:
	case FUNCTION_INACTIVE:
		return false;
	case FUNCTION_PENDING:
		invocation_refuse(invocation, INVOKE_PENDING, S("Pending"));
		return true;
	case FUNCTION_FAILED:
		break;
	}
	invocation_refuse(invocation, INVOKE_STATE_FAILED, S("Failed"));
	return true;
}

static bool payload_refuses(struct invocation *invocation, const struct function_version *version)
{
	if (invocation->payload.len <= version->payload_max)
		return false;
	invocation->payload_max = version->payload_max;
	invocation_refuse(invocation, INVOKE_TOO_LARGE, S("The event is too large."));
	return true;
}

static bool runtime_refuses(struct invocation *invocation, const struct function_version *version)
{
	const struct runtimes *runtimes = invocation->engine->options.runtimes;
	const struct runtime_pack *pack;
	char detail[200];

	if (runtimes_find(runtimes, version->runtime, &pack) != RUNTIME_NONE)
		return false;
	int len = snprintf(detail, sizeof(detail),
		"The runtime " STR_FMT
		" is not installed on this node. Install its interpreter on the host and "
		"restart mayfly; 'mayfly doctor' lists the runtimes that were found.",
		STR_ARG(version->runtime));
	invocation_refuse(invocation, INVOKE_NO_RUNTIME,
		(str){ detail, MIN((size_t)len, sizeof(detail) - 1) });
	return true;
}

static bool concurrency_refuses(struct invocation *invocation)
{
	const struct engine *engine = invocation->engine;
	const struct function_entry *function = invocation->function;
	str reason;

	if (function->reserved_concurrency >= 0) {
		if (function->in_flight < (unsigned)function->reserved_concurrency)
			return false;
		reason = S("ReservedFunctionConcurrentInvocationLimitExceeded");
	} else {
		if (function->scope->in_flight < engine->options.account_concurrency)
			return false;
		reason = S("ConcurrentInvocationLimitExceeded");
	}
	invocation->engine->counters.throttled++;
	invocation_refuse(invocation, INVOKE_THROTTLED, reason);
	return true;
}

void invocation_admit(struct invocation *invocation, const struct function_target *target)
{
	struct function_entry *function = invocation->function;
	struct function_version *version = target_choose(invocation->engine, target);

	if (state_refuses(invocation, version) || payload_refuses(invocation, version) ||
		runtime_refuses(invocation, version) || concurrency_refuses(invocation))
		return;
	struct pool *pool = pool_find(function, version);
	if (!pool) {
		invocation_refuse(invocation, INVOKE_FAULT, S("Out of memory."));
		return;
	}
	invocation->pool = pool;
	pool->invocations++;
	function->in_flight++;
	function->scope->in_flight++;
	pool_serve(pool, invocation);
}
