/*
 * Admission: may this invocation run now, and which version does it run?
 *
 * The order is that of the answers a caller can act on: the function's state, a runtime that this
 * node lacks, then concurrency. A reservation is a function's own: it is held against the
 * reservation only. All others share what the account has in its region beside what is set aside
 * ("Understanding Lambda function scaling"). Requests have a rate, too: 10 a second for each unit of
 * concurrency ("Lambda quotas").
 */
#include "base/attr.h"
#include "engine/core.h"
#include "engine/directory.h"
#include "engine/invocation.h"
#include "engine/pool.h"
#include "engine/provision.h"
#include "engine/runtimes.h"
#include "model/lineage.h"

#include <assert.h>
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
		invocation_refuse(invocation,
			version->has_snap_start ? INVOKE_SNAPSHOT_PENDING : INVOKE_PENDING,
			S("Pending"));
		return true;
	case FUNCTION_FAILED:
		break;
	}
	invocation_refuse(invocation, INVOKE_STATE_FAILED, S("Failed"));
	return true;
}

static bool tenant_refuses(struct invocation *invocation, const struct function_version *version)
{
	if (version->is_per_tenant == (invocation->tenant.len > 0))
		return false;
	invocation_refuse(invocation,
		version->is_per_tenant ? INVOKE_NO_TENANT : INVOKE_TENANT_UNWANTED, S("Tenant"));
	return true;
}

/* Counted in the trace, which goes on with whatever the function invokes. */
static bool loop_refuses(struct invocation *invocation, const struct function_version *version)
{
	char text[TRACE_MAX];
	struct buf trace;

	buf_init_over(&trace, text, sizeof(text));
	unsigned before = lineage_step(str_of(invocation->trace), version->arn, &trace);
	if (!trace.err)
		(void)!str_to_array(buf_str(&trace), invocation->trace, sizeof(invocation->trace));
	if (before < LINEAGE_LOOP_MAX || version->may_loop)
		return false;
	invocation_refuse(invocation, INVOKE_RECURSIVE,
		S("The function was invoked in a recursive loop, and stopped."));
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
	char detail[240];
	int len;

	if (runtimes_find(runtimes, version->runtime, &pack) != RUNTIME_NONE)
		return false;
	pack = runtimes_find_incomplete(runtimes, version->runtime);
	if (pack)
		len = snprintf(detail, sizeof(detail),
			"The runtime " STR_FMT
			" is not installed on this node: it needs files that are no part of "
			"mayfly. Run 'mayfly runtime install " STR_FMT "' as root and restart it.",
			STR_ARG(version->runtime), STR_ARG(pack->name));
	else
		len = snprintf(detail, sizeof(detail),
			"The runtime " STR_FMT
			" is not installed on this node. Install its interpreter on the host and "
			"restart mayfly; 'mayfly runtime list' says which were found.",
			STR_ARG(version->runtime));
	invocation_refuse(invocation, INVOKE_NO_RUNTIME,
		(str){ detail, MIN((size_t)len, sizeof(detail) - 1) });
	return true;
}

/* --- throttling --- */

void invocation_throttle(struct invocation *invocation, const struct throttle *throttle)
{
	uint64_t retry_ms = MAX(throttle->retry_ms, 1);

	invocation->engine->counters.throttled++;
	invocation->retry_after_s = (unsigned)((retry_ms + 999) / 1000);
	int r = str_to_array(throttle->message.len ? throttle->message : S("Rate Exceeded."),
		invocation->throttle_message, sizeof(invocation->throttle_message));
	assert(r == 0);
	(void)r;
	invocation_refuse(invocation, INVOKE_THROTTLED, throttle->reason);
}

/*
 * "The total invocation limit is 10 times your concurrency": of a function with a reservation 10
 * times that, of all others of the account together 10 times what they share.
 */
