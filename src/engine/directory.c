/*
 * The directory: what names lead to, as far as this node has been asked.
 *
 * A target (function and qualifier) is read from the store by a worker at its first invoke and
 * kept. Changes of a function drop its targets at once, so the next invoke reads again; its pools
 * are then checked against the store, and those whose revision is no longer current drain. A target
 * that is being read while its function changes is read once more: the worker may have seen the
 * state before.
 *
 * Nothing is kept about names that lead nowhere, so a flood of them holds no memory.
 */
#include "engine/directory.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/core.h"
#include "engine/invocation.h"
#include "engine/pool.h"
#include "engine/provision.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
	KEY_SIZE = 512 /* account, region and name have limits that add up to less */
};

struct target_entry {
	char qualifier[QUALIFIER_MAX];
	struct function_target *target; /* NULL: being read */
	struct list waiters;		/* invocations */
	struct list forgotten;
};

/* One reading of a target by a worker. */
struct load {
	struct work work;
	struct function_entry *function;
	struct platform *platform;
	load_target_fn *load;
	str account, region, name; /* into `text` */
	char qualifier[QUALIFIER_MAX];
	uint64_t generation; /* the function's when it began */
	bool is_check;	     /* of a pool's version: nobody waits for it */
	int result;
	struct function_target *target;
	char text[];
};

/* --- entries --- */

static void target_entry_free(struct target_entry *entry)
{
	assert(list_empty(&entry->waiters));
	function_target_free(entry->target);
	mem_free(entry);
}

/* Drop what has been read; what is being read stays, to be read again. Needs no memory. */
static void function_forget_targets(struct function_entry *function)
{
	struct list forgotten = LIST_INIT(forgotten);
	size_t at = 0;
	void *value;

	while (map_next(&function->targets, &at, &value)) {
		struct target_entry *entry = value;
		if (entry->target)
			list_push_back(&forgotten, &entry->forgotten);
	}
	list_each(link, &forgotten) {
		struct target_entry *entry = list_entry(link, struct target_entry, forgotten);
		map_remove(&function->targets, str_of(entry->qualifier));
		target_entry_free(entry);
	}
}

/* account/region/name, or its first two parts. */
static void put_key(struct buf *key, str account, str region, str name)
{
	buf_put(key, account);
	buf_put_char(key, '/');
	buf_put(key, region);
	if (!name.len)
		return;
	buf_put_char(key, '/');
	buf_put(key, name);
}

static struct account_scope *scope_find(struct engine *engine, str key)
{
	struct account_scope *scope = map_get(&engine->scopes, key);
	if (scope)
		return scope;
	scope = mem_new(1, sizeof(*scope) + key.len);
	if (!scope)
		return NULL;

	memcpy(scope->text, key.at, key.len);
	scope->key = (str){ scope->text, key.len };
	if (map_put(&engine->scopes, scope->key, scope) < 0) {
		mem_free(scope);
		return NULL;
	}
	return scope;
}

static void scope_reap(struct engine *engine, struct account_scope *scope)
{
	if (scope->functions)
		return;
	assert(!scope->unreserved);
	map_remove(&engine->scopes, scope->key);
	mem_free(scope);
}

/* `scope_len` of the key's bytes are account/region. */
static struct function_entry *function_entry_new(struct engine *engine, str key, size_t scope_len)
{
	struct function_entry *function = mem_new(1, sizeof(*function) + key.len);
	if (!function)
		return NULL;

	function->engine = engine;
	function->reserved_concurrency = -1;
	list_init(&function->pools);
	list_init(&function->provisions);
	memcpy(function->text, key.at, key.len);
	function->key = (str){ function->text, key.len };
	function->scope = scope_find(engine, str_slice(function->key, 0, scope_len));
	if (function->scope && map_put(&engine->functions, function->key, function) == 0) {
		function->scope->functions++;
		return function;
	}
	if (function->scope)
		scope_reap(engine, function->scope);
	mem_free(function);
	return NULL;
}

void function_entry_reap(struct function_entry *function)
{
	struct engine *engine = function->engine;

	list_each(link, &function->pools)
		pool_reap(list_entry(link, struct pool, link));
	if (function->invocations || function->loads || !list_empty(&function->pools))
		return;
	function_forget_targets(function);
	provisions_free(function);
	assert(!function->targets.count && !function->on_demand);
	map_remove(&engine->functions, function->key);
	map_done(&function->targets);
	function->scope->functions--;
	scope_reap(engine, function->scope);
	mem_free(function);
}

/* Readings and changes may come out of order: the newest counts. */
static void scope_set_aside(struct account_scope *scope, uint32_t amount, uint64_t revision)
{
	if (revision < scope->set_aside_revision)
		return;
	scope->set_aside = amount;
	scope->set_aside_revision = revision;
}

