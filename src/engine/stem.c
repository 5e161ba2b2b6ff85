/*
 * An interpreter takes longer to boot than everything else that a start consists of. So of each
 * pack that functions use some are booted ahead, in sandboxes of their own, up to the point where
 * the bootstrap needs to know the function: there it asks (STEM_PATH) for its environment
 * variables, and its request is parked. To make an environment of it (environment_start.c) the
 * warden puts the function's code into its sandbox and sets its limits; then the request is
 * answered. Nothing of a function was ever in it before, and it is used once.
 *
 *	spawn ──► BOOTING ── spawned ──► WARMING ── its request ──► READY ── stems_took() ──► (an environment)
 *	              └────────────────────┴───────────────────────────┴──► DEAD ── exited ──► (freed)
 *
 * Some interpreters are told at their start what cannot be changed later, like the size of their
 * heap. Their stems are of a kin: started for functions of one memory size, and of use to these
 * only. A pack's stems are of the kin that was last asked for; others make way.
 *
 * How many wait of a pack follows demand: each start that finds none doubles it, up to a setting;
 * a quiet minute takes one away. They are started a moment after the last was taken, so that a
 * start which is under way has the processors for itself. A pack whose stems die before they are
 * ready is left alone for a while.
 */
#include "engine/stem.h"

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/runtimes.h"
#include "engine/warden_client.h"
#include "http/server.h"
#include "model/limits.h"
#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	STEM_MEMORY_MB = 1024, /* until it has a function with a size of its own */
	STEM_TMP_MB = 512,
	DEFAULT_MEMORY_MB = 128, /* "MemorySize … The default value is 128 MB" */
	REFILL_MS = 15,
	QUIET_MS = 60'000,
	BOOT_MS_MAX = 30'000,
	FAILURES_MAX = 3,
	PAUSE_MS = 60'000,
	CONNS_MAX = 4,
	BODY_MAX = 1024,
};

enum stem_state { STEM_BOOTING, STEM_WARMING, STEM_READY, STEM_DEAD, STEM_STATES };

struct stem {
	struct engine *engine;
	struct stem_pool *pool;
	enum stem_state state;
	struct list link; /* in the pool's list of its state */
	struct stem_parts parts;
	struct stem_kin kin;
	str id_key;
	uint64_t since_ms;
	bool has_sandbox;
};

/* Those of one pack. */
struct stem_pool {
	const struct runtime_pack *pack; /* NULL: not in use */
	struct list starting;		 /* BOOTING and WARMING, the oldest first */
	struct list ready;
	struct stem_kin kin; /* of those that are started now */
	unsigned starting_count, ready_count;
	unsigned wanted;    /* how many should be there */
	uint64_t missed_ms; /* when one was last missed, or one less was wanted */
	unsigned failures;  /* in a row */
	uint64_t pause_until_ms;
};

struct stems {
	struct map all; /* id → struct stem */
	struct timer *timer;
	struct stem_pool pools[PACKS_MAX];
	bool is_draining;
};

static const unsigned may_follow[STEM_STATES] = {
	[STEM_BOOTING] = BIT(STEM_WARMING) | BIT(STEM_DEAD),
	[STEM_WARMING] = BIT(STEM_READY) | BIT(STEM_DEAD),
	[STEM_READY] = BIT(STEM_DEAD),
	[STEM_DEAD] = 0,
};

static void stem_count(struct stem *stem, unsigned by)
{
	if (stem->state == STEM_READY)
		stem->pool->ready_count += by;
	else if (stem->state != STEM_DEAD)
		stem->pool->starting_count += by;
}

/* The only writer of the state, but for the first. */
static void stem_enter(struct stem *stem, enum stem_state next)
{
	assert(next < STEM_STATES);
	assert(may_follow[stem->state] & BIT(next));
	stem_count(stem, -1U);
	list_remove(&stem->link);
	stem->state = next;
	stem_count(stem, 1);
	if (next == STEM_READY)
		list_push_back(&stem->pool->ready, &stem->link);
	else if (next != STEM_DEAD)
		list_push_back(&stem->pool->starting, &stem->link);
}

/* Out of all tables; its parts are not touched. */
static void stem_free(struct stem *stem)
{
	stem_count(stem, -1U);
	list_remove(&stem->link);
	map_remove(&stem->engine->stems->all, stem->id_key);
	mem_free(stem);
}

static void parts_close(struct stem_parts *parts)
{
	http_server_free(parts->server);
	parts->server = NULL;
	fd_close(&parts->endpoint);
	fd_close(&parts->memory);
	fd_close(&parts->memory_stat);
	fd_close(&parts->log);
}

