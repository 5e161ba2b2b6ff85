/*
 * The stores on a disk that fails and in memory that runs out: each write and each allocation fails
 * once. Whatever happens, an answer of success is the truth after reopening, and a fault
 * leaves the old state or the new one, whole.
 */
#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"
#include "store/docs.h"
#include "store/faulty_vfs.h"
#include "store/logs.h"
#include "store/queue.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static void enter_folder(void)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/torture_test.XXXXXX");
	CHECK(mkdtemp(folder) && chdir(folder) == 0);
}

static void leave_folder(void)
{
	static const char *const names[] = { "docs.db", "docs.db-wal", "docs.db-shm", "logs.db",
		"logs.db-wal", "logs.db-shm", "queue.db", "queue.db-wal", "queue.db-shm" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)unlink(names[i]);
	CHECK(chdir("/") == 0 && rmdir(folder) == 0);
}

/* SQLite's allocator with the same tripwire as ours. */
static sqlite3_mem_methods real_memory;
static int sqlite_countdown;

static bool sqlite_may_have(void)
{
	return sqlite_countdown <= 0 || --sqlite_countdown > 0;
}

static void *failing_malloc(int size)
{
	return sqlite_may_have() ? real_memory.xMalloc(size) : NULL;
}

static void *failing_realloc(void *old, int size)
{
	return sqlite_may_have() ? real_memory.xRealloc(old, size) : NULL;
}

/* Runs first, before anything has initialised SQLite. */
static void test_the_rack_is_set_up(void)
{
	sqlite3_mem_methods memory;
	CHECK(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) == SQLITE_OK);
	memory = real_memory;
	memory.xMalloc = failing_malloc;
	memory.xRealloc = failing_realloc;
	CHECK(sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) == SQLITE_OK);
	faulty_vfs_install(); /* before the stores look for the usual one */
}

static bool is_there(struct docs *docs, str key, str want)
{
	struct buf got;
	buf_init(&got, MIB);
	bool same = docs_get(docs, S("kind"), key, &got, NULL) == DOCS_DONE &&
		str_eq(buf_str(&got), want);
	buf_done(&got);
	return same;
}

static int put_pair(struct docs *docs, str value)
{
	struct docs_write pair[] = {
		{ S("kind"), S("left"), value, DOCS_ANY },
		{ S("kind"), S("right"), value, DOCS_ANY },
	};
	return docs_write(docs, pair, ARRAY_LEN(pair), NULL);
}

static void text_of(char text[static 24], int n)
{
	(void)snprintf(text, 24, "value %d", n);
}

/* One round: write with trouble; then, without it, what is there? Answers what the write did. */
static int write_in_trouble(int round, void (*arm)(int nth), int nth)
{
	struct docs *docs = NULL;
	char old[24];
	char new[24];

	text_of(old, round);
	text_of(new, round + 1);
	CHECK(docs_open("docs.db", &docs) == 0);
	CHECK(put_pair(docs, str_of(old)) == DOCS_DONE);
	arm(nth);
	int r = put_pair(docs, str_of(new));
	arm(0);
	CHECK(r <= 0);

	/* The same handle goes on working, and so does a new one. */
	for (int i = 0; i < 2; i++) {
		bool is_new = is_there(docs, S("left"), str_of(new)) &&
			is_there(docs, S("right"), str_of(new));
		bool is_old = is_there(docs, S("left"), str_of(old)) &&
			is_there(docs, S("right"), str_of(old));
		CHECK(r == DOCS_DONE ? is_new : is_new || is_old);
		docs_close(docs);
		CHECK(docs_open("docs.db", &docs) == 0);
	}
	docs_close(docs);
	return r;
}

static void arm_disk(int nth)
{
	faulty_vfs_countdown = nth;
}

static void arm_sqlite(int nth)
{
	sqlite_countdown = nth;
}

static void arm_memory(int nth)
{
	fault_countdown = nth;
}

/* Fail the first, the second… until the write is done untouched. Answers how many failures it met. */
static int torture(void (*arm)(int nth), int want)
{
	int faults = 0;

	enter_folder();
	for (int nth = 1; nth < 1000; nth++) {
		int r = write_in_trouble(nth * 2, arm, nth);
		faults += r < 0;
		CHECK(r == 0 || r == want);
		if (r == 0 && nth > 40) {
			leave_folder();
			return faults;
		}
	}
	FAIL("never succeeded");
	leave_folder();
	return faults;
}

static void test_documents_survive_every_failed_write(void)
{
	faulty_vfs_code = SQLITE_IOERR_WRITE;
	CHECK(torture(arm_disk, -EIO) > 3); /* frames and the sync of one commit */
}

static void test_documents_survive_a_full_disk(void)
{
	faulty_vfs_code = SQLITE_FULL;
	faulty_vfs_stays = true;
	CHECK(torture(arm_disk, -ENOSPC) > 3);
	faulty_vfs_stays = false;
}

static void test_documents_survive_every_failed_allocation_of_sqlite(void)
{
	CHECK(torture(arm_sqlite, -ENOMEM) > 3);
}

static int count_event(void *context, const struct logs_event *event, uint64_t id)
{
	CHECK(id > 0 && event->message.len == 5);
	++*(size_t *)context;
	return 0;
}

static size_t count_events(struct logs *logs, struct logs_scope scope)
{
	struct logs_event_query query = { .group = S("group") };
	size_t count = 0;
	int r = logs_events(logs, scope, &query, count_event, &count);
	CHECK(r == LOGS_DONE || r == LOGS_NO_GROUP);
	return count;
}