void directory_set_aside(
	struct engine *engine, str account, str region, uint32_t amount, uint64_t revision)
{
	char text[KEY_SIZE];
	struct buf key;

	buf_init_over(&key, text, sizeof(text));
	put_key(&key, account, region, S(""));
	struct account_scope *scope = key.err ? NULL : map_get(&engine->scopes, buf_str(&key));
	if (scope) /* else it is read with the first function */
		scope_set_aside(scope, amount, revision);
}

/* --- reading --- */

static void load_run(struct work *work)
{
	struct load *load = list_entry(work, struct load, work);

	load->result = load->load(load->platform, load->account, load->region, load->name,
		str_of(load->qualifier), &load->target);
	if (load->result < 0)
		err_log(load->result, "read a function from the store");
}

static void waiters_refuse(struct target_entry *entry, int result)
{
	list_each(link, &entry->waiters) {
		struct invocation *invocation = list_entry(link, struct invocation, waiting);
		list_remove(&invocation->waiting);
		switch (result) {
		case LOAD_NO_FUNCTION:
			invocation_refuse(invocation, INVOKE_NO_FUNCTION, S(""));
			break;
		case LOAD_NO_QUALIFIER:
			invocation_refuse(invocation, INVOKE_NO_QUALIFIER, S(""));
			break;
		default:
			invocation_refuse(
				invocation, INVOKE_FAULT, S("The function could not be read."));
			break;
		}
	}
}

static void waiters_admit(struct target_entry *entry)
{
	list_each(link, &entry->waiters) {
		struct invocation *invocation = list_entry(link, struct invocation, waiting);
		list_remove(&invocation->waiting);
		invocation_admit(invocation, entry->target);
	}
}

/* Read once more, with the same waiters. */
static int load_again(struct load *load)
{
	function_target_free(load->target);
	load->target = NULL;
	load->generation = load->function->generation;
	int r = loop_work(load->function->engine->loop, &load->work);
	if (r < 0)
		load->result = r; /* what was read is out of date, and nothing else will be */
	return err_pass(r);
}

/* A state that will pass by itself must not be kept. */
static bool target_is_final(const struct function_target *target)
{
	return target->version->state == FUNCTION_ACTIVE &&
		(!target->other || target->other->state == FUNCTION_ACTIVE);
}

static void load_settle_target(struct load *load)
{
	struct function_entry *function = load->function;
	struct target_entry *entry = map_get(&function->targets, str_of(load->qualifier));

	if (!entry)
		return;
	assert(!entry->target);
	if (load->result == LOAD_DONE) {
		entry->target = load->target;
		load->target = NULL;
		function->reserved_concurrency = entry->target->reserved_concurrency;
		scope_set_aside(function->scope, entry->target->set_aside,
			entry->target->set_aside_revision);
		waiters_admit(entry);
		if (target_is_final(entry->target))
			return;
	} else {
		waiters_refuse(entry, load->result);
	}
	map_remove(&function->targets, str_of(entry->qualifier));
	target_entry_free(entry);
}

/* Does the store still have this version in this revision? If not, its environments drain. */
static void load_settle_check(struct load *load)
{
	const struct function_version *now = load->target ? load->target->version : NULL;

	if (load->result < 0)
		return;
	list_each(link, &load->function->pools) {
		struct pool *pool = list_entry(link, struct pool, link);
		if (!str_eq(pool->version->version, str_of(load->qualifier)))
			continue;
		if (!now || !str_eq(pool->version->revision, now->revision))
			pool_drain(pool);
	}
}

static void load_free(struct load *load)
{
	function_target_free(load->target);
	mem_free(load);
}

static void load_done(struct work *work)
{
	struct load *load = list_entry(work, struct load, work);
	struct function_entry *function = load->function;
	struct engine *engine = function->engine;
	bool is_stale = load->generation != function->generation;

	if (is_stale && !load->is_check && load_again(load) == 0)
		return;
	function->loads--;
	engine->loads--;
	if (!load->is_check)
		load_settle_target(load);
	else if (!is_stale)
		load_settle_check(load);
	load_free(load);
	function_entry_reap(function);
	engine_check_drained(engine);
}