static void stem_kill(struct stem *stem)
{
	struct sandbox_frame frame = { .head = { .op = FRAME_KILL, .ticket = stem->parts.id },
		.handle = stem->parts.sandbox };

	if (stem->state != STEM_DEAD)
		stem_enter(stem, STEM_DEAD);
	if (!stem->has_sandbox) /* killed as soon as it has a handle */
		return;
	int r = warden_ask(stem->engine->platform->warden, &frame, sizeof(frame), NULL, 0);
	if (r < 0)
		err_log(r, "stop a stem");
}

static void stem_fail(struct stem *stem, const char *why)
{
	struct stem_pool *pool = stem->pool;

	pool->failures++;
	log_warn("stem_failed", LOG_STR("pack", pool->pack->name), LOG_TEXT("why", why));
	if (pool->failures >= FAILURES_MAX) {
		pool->pause_until_ms = loop_now_ms(stem->engine->loop) + PAUSE_MS;
		pool->failures = 0;
	}
}

/* --- its Runtime API, before it is a function's --- */

static int on_head([[maybe_unused]] void *context, [[maybe_unused]] struct http_conn *conn,
	[[maybe_unused]] const struct http_head *head, uint64_t *ret_body_max,
	uint64_t *ret_memory_max)
{
	*ret_body_max = *ret_memory_max = BODY_MAX;
	return 0;
}

static void on_request(void *context, struct http_conn *conn, struct http_request *request)
{
	struct stem *stem = context;

	if (stem->state != STEM_WARMING || request->head.verb != HTTP_GET ||
		!str_eq(request->head.path, STEM_PATH)) {
		http_conn_abort(conn); /* it is our own bootstrap, and says nothing else */
		return;
	}
	stem->parts.parked = conn;
	stem->pool->failures = 0;
	stem_enter(stem, STEM_READY);
}

static void on_gone(void *context, struct http_conn *conn, [[maybe_unused]] bool request_open)
{
	struct stem *stem = context;

	if (stem->parts.parked != conn)
		return;
	stem->parts.parked = NULL;
	if (stem->state == STEM_READY)
		stem_kill(stem);
}

static const struct http_server_ops ops = {
	.on_head = on_head,
	.on_request = on_request,
	.on_gone = on_gone,
};

/* --- kin --- */

static struct stem_kin kin_of(const struct runtime_pack *pack, str runtime, uint32_t memory_mb)
{
	struct stem_kin kin = {};

	if (runtime_reads_at_start(pack, S("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")))
		kin.memory_mb = memory_mb;
	if (runtime_reads_at_start(pack, S("AWS_EXECUTION_ENV")))
		(void)!str_to_array(runtime, kin.runtime, sizeof(kin.runtime));
	return kin;
}

static bool kin_is(const struct stem_kin *one, const struct stem_kin *other)
{
	return one->memory_mb == other->memory_mb && strcmp(one->runtime, other->runtime) == 0;
}

/* The oldest of a list that is (or is not) of the pool's kin, or NULL. */
static struct stem *pool_find_kin(const struct stem_pool *pool, const struct list *of, bool is_kin)
{
	list_each(at, of) {
		struct stem *stem = list_entry(at, struct stem, link);
		if (kin_is(&stem->kin, &pool->kin) == is_kin)
			return stem;
	}
	return NULL;
}

/* There is no place for more, but only for other functions. */
static void pool_make_way(struct stem_pool *pool)
{
	struct stem *other = pool_find_kin(pool, &pool->ready, false);

	if (other && pool->ready_count + pool->starting_count >= pool->wanted &&
		!pool_find_kin(pool, &pool->ready, true) &&
		!pool_find_kin(pool, &pool->starting, true))
		stem_kill(other);
}

/* --- starting --- */

static int stem_block(const struct stem *stem, int *ret_fd)
{
	struct buf block;

	buf_init(&block, ENV_BLOCK_MAX);
	environment_put_stem_block(&block, stem->pool->pack, &stem->kin);
	int r = block.err ? err_raise(block.err) : fd_sealed("stem", buf_str(&block), ret_fd);
	buf_done(&block);
	return err_pass(r);
}

static int stem_ask_spawn(struct stem *stem)
{
	const struct runtime_pack *pack = stem->pool->pack;
	struct spawn_frame frame = {
		.head = { .op = FRAME_SPAWN, .ticket = stem->parts.id },
		.function = { .memory_mb = STEM_MEMORY_MB, .tmp_mb = STEM_TMP_MB },
		.pack = pack->index,
		.network = NETWORK_ISOLATED,
		.start = pack->start,
	};
	scoped_fd block = -1, log_write = -1;

	int r = stem_block(stem, &block);
	if (r == 0)
		r = environment_log_pipe(&stem->parts.log, &log_write);
	if (r < 0)
		return err_pass(r);
	const int fds[] = { block, log_write };
	return err_pass(warden_ask(
		stem->engine->platform->warden, &frame, sizeof(frame), fds, ARRAY_LEN(fds)));
}

