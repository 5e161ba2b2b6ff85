/*
 * What an operator sees of asynchronous invocations, and does about them: `mayfly async`. All of it on a worker, straight
 * on the queue; what is in memory meanwhile ends as it would, and writes to nothing when its item is gone.
 */
#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "services/lambda/async_parts.h"
#include "services/lambda/tree.h"

#include <errno.h>

enum {
	ADMIN_ITEMS_MAX = 1000,
	ADMIN_BYTES_MAX = 32 * 1024 * 1024,
	ADMIN_ARENA_MAX = 64 * 1024 * 1024
};

struct admin_list {
	struct tree list;
	bool is_whole;
	size_t count;
	size_t bytes;
};

static void admin_put_time(struct tree *tree, const char *name, uint64_t at_ms, uint64_t now_ms)
{
	tree_put_int(tree, name, (int64_t)(now_ms > at_ms ? (now_ms - at_ms) / 1000 : 0));
}

static int admin_lane(void *context, str lane, const struct queue_figures *figures)
{
	struct admin_list *admin = context;
	json_t *row = json_object();
	struct tree tree = { .at = row };
	uint64_t now_ms = clock_real_ms();
	str account = {}, region = {};

	if (!str_cut(&lane, '/', &account) || !str_cut(&lane, '/', &region))
		return 0;
	tree_put_str(&tree, "function", lane);
	tree_put_str(&tree, "account", account);
	tree_put_str(&tree, "region", region);
	tree_put_int(&tree, "waiting", (int64_t)figures->waiting);
	tree_put_int(&tree, "failed", (int64_t)figures->failed);
	if (figures->oldest_ms)
		admin_put_time(&tree, "oldestSeconds", figures->oldest_ms, now_ms);
	tree_join(&admin->list, &tree);
	tree_add(&admin->list, row);
	return admin->list.err != 0;
}

static void admin_put_item(struct tree *tree, const struct async_item *item,
	const struct queue_item *stored, bool is_whole)
{
	uint64_t now_ms = clock_real_ms();
	bool is_failed = stored->state == QUEUE_FAILED;

	tree_put_str(tree, "requestId", item->request_id);
	tree_put_text(tree, "kind", item->kind == ASYNC_EVENT ? "event" : "delivery");
	tree_put_text(tree, "state", is_failed ? "failed" : "waiting");
	if (item->qualifier.len)
		tree_put_str(tree, "qualifier", item->qualifier);
	if (item->target.len)
		tree_put_str(tree, "target", item->target);
	tree_put_int(tree, "errors", item->count.errors);
	tree_put_int(tree, "refusals", item->count.refusals);
	tree_put_int(tree, "bytes", (int64_t)stored->body.len);
	admin_put_time(tree, "ageSeconds", stored->created_ms, now_ms);
	if (!is_failed)
		admin_put_time(tree, "dueInSeconds", now_ms, stored->due_ms);
	if (item->why[0])
		tree_put_text(tree, "why", item->why);
	if (is_whole)
		tree_put_str(tree, "payload", stored->body);
}

/* What does not belong to a list of a bounded size is left out; the next call has the same beginning. */
static int admin_item(void *context, const struct queue_item *stored)
{
	struct admin_list *admin = context;
	struct async_item *item = mem_one(struct async_item);
	json_t *row = json_object();
	struct tree tree = { .at = row };

	admin->bytes += admin->is_whole ? stored->body.len : 0;
	if (++admin->count > ADMIN_ITEMS_MAX ||
		(admin->bytes > ADMIN_BYTES_MAX && admin->count > 1)) {
		mem_free(item);
		json_decref(row);
		return 1;
	}
	int r = item ? 0 : err_raise(-ENOMEM);
	if (r == 0) {
		arena_init(&item->arena, 2ULL * ADMIN_ARENA_MAX);
		r = async_item_read(item, stored);
	}
	if (r == 0)
		admin_put_item(&tree, item, stored, admin->is_whole);
	async_item_free(item);
	tree_join(&admin->list, &tree);
	tree_add(&admin->list, row);
	if (r < 0)
		admin->list.err = r;
	return admin->list.err != 0;
}

int async_admin_list(struct async *async, str lane, bool is_whole, json_t **ret_list)
{
	struct queue *queue = async->platform->queue;
	json_auto_t *list = json_array();
	struct admin_list admin = { .list.at = list, .is_whole = is_whole };

	if (!list)
		return err_raise(-ENOMEM);
	int r = lane.len ? queue_list(queue, lane, 0, admin_item, &admin)
			 : queue_lanes(queue, S(""), admin_lane, &admin);
	if (r == 0)
		r = admin.list.err;
	if (r == 0)
		*ret_list = json_incref(list);
	return err_pass(r);
}

/* --- again --- */

struct admin_redrive {
	struct arena arena;
	struct queue_write writes[QUEUE_BATCH_MAX];
	size_t count;
	uint64_t last;
	uint64_t now_ms;
	int err;
};

static int admin_again(void *context, const struct queue_item *stored)
{
	struct admin_redrive *redrive = context;

	redrive->last = stored->id;
	if (stored->state != QUEUE_FAILED)
		return 0;
	struct async_item *item = mem_one(struct async_item);
	int r = item ? 0 : err_raise(-ENOMEM);
	if (r == 0) {
		arena_init(&item->arena, 2ULL * ADMIN_ARENA_MAX);
		r = async_item_read(item, stored);
	}
	if (r == 0) {
		item->count = (struct retry_count){};
		item->why[0] = '\0';
		redrive->writes[redrive->count++] = (struct queue_write){ QUEUE_CHANGE,
			{ .id = stored->id,
				.due_ms = redrive->now_ms,
				.created_ms = redrive->now_ms,
				.note = async_note(&redrive->arena, item) } };
		if (!redrive->writes[redrive->count - 1].item.note.at)
			r = err_raise(-ENOMEM);
	}
	async_item_free(item);
	redrive->err = r;
	return r < 0 || redrive->count == QUEUE_BATCH_MAX;
}

int async_admin_redrive(struct async *async, str lane, uint64_t *ret_count)
{
	struct admin_redrive *redrive = mem_one(struct admin_redrive);
	struct queue *queue = async->platform->queue;
	uint64_t count = 0;
	bool is_more = true;
	int r = redrive ? 0 : err_raise(-ENOMEM);

	while (r == 0 && is_more) {
		arena_init(&redrive->arena, ADMIN_ARENA_MAX);
		redrive->count = 0;
		redrive->now_ms = clock_real_ms();
		r = queue_list(queue, lane, redrive->last, admin_again, redrive);
		if (r == 0)
			r = redrive->err;
		if (r == 0)
			r = queue_write(queue, redrive->writes, redrive->count);
		is_more = redrive->count == QUEUE_BATCH_MAX;
		count += redrive->count;
		arena_done(&redrive->arena);
	}
	mem_free(redrive);
	async_wake(async);
	if (r == 0)
		*ret_count = count;
	return err_pass(r);
}

int async_admin_purge(struct async *async, str lane, uint64_t *ret_count)
{
	return err_pass(queue_purge(async->platform->queue, lane, ret_count));
}