static int load_start(struct function_entry *function, str qualifier, bool is_check)
{
	struct engine *engine = function->engine;
	struct load *load = mem_new(1, sizeof(*load) + function->key.len);
	if (!load)
		return err_raise(-ENOMEM);

	memcpy(load->text, function->key.at, function->key.len);
	load->name = (str){ load->text, function->key.len };
	bool has_parts = str_cut(&load->name, '/', &load->account) &&
		str_cut(&load->name, '/', &load->region);
	assert(has_parts); /* the key was made of these three */
	(void)has_parts;
	load->work = (struct work){ .run = load_run, .done = load_done };
	load->function = function;
	load->platform = engine->platform;
	load->load = engine->options.load;
	load->generation = function->generation;
	load->is_check = is_check;
	int r = str_to_array(qualifier, load->qualifier, sizeof(load->qualifier));
	if (r == 0)
		r = loop_work(engine->loop, &load->work);
	if (r < 0) {
		load_free(load);
		return err_pass(r);
	}
	function->loads++;
	engine->loads++;
	return 0;
}

/* --- asking --- */

static struct target_entry *target_entry_read(struct function_entry *function, str qualifier)
{
	struct target_entry *entry = mem_one(struct target_entry);
	if (!entry)
		return NULL;

	list_init(&entry->waiters);
	if (str_to_array(qualifier, entry->qualifier, sizeof(entry->qualifier)) < 0 ||
		map_put(&function->targets, str_of(entry->qualifier), entry) < 0) {
		mem_free(entry);
		return NULL;
	}
	if (load_start(function, qualifier, false) < 0) {
		map_remove(&function->targets, str_of(entry->qualifier));
		mem_free(entry);
		return NULL;
	}
	return entry;
}

static struct function_entry *function_find(
	struct engine *engine, str account, str region, str name, bool make)
{
	char text[KEY_SIZE];
	struct buf key;

	buf_init_over(&key, text, sizeof(text));
	put_key(&key, account, region, name);
	if (key.err)
		return NULL;
	struct function_entry *function = map_get(&engine->functions, buf_str(&key));
	if (!function && make)
		function = function_entry_new(engine, buf_str(&key), account.len + 1 + region.len);
	return function;
}

/* Now, when the target is known; else when it has been read. */
static void function_resolve(struct function_entry *function, struct invocation *invocation)
{
	str qualifier = str_of(invocation->qualifier);

	if (!qualifier.len)
		qualifier = S("$LATEST");
	struct target_entry *entry = map_get(&function->targets, qualifier);
	if (entry && entry->target) {
		invocation_admit(invocation, entry->target);
		return;
	}
	if (!entry)
		entry = target_entry_read(function, qualifier);
	if (entry)
		list_push_back(&entry->waiters, &invocation->waiting);
	else
		invocation_refuse(invocation, INVOKE_FAULT, S("Out of memory."));
}

void directory_resolve(struct engine *engine, struct invocation *invocation)
{
	struct function_entry *function = function_find(
		engine, invocation->account, invocation->region, invocation->name, true);

	if (!function) {
		invocation_refuse(invocation, INVOKE_FAULT, S("Out of memory."));
		return;
	}
	invocation->function = function;
	function->invocations++;
	function_resolve(function, invocation);
}

struct pool *directory_pool(struct engine *engine, struct function_version *version)
{
	struct function_entry *function = function_find(
		engine, version->account, version->region, version->name, true);
	if (!function)
		return NULL;

	struct pool *pool = pool_find(function, version, S(""));
	if (!pool)
		function_entry_reap(function);
	return pool;
}

void function_entry_forget(struct function_entry *function)
{
	function->generation++;
	function_forget_targets(function);
}

void directory_changed(struct engine *engine, str account, str region, str name)
{
	struct function_entry *function = function_find(engine, account, region, name, false);
	if (!function)
		return;

	function_entry_forget(function);
	list_each(link, &function->pools) {
		struct pool *pool = list_entry(link, struct pool, link);
		if (pool->is_draining)
			continue;
		int r = load_start(function, pool->version->version, true);
		if (r < 0) {
			err_log(r, "check a function's environments");
			pool_drain(pool); /* to be on the safe side */
		}
	}
	function_entry_reap(function);
}

void directory_provision(
	struct engine *engine, str account, str region, str name, const struct provision_plan *plan)
{
	struct function_entry *function = function_find(
		engine, account, region, name, plan->count > 0);

	if (!function)
		return; /* nothing is provisioned, and nothing is to be; or there is no memory for it */
	provisions_apply(function, plan);
	function_entry_reap(function);
}

bool directory_provision_figures(const struct engine *engine, str account, str region, str name,
	str qualifier, struct provision_figures *ret_figures)
{
	char text[KEY_SIZE];
	struct buf key;

	buf_init_over(&key, text, sizeof(text));
	put_key(&key, account, region, name);
	const struct function_entry *function = key.err
		? NULL
		: map_get(&engine->functions, buf_str(&key));
	return function && provision_figures(function, qualifier, ret_figures);
}
