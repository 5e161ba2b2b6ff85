/*
 * Provisioned concurrency.
 *
 *	function_entry ──► provision (a qualifier) ──► share (in a pool) ──► environments
 *	                                                └── pool->shares
 *
 * A provision wants so many environments of the version that its qualifier leads to; an alias with
 * routing wants them of two versions, by weight. They are started like others are, in turn with them
 * and where there is room, and they are never reaped, nor stopped to make room. In a pool they go
 * before the environments that were started on demand; what they cannot serve spills over to those.
 *
 * When an alias moves, the environments of the old version stay until those of the new one are ready,
 * and then become ordinary ones, which age and go.
 *
 * One that fails to initialise is started again after a pause that grows; after FAILURES_MAX in a row
 * the provision is FAILED, and it goes on trying slowly. One that dies later is replaced at once.
 */
#include "engine/provision.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/core.h"
#include "engine/directory.h"
#include "engine/environment.h"
#include "engine/pool.h"
#include "engine/runtimes.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
	FAILURES_MAX = 3,
	REST_MS = 100, /* after the first failure; twice as long after each further one */
	REST_MS_MAX = 60'000,
	REST_DOUBLINGS_MAX = 10,
	MILLION = 1'000'000,
};

/* --- shares --- */

static struct provision_share *share_of(const struct provision *provision, const struct pool *pool)
{
	list_each(link, &provision->shares) {
		struct provision_share *share = list_entry(
			link, struct provision_share, in_provision);
		if (share->pool == pool)
			return share;
	}
	return NULL;
}

static struct provision_share *share_new(struct provision *provision, struct pool *pool)
{
	struct provision_share *share = mem_one(struct provision_share);
	if (!share)
		return NULL;

	share->provision = provision;
	share->pool = pool;
	list_init(&share->members);
	list_push_back(&provision->shares, &share->in_provision);
	list_push_back(&pool->shares, &share->in_pool);
	return share;
}

/* Its environments, as many as are too many, become ordinary ones: those that were started last first. */
static void share_trim(struct provision_share *share)
{
	while (share->count > share->wanted) {
		struct environment *env = list_entry(
			share->members.prev, struct environment, in_share);
		share->count--;
		if (!environment_is_starting(env))
			share->ready--;
		list_remove(&env->in_share);
		environment_become_ordinary(env);
	}
}

/* The pool lives on as long as it has environments; nothing here touches it afterwards. */
static void share_free(struct provision_share *share)
{
	struct pool *pool = share->pool;

	share->wanted = 0;
	share_trim(share);
	list_remove(&share->in_provision);
	list_remove(&share->in_pool);
	mem_free(share);
	pool_reap(pool);
}

/* --- how it stands --- */

static uint32_t provision_ready(const struct provision *provision, bool with_old)
{
	uint32_t ready = 0;

	list_each(link, &provision->shares) {
		const struct provision_share *share = list_entry(
			link, struct provision_share, in_provision);
		ready += share->wanted || with_old ? share->ready : 0;
	}
	return MIN(ready, provision->requested);
}

static struct provision *provision_find(const struct function_entry *function, str qualifier)
{
	list_each(link, &function->provisions) {
		struct provision *provision = list_entry(link, struct provision, link);
		if (str_eq(str_of(provision->qualifier), qualifier))
			return provision;
	}
	return NULL;
}

bool provision_figures(
	const struct function_entry *function, str qualifier, struct provision_figures *ret_figures)
{
	const struct provision *provision = provision_find(function, qualifier);
	if (!provision)
		return false;

	bool is_ready = provision_ready(provision, false) == provision->requested;
	*ret_figures = (struct provision_figures){
		.requested = provision->requested,
		.allocated = provision_ready(provision, true),
		.status = is_ready ? PROVISION_READY : PROVISION_IN_PROGRESS,
	};
	if (is_ready || provision->failures < FAILURES_MAX)
		return true;
	ret_figures->status = PROVISION_FAILED;
	ret_figures->reason = provision->reason;
	return true;
}

uint32_t provision_seats(const struct pool *pool)
{
	uint32_t seats = 0;

	list_each(link, &pool->shares)
		seats += list_entry(link, struct provision_share, in_pool)->wanted;
	return seats;
}

static unsigned share_shortage(const struct provision_share *share)
{
	bool may_start = !share->provision->is_resting && !share->pool->is_draining &&
		!share->pool->engine->on_drained;

	return may_start && share->wanted > share->count ? share->wanted - share->count : 0;
}

unsigned provision_shortage(const struct pool *pool)
{
	unsigned missing = 0;

	list_each(link, &pool->shares)
		missing += share_shortage(list_entry(link, struct provision_share, in_pool));
	return missing;
}

struct provision_share *provision_next(const struct pool *pool)
{
	list_each(link, &pool->shares) {
		struct provision_share *share = list_entry(link, struct provision_share, in_pool);
		if (share_shortage(share))
			return share;
	}
	return NULL;
}

/* --- what becomes of them --- */

/* All that is wanted is there: what was kept of earlier versions may go. */
static void provision_settle(struct provision *provision)
{
	if (provision_ready(provision, false) < provision->requested)
		return;
	list_each(link, &provision->shares) {
		struct provision_share *share = list_entry(
			link, struct provision_share, in_provision);
		if (!share->wanted)
			share_free(share);
		else
			share_trim(share);
	}
}

static void provision_want(struct provision *provision)
{
	list_each(link, &provision->shares)
		pool_want(list_entry(link, struct provision_share, in_provision)->pool);
}

