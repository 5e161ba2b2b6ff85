/*
 * The directory: what names lead to, as far as this node has been asked.
 *
 * A target (function and qualifier) is read from the store by a worker at its first invoke and kept. Changes
 * of a function drop its targets at once, so the next invoke reads again; its pools are then checked
 * against the store, and those whose revision is no longer current drain. A target that is being read while its
 * function changes is read once more: the worker may have seen the state before.
 *
 * Nothing is kept about names that lead nowhere, so a flood of them holds no memory.
 */
#include "engine/core.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

struct target_entry {
	struct function_entry *function;
	char qualifier[QUALIFIER_MAX];
	struct function_target *target; /* NULL: being read */
	struct list waiters;		/* invocations */
};

/* One reading of a target by a worker. */
struct load {
	struct work work;
	struct function_entry *function;
	struct platform *platform;
	load_target_fn *load;
	char *text;
	str account, region, name;
	char qualifier[QUALIFIER_MAX];
	uint64_t generation; /* the function's when it began */
	bool is_check;	     /* of a pool's version: nobody waits for it */
	int result;
	struct function_target *target;
};

/* --- entries --- */

static void target_entry_free(struct target_entry *entry)
{
	assert(list_empty(&entry->waiters));
	function_target_free(entry->target);
	mem_free(entry);
}

/* Drop what has been read; what is being read stays, to be read again. */
static void function_forget_targets(struct function_entry *function)
{
	struct map keep = {};
	size_t at = 0;
	void *value;

	while (map_next(&function->targets, &at, &value)) {
		struct target_entry *entry = value;
		if (entry->target) {
			target_entry_free(entry);
			continue;
		}
		/* The map had room for more than this, so only memory can be missing. */
		if (map_put(&keep, str_of(entry->qualifier), entry) < 0)
			log_error("directory_out_of_memory");
	}
	map_done(&function->targets);
	function->targets = keep;
}

static void function_key(struct buf *key, str account, str region, str name)
{
	buf_clear(key);
	buf_put(key, account);
	buf_put_char(key, '/');
	buf_put(key, region);
	buf_put_char(key, '/');
	buf_put(key, name);
}

static struct function_entry *function_entry_new(struct engine *engine, str key)
{
	struct function_entry *function = mem_one(struct function_entry);

	if (!function)
		return NULL;
	function->engine = engine;
	function->reserved_concurrency = -1;
	list_init(&function->pools);
	function->key = str_dup(key);
	if (!function->key || map_put(&engine->functions, str_of(function->key), function) < 0) {
		mem_free(function->key);
		mem_free(function);
		return NULL;
	}
	return function;
}

void function_entry_reap(struct function_entry *function)
{
	list_each (link, &function->pools)
		pool_reap(list_entry(link, struct pool, link));
	if (function->invocations || function->loads || !list_empty(&function->pools))
		return;
	function_forget_targets(function);
	assert(!function->targets.count);
	map_remove(&function->engine->functions, str_of(function->key));
	map_done(&function->targets);
	mem_free(function->key);
	mem_free(function);
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
	list_each (link, &entry->waiters) {
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
			invocation_refuse(invocation, INVOKE_FAULT, S("The function could not be read."));
			break;
		}
	}
}

static void waiters_admit(struct target_entry *entry)
{
	list_each (link, &entry->waiters) {
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
	return err_pass(loop_work(load->function->engine->loop, &load->work));
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
	list_each (link, &load->function->pools) {
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
	mem_free(load->text);
	mem_free(load);
}

static void load_done(struct work *work)
{
	struct load *load = list_entry(work, struct load, work);
	struct function_entry *function = load->function;
	bool is_stale = load->generation != function->generation;

	if (is_stale && !load->is_check && load_again(load) == 0)
		return;
	function->loads--;
	if (!load->is_check)
		load_settle_target(load);
	else if (!is_stale)
		load_settle_check(load);
	load_free(load);
	function_entry_reap(function);
}

static int load_start(struct function_entry *function, str qualifier, bool is_check)
{
	struct engine *engine = function->engine;
	struct load *load = mem_one(struct load);
	if (!load)
		return err_raise(-ENOMEM);

	load->work = (struct work){ .run = load_run, .done = load_done };
	load->function = function;
	load->platform = engine->platform;
	load->load = engine->options.load;
	load->generation = function->generation;
	load->is_check = is_check;
	load->text = str_dup(str_of(function->key));
	int r = load->text ? str_to_array(qualifier, load->qualifier, sizeof(load->qualifier)) : -ENOMEM;
	if (r == 0) {
		str rest = str_of(load->text);
		/* The key was made of these three. */
		if (!str_cut(&rest, '/', &load->account) || !str_cut(&rest, '/', &load->region))
			assert(!"a key of three parts");
		load->name = rest;
		r = loop_work(engine->loop, &load->work);
	}
	if (r < 0) {
		load_free(load);
		return err_pass(r);
	}
	function->loads++;
	return 0;
}

/* --- asking --- */

static struct target_entry *target_entry_read(struct function_entry *function, str qualifier)
{
	struct target_entry *entry = mem_one(struct target_entry);
	if (!entry)
		return NULL;

	entry->function = function;
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

void directory_resolve(struct engine *engine, struct invocation *invocation)
{
	str qualifier = str_of(invocation->qualifier);
	struct buf key;

	buf_init(&key, 1024);
	function_key(&key, invocation->account, invocation->region, invocation->name);
	struct function_entry *function = key.err ? NULL : map_get(&engine->functions, buf_str(&key));
	if (!function && !key.err)
		function = function_entry_new(engine, buf_str(&key));
	buf_done(&key);
	if (!function) {
		invocation_refuse(invocation, INVOKE_FAULT, S("Out of memory."));
		return;
	}
	invocation->function = function;
	function->invocations++;
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

void function_entry_forget(struct function_entry *function)
{
	function->generation++;
	function_forget_targets(function);
}

void directory_changed(struct engine *engine, str account, str region, str name)
{
	struct buf key;

	buf_init(&key, 1024);
	function_key(&key, account, region, name);
	struct function_entry *function = key.err ? NULL : map_get(&engine->functions, buf_str(&key));
	buf_done(&key);
	if (!function)
		return;

	function_entry_forget(function);
	list_each (link, &function->pools) {
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