static int append_three(struct logs *logs, struct logs_scope scope)
{
	struct logs_event events[] = {
		{ S("group"), S("one"), 1, 1, S("first") },
		{ S("group"), S("two"), 2, 2, S("other") },
		{ S("group"), S("one"), 3, 3, S("third") },
	};
	return logs_append(logs, scope, events, ARRAY_LEN(events), true);
}

/* Batches of events with the n-th write (or allocation) failing: all of a batch or none of it. */
static int append_in_trouble(struct logs_scope scope, void (*arm)(int nth), int nth)
{
	struct logs *logs = NULL;

	CHECK(logs_open("logs.db", &logs) == 0);
	size_t before = count_events(logs, scope);
	arm(nth);
	int r = append_three(logs, scope);
	arm(0);
	CHECK(r <= 0);
	size_t after = count_events(logs, scope);
	CHECK(r == 0 ? after == before + 3 : after == before || after == before + 3);
	logs_close(logs);
	return r;
}

static void torture_logs(void (*arm)(int nth))
{
	struct logs_scope scope = { S("000000000000"), S("us-east-1") };
	int faults = 0;
	int r = -1;

	enter_folder();
	for (int nth = 1; nth < 1000 && (r < 0 || nth < 40); nth++) {
		r = append_in_trouble(scope, arm, nth);
		faults += r < 0;
	}
	CHECK(r == 0);
	CHECK(faults > 0);
	leave_folder();
}

static void test_events_survive_every_failed_write(void)
{
	faulty_vfs_code = SQLITE_IOERR_WRITE;
	torture_logs(arm_disk);
}

static void test_events_survive_every_failed_allocation_of_sqlite(void)
{
	torture_logs(arm_sqlite);
}

/* --- queues --- */

struct queue_seen {
	uint64_t id;
	size_t count;
	char body[16];
};

static int queue_see(void *context, const struct queue_item *item)
{
	struct queue_seen *seen = context;

	seen->id = item->id;
	seen->count++;
	CHECK(str_to_array(item->body, seen->body, sizeof(seen->body)) == 0);
	return 0;
}

static struct queue_seen queue_seen(struct queue *queue)
{
	struct queue_seen seen = {};

	CHECK(queue_list(queue, S("lane"), 0, queue_see, &seen) == 0);
	return seen;
}

/* One item is followed by the next in one step: there is always exactly one, the old one or the new one. */
static int follow_in_trouble(void (*arm)(int nth), int nth)
{
	struct queue *queue = NULL;
	char next[16];

	CHECK(queue_open("queue.db", &queue) == 0);
	struct queue_seen old = queue_seen(queue);
	(void)snprintf(next, sizeof(next), "body %d", nth);
	struct queue_write writes[] = {
		{ QUEUE_REMOVE, { .id = old.id } },
		{ QUEUE_ADD, { .lane = S("lane"), .note = S("note"), .body = str_of(next) } },
	};
	arm(nth);
	int r = queue_write(queue, writes, ARRAY_LEN(writes));
	arm(0);
	for (int i = 0; i < 2; i++) {
		struct queue_seen now = queue_seen(queue);
		bool is_new = now.count == 1 && strcmp(now.body, next) == 0;
		bool is_old = now.count == old.count && now.id == old.id;
		CHECK(r == 0 ? is_new : is_new || is_old);
		queue_close(queue);
		CHECK(queue_open("queue.db", &queue) == 0);
	}
	queue_close(queue);
	return r;
}

static void torture_queue(void (*arm)(int nth))
{
	int faults = 0;
	int r = -1;

	enter_folder();
	for (int nth = 1; nth < 1000 && (r < 0 || nth < 40); nth++) {
		r = follow_in_trouble(arm, nth);
		faults += r < 0;
	}
	CHECK(r == 0);
	CHECK(faults > 0);
	leave_folder();
}

static void test_queues_survive_every_failed_write(void)
{
	faulty_vfs_code = SQLITE_IOERR_WRITE;
	torture_queue(arm_disk);
}

static void test_queues_survive_a_full_disk(void)
{
	faulty_vfs_code = SQLITE_FULL;
	faulty_vfs_stays = true;
	torture_queue(arm_disk);
	faulty_vfs_stays = false;
}

static void test_queues_survive_every_failed_allocation_of_sqlite(void)
{
	torture_queue(arm_sqlite);
}

/* Opening takes our own allocations too: each one fails once, none leaks. */
static void test_opening_survives_every_failed_allocation(void)
{
	struct docs *docs = NULL;
	int r = -1;

	enter_folder();
	for (int nth = 1; nth < 100 && r < 0; nth++) {
		arm_memory(nth);
		r = docs_open("docs.db", &docs);
		arm_memory(0);
		CHECK(r == 0 || r == -ENOMEM);
	}
	CHECK(r == 0);
	docs_close(docs);
	r = -1;
	for (int nth = 1; nth < 2000 && r < 0; nth++) {
		arm_sqlite(nth);
		r = docs_open("docs.db", &docs);
		arm_sqlite(0);
	}
	CHECK(r == 0);
	docs_close(docs);
	leave_folder();
}

TESTS(TEST(test_the_rack_is_set_up), TEST(test_documents_survive_every_failed_write),
	TEST(test_documents_survive_a_full_disk),
	TEST(test_documents_survive_every_failed_allocation_of_sqlite),
	TEST(test_events_survive_every_failed_write),
	TEST(test_events_survive_every_failed_allocation_of_sqlite),
	TEST(test_queues_survive_every_failed_write), TEST(test_queues_survive_a_full_disk),
	TEST(test_queues_survive_every_failed_allocation_of_sqlite),
	TEST(test_opening_survives_every_failed_allocation))