static void on_retry(void *context)
{
	struct provision *provision = context;

	provision->is_resting = false;
	provision_want(provision);
}

static void provision_failed(struct provision *provision, const char *reason)
{
	unsigned doublings = MIN(provision->failures, REST_DOUBLINGS_MAX);

	provision->failures++;
	provision->reason = reason;
	provision->is_resting = true;
	timer_set(provision->retry, MIN((uint64_t)REST_MS << doublings, REST_MS_MAX));
}

void provision_join(struct environment *env, struct provision_share *share)
{
	assert(!env->share && environment_is_starting(env));
	env->share = share;
	list_push_back(&share->members, &env->in_share);
	share->count++;
}

void provision_on_ready(struct environment *env)
{
	struct provision_share *share = env->share;
	struct provision *provision = share->provision;

	share->ready++;
	provision->failures = 0;
	provision_settle(provision);
}

/* The function's own fault, or the node's? */
static const char *failure_reason(const struct environment *env)
{
	bool has_entry_point = strncmp(env->exit_frame.step, "exec", sizeof("exec")) != 0 ||
		env->pack->version.len > 0;

	if (env->has_sandbox || !has_entry_point)
		return "FUNCTION_ERROR_INIT_FAILURE";
	return "The execution environments could not be started on this node.";
}

void provision_on_dead(struct environment *env, bool was_starting)
{
	struct provision_share *share = env->share;

	assert(env->state == ENV_DEAD && share->count > 0);
	env->share = NULL;
	list_remove(&env->in_share);
	share->count--;
	if (was_starting)
		provision_failed(share->provision, failure_reason(env));
	else
		share->ready--;
	pool_want(share->pool);
}

void provision_on_no_start(struct provision_share *share)
{
	provision_failed(
		share->provision, "The execution environments could not be started on this node.");
}

/* --- plans --- */

static struct provision *provision_new(struct function_entry *function, str qualifier)
{
	struct provision *provision = mem_one(struct provision);
	if (!provision)
		return NULL;

	provision->function = function;
	list_init(&provision->shares);
	int r = str_to_array(qualifier, provision->qualifier, sizeof(provision->qualifier));
	if (r == 0)
		r = timer_new(function->engine->loop, on_retry, provision, &provision->retry);
	if (r < 0) {
		mem_free(provision);
		return NULL;
	}
	list_push_back(&function->provisions, &provision->link);
	return provision;
}

static void provision_free(struct provision *provision)
{
	list_each(link, &provision->shares)
		share_free(list_entry(link, struct provision_share, in_provision));
	list_remove(&provision->link);
	timer_free(provision->retry);
	mem_free(provision);
}

void provisions_free(struct function_entry *function)
{
	list_each(link, &function->provisions)
		provision_free(list_entry(link, struct provision, link));
}

void provisions_leave_pool(struct pool *pool)
{
	list_each(link, &pool->shares) {
		struct provision_share *share = list_entry(link, struct provision_share, in_pool);
		share->wanted = 0;
		share_trim(share);
		list_remove(&share->in_provision);
		list_remove(&share->in_pool);
		mem_free(share);
	}
}

static int share_want(
	struct provision *provision, struct function_version *version, uint32_t wanted)
{
	if (!wanted)
		return 0;
	struct pool *pool = pool_find(provision->function, version, S(""));
	if (!pool)
		return err_raise(-ENOMEM);
	struct provision_share *share = share_of(provision, pool);
	if (!share)
		share = share_new(provision, pool);
	if (!share) {
		pool_reap(pool);
		return err_raise(-ENOMEM);
	}
	share->wanted = wanted;
	return 0;
}

/* An item of the plan. What it led to before wants nothing any more, and goes when it is replaced. */
static int provision_update(struct provision *provision, const struct provision_item *item)
{
	const struct function_target *target = item->target;
	uint64_t weighted = (uint64_t)item->requested * target->other_per_million;
	uint32_t other = target->other ? (uint32_t)((weighted + MILLION / 2) / MILLION) : 0;

	provision->is_current = true;
	provision->requested = item->requested;
	provision->failures = 0;
	provision->is_resting = false;
	timer_clear(provision->retry);
	list_each(link, &provision->shares)
		list_entry(link, struct provision_share, in_provision)->wanted = 0;
	int r = share_want(provision, target->version, item->requested - other);
	if (r == 0)
		r = share_want(provision, target->other, other);
	provision_settle(provision);
	provision_want(provision);
	return err_pass(r);
}

static int provisions_apply_item(struct function_entry *function, const struct provision_item *item)
{
	struct provision *provision = provision_find(function, item->qualifier);

	if (!provision)
		provision = provision_new(function, item->qualifier);
	return provision ? err_pass(provision_update(provision, item)) : err_raise(-ENOMEM);
}

void provisions_apply(struct function_entry *function, const struct provision_plan *plan)
{
	if (plan->revision < function->provisions_revision)
		return;
	function->provisions_revision = plan->revision;
	function->provisioned = 0;
	list_each(link, &function->provisions)
		list_entry(link, struct provision, link)->is_current = false;
	for (size_t i = 0; i < plan->count; i++) {
		int r = provisions_apply_item(function, &plan->items[i]);
		if (r < 0)
			err_log(r, "provision concurrency");
		function->provisioned += plan->items[i].requested;
	}
	list_each(link, &function->provisions) {
		struct provision *provision = list_entry(link, struct provision, link);
		if (!provision->is_current)
			provision_free(provision);
	}
}