static int stem_start(struct engine *engine, struct stem_pool *pool)
{
	struct stem *stem = mem_one(struct stem);
	if (!stem)
		return err_raise(-ENOMEM);

	stem->engine = engine;
	stem->pool = pool;
	stem->kin = pool->kin;
	stem->since_ms = loop_now_ms(engine->loop);
	stem->parts = (struct stem_parts){
		.id = ++engine->next_id, .endpoint = -1, .memory = -1, .memory_stat = -1, .log = -1
	};
	stem->id_key = (str){ (const char *)&stem->parts.id, sizeof(stem->parts.id) };
	int r = map_put(&engine->stems->all, stem->id_key, stem);
	if (r == 0)
		r = stem_ask_spawn(stem);
	if (r < 0) {
		map_remove(&engine->stems->all, stem->id_key);
		parts_close(&stem->parts);
		mem_free(stem);
		return err_pass(r);
	}
	stem_count(stem, 1);
	list_push_back(&pool->starting, &stem->link);
	return 0;
}

/* Stems take places that environments may need: no more than a part of them. */
static bool is_room(const struct engine *engine)
{
	unsigned lives = engine->counters.environments + stems_count(engine);

	return lives + engine->options.environments_max / 8 < engine->options.environments_max;
}

static void pool_refill(struct engine *engine, struct stem_pool *pool, uint64_t now_ms)
{
	if (pool->wanted > 1 && now_ms - pool->missed_ms >= QUIET_MS) {
		pool->wanted--;
		pool->missed_ms = now_ms;
	}
	struct list *oldest = list_first(&pool->starting);
	if (oldest) {
		struct stem *stem = list_entry(oldest, struct stem, link);
		if (now_ms - stem->since_ms > BOOT_MS_MAX) {
			stem_fail(stem, "it is not ready after 30 seconds");
			stem_kill(stem);
		}
	}
	pool_make_way(pool);
	while (pool->ready_count > pool->wanted)
		stem_kill(list_entry(list_first(&pool->ready), struct stem, link));
	while (pool->ready_count + pool->starting_count < pool->wanted && is_room(engine) &&
		now_ms >= pool->pause_until_ms) {
		int r = stem_start(engine, pool);
		if (r == 0)
			continue;
		err_log(r, "start a stem");
		pool->pause_until_ms = now_ms + PAUSE_MS;
	}
}

/* Is there anything that time alone will change? */
static bool pool_is_timed(const struct stem_pool *pool)
{
	return pool->wanted > 1 || pool->starting_count ||
		pool->ready_count + pool->starting_count != pool->wanted;
}

static void stems_refill(void *context)
{
	struct engine *engine = context;
	struct stems *stems = engine->stems;
	uint64_t now_ms = loop_now_ms(engine->loop);
	bool is_timed = false;

	if (stems->is_draining)
		return;
	for (size_t i = 0; i < PACKS_MAX; i++) {
		struct stem_pool *pool = &stems->pools[i];
		if (!pool->pack)
			continue;
		pool_refill(engine, pool, now_ms);
		is_timed |= pool_is_timed(pool);
	}
	if (is_timed) /* a second for boots, a minute for the rest: it is no hot loop */
		timer_set(stems->timer, 1000);
}

/* --- for others --- */

int stems_new(struct engine *engine)
{
	struct stems *stems = mem_one(struct stems);
	if (!stems)
		return err_raise(-ENOMEM);

	int r = timer_new(engine->loop, stems_refill, engine, &stems->timer);
	if (r < 0) {
		mem_free(stems);
		return err_pass(r);
	}
	for (size_t i = 0; i < PACKS_MAX; i++) {
		list_init(&stems->pools[i].starting);
		list_init(&stems->pools[i].ready);
	}
	engine->stems = stems;
	return 0;
}

void stems_free(struct stems *stems)
{
	if (!stems)
		return;
	assert(!stems->all.count);
	timer_free(stems->timer);
	map_done(&stems->all);
	mem_free(stems);
}

void stems_use(struct engine *engine, const struct runtime_pack *pack, str runtime)
{
	struct stem_pool *pool = &engine->stems->pools[pack->index];
	struct warm_frame frame = { .head = { .op = FRAME_WARM }, .pack = pack->index };

	if (pool->pack || engine->stems->is_draining)
		return;
	pool->pack = pack;
	pool->kin = kin_of(pack, runtime, DEFAULT_MEMORY_MB);
	if (pack->has_stem && engine->options.stems_max) {
		pool->wanted = 1;
		timer_set(engine->stems->timer, REFILL_MS);
	}
	int r = pack->start == START_FORK
		? warden_ask(engine->platform->warden, &frame, sizeof(frame), NULL, 0)
		: 0;
	if (r < 0)
		err_log(r, "ask for a zygote");
}