static bool rate_refuses(struct invocation *invocation)
{
	const struct engine_options *options = &invocation->engine->options;
	struct function_entry *function = invocation->function;
	bool is_reserved = function->reserved_concurrency >= 0;
	uint64_t units = is_reserved ? (uint64_t)function->reserved_concurrency
				     : options->account_concurrency;
	struct bucket_rate rate = { .amount = (uint32_t)MIN(
					    units * options->invocation_rate, INT32_MAX),
		.period_ms = 1000 };
	struct bucket *requests = is_reserved ? &function->requests : &function->scope->requests;
	uint64_t now_ms = loop_now_ms(invocation->engine->loop);

	if (!rate.amount || bucket_take(requests, &rate, now_ms))
		return false;
	struct throttle throttle = { .retry_ms = bucket_wait_ms(requests, &rate, 1, now_ms) };
	if (is_reserved) {
		throttle.reason = S("ReservedFunctionInvocationRateLimitExceeded");
	} else {
		throttle.reason = S("CallerRateLimitExceeded");
		throttle.message = S("Rate exceeded"); /* AWS words this one so */
	}
	invocation_throttle(invocation, &throttle);
	return true;
}

/*
 * What is set aside is not for others: reserved seats are the function's, and of these (or of the
 * account's) the provisioned ones are the version's. "Provisioned concurrency counts towards a
 * function's reserved concurrency and Regional quotas."
 */
static bool concurrency_refuses(struct invocation *invocation)
{
	const struct function_entry *function = invocation->function;
	const struct account_scope *scope = function->scope;
	uint32_t account = invocation->engine->options.account_concurrency;
	uint32_t shared = account > scope->set_aside ? account - scope->set_aside : 0;
	int64_t own = (int64_t)function->reserved_concurrency - function->provisioned;

	if (invocation->pool->provisioned < provision_seats(invocation->pool))
		return false;
	if (function->reserved_concurrency >= 0) {
		if (function->on_demand < MAX(own, 0))
			return false;
		invocation_throttle(invocation,
			&(struct throttle){
				.reason = S("ReservedFunctionConcurrentInvocationLimitExceeded") });
		return true;
	}
	if (scope->unreserved < shared)
		return false;
	invocation_throttle(
		invocation, &(struct throttle){ .reason = S("ConcurrentInvocationLimitExceeded") });
	return true;
}

/* --- seats --- */

static void seat_take(struct invocation *invocation)
{
	struct function_entry *function = invocation->function;
	struct pool *pool = invocation->pool;

	pool->invocations++;
	if (pool->provisioned < provision_seats(pool)) {
		pool->provisioned++;
		invocation->seat = SEAT_PROVISIONED;
		return;
	}
	function->on_demand++;
	invocation->seat = SEAT_RESERVED;
	if (function->reserved_concurrency >= 0)
		return;
	invocation->seat = SEAT_UNRESERVED;
	function->scope->unreserved++;
}

/* What it took, whatever the reservation has become meanwhile. */
void seat_leave(struct function_entry *function, struct pool *pool, enum seat seat)
{
	assert(seat != SEAT_NONE && pool->invocations > 0);
	pool->invocations--;
	if (seat == SEAT_PROVISIONED) {
		assert(pool->provisioned > 0);
		pool->provisioned--;
		return;
	}
	assert(function->on_demand > 0);
	function->on_demand--;
	if (seat == SEAT_UNRESERVED)
		function->scope->unreserved--;
}

void invocation_admit(struct invocation *invocation, const struct function_target *target)
{
	struct function_entry *function = invocation->function;
	struct function_version *version = target_choose(invocation->engine, target);

	if (state_refuses(invocation, version) || tenant_refuses(invocation, version) ||
		loop_refuses(invocation, version) || payload_refuses(invocation, version) ||
		runtime_refuses(invocation, version) || rate_refuses(invocation))
		return;
	invocation->pool = pool_find(function, version, invocation->tenant);
	if (!invocation->pool) {
		invocation_refuse(invocation, INVOKE_FAULT, S("Out of memory."));
		return;
	}
	if (concurrency_refuses(invocation)) {
		invocation->pool = NULL; /* it may not outlive this */
		return;
	}
	seat_take(invocation);
	pool_serve(invocation->pool, invocation);
}