void stems_on_tuned(struct engine *engine)
{
	unsigned most = engine->options.stems_max;

	for (size_t i = 0; i < PACKS_MAX; i++) {
		struct stem_pool *pool = &engine->stems->pools[i];
		if (pool->pack && pool->pack->has_stem)
			pool->wanted = MIN(MAX(pool->wanted, 1U), most);
	}
	if (!engine->stems->is_draining)
		timer_set(engine->stems->timer, REFILL_MS);
}

bool stems_next(struct engine *engine, const struct runtime_pack *pack,
	const struct function_version *version, struct stem_parts *ret_parts)
{
	struct stem_pool *pool = &engine->stems->pools[pack->index];

	stems_use(engine, pack, version->runtime);
	if (!pool->wanted)
		return false;
	timer_set(engine->stems->timer, REFILL_MS);
	pool->kin = kin_of(pack, version->runtime, version->memory_mb);
	struct stem *stem = pool_find_kin(pool, &pool->ready, true);
	if (!stem) {
		pool->missed_ms = loop_now_ms(engine->loop);
		pool->wanted = MIN(pool->wanted * 2, engine->options.stems_max);
		return false;
	}
	*ret_parts = stem->parts;
	return true;
}

static struct stem *stem_find(struct engine *engine, uint64_t id)
{
	return map_get(&engine->stems->all, (str){ (const char *)&id, sizeof(id) });
}

/* Apart from choosing it, so that a taker who finds no memory for an environment leaves it as it was. */
void stems_took(struct engine *engine, uint64_t id)
{
	struct stem *stem = stem_find(engine, id);

	assert(stem && stem->state == STEM_READY);
	stem_free(stem);
}

bool stems_on_spawned(
	struct engine *engine, const struct spawned_frame *frame, const int fds[static 4])
{
	struct stem *stem = stem_find(engine, frame->head.ticket);
	if (!stem)
		return false;

	stem->parts.sandbox = frame->handle;
	stem->parts.endpoint = fds[1];
	stem->parts.memory = fds[2];
	stem->parts.memory_stat = fds[3];
	stem->has_sandbox = true;
	int r = stem->state == STEM_DEAD ? err_raise(-ECANCELED)
					 : http_server_new(
						   &(struct http_server_options){
							   .loop = engine->loop,
							   .listener = fds[0],
							   .ops = &ops,
							   .context = stem,
							   .conns_max = CONNS_MAX,
							   .is_eager_close_detected = true,
						   },
						   &stem->parts.server);
	if (r == 0) {
		stem_enter(stem, STEM_WARMING);
		return true;
	}
	close(fds[0]);
	stem_kill(stem);
	return true;
}

bool stems_on_exited(struct engine *engine, const struct exited_frame *frame)
{
	struct stem *stem = stem_find(engine, frame->head.ticket);
	if (!stem)
		return false;

	if (stem->state != STEM_DEAD)
		stem_fail(stem, stem->state == STEM_READY ? "it died" : "it did not start");
	parts_close(&stem->parts);
	stem_free(stem);
	if (!engine->stems->is_draining)
		timer_set(engine->stems->timer, REFILL_MS);
	engine_check_drained(engine);
	return true;
}

bool stems_yield(struct engine *engine)
{
	for (size_t i = 0; i < PACKS_MAX; i++) {
		struct list *first = list_first(&engine->stems->pools[i].ready);
		if (!first)
			continue;
		stem_kill(list_entry(first, struct stem, link));
		return true;
	}
	return false;
}

void stems_drain(struct engine *engine)
{
	struct stems *stems = engine->stems;
	size_t at = 0;
	void *value;

	stems->is_draining = true;
	timer_clear(stems->timer);
	while (map_next(&stems->all, &at, &value)) {
		struct stem *stem = value;
		if (stem->state != STEM_DEAD)
			stem_kill(stem);
	}
}

unsigned stems_count(const struct engine *engine)
{
	return (unsigned)engine->stems->all.count;
}

unsigned stems_ready(const struct engine *engine)
{
	unsigned ready = 0;

	for (size_t i = 0; i < PACKS_MAX; i++)
		ready += engine->stems->pools[i].ready_count;
	return ready;
}

unsigned stems_dying(const struct engine *engine)
{
	unsigned alive = 0;

	for (size_t i = 0; i < PACKS_MAX; i++)
		alive += engine->stems->pools[i].ready_count +
			engine->stems->pools[i].starting_count;
	return stems_count(engine) - alive;
}
