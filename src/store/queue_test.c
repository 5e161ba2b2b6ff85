#include "store/queue.h"

#include "base/attr.h"
#include "base/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static struct queue *queue;

static void begin(void)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/queue_test.XXXXXX");
	CHECK(mkdtemp(folder) && chdir(folder) == 0);
	CHECK(queue_open("queue.db", &queue) == 0);
}

static void end(void)
{
	static const char *const names[] = { "queue.db", "queue.db-wal", "queue.db-shm" };

	queue_close(queue);
	queue = NULL;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)unlink(names[i]);
	CHECK(chdir("/") == 0 && rmdir(folder) == 0);
}

static void reopen(void)
{
	queue_close(queue);
	CHECK(queue_open("queue.db", &queue) == 0);
}

static void add(str lane, uint64_t due_ms, str body)
{
	struct queue_write write = {
		QUEUE_ADD,
		{ .lane = lane, .due_ms = due_ms, .created_ms = 5, .note = S("note"), .body = body }
	};

	CHECK(queue_write(queue, &write, 1) == 0);
}

/* What was seen: the bodies, each with a space, and the last id. */
struct seen {
	char text[256];
	uint64_t ids[16];
	size_t count, max;
};

static int see(void *context, const struct queue_item *item)
{
	struct seen *seen = context;

	(void)snprintf(seen->text + strlen(seen->text), sizeof(seen->text) - strlen(seen->text),
		STR_FMT " ", STR_ARG(item->body));
	seen->ids[seen->count++] = item->id;
	return seen->count == seen->max;
}

static struct seen due(uint64_t now_ms, const uint64_t *busy, size_t count, uint64_t *ret_next_ms)
{
	struct queue_look look = { .now_ms = now_ms, .busy = busy, .busy_count = count };
	struct seen seen = { .max = 16 };

	CHECK(queue_due(queue, &look, see, &seen, ret_next_ms) == 0);
	return seen;
}

static void test_what_is_due_comes_in_the_order_of_its_times(void)
{
	uint64_t next_ms;

	begin();
	add(S("a"), 30, S("late"));
	add(S("b"), 10, S("first"));
	add(S("a"), 20, S("second"));
	CHECK(strcmp(due(20, NULL, 0, &next_ms).text, "first second ") == 0);
	CHECK(next_ms == 30);
	CHECK(strcmp(due(9, NULL, 0, &next_ms).text, "") == 0);
	CHECK(next_ms == 10);
	CHECK(strcmp(due(99, NULL, 0, &next_ms).text, "first second late ") == 0);
	CHECK(next_ms == UINT64_MAX);
	end();
}

static void test_what_is_busy_is_passed_over(void)
{
	uint64_t next_ms;

	begin();
	add(S("a"), 1, S("one"));
	add(S("a"), 2, S("two"));
	add(S("a"), 3, S("three"));
	struct seen all = due(9, NULL, 0, &next_ms);
	CHECK(all.count == 3);
	const uint64_t busy[] = { all.ids[0], all.ids[2] };
	CHECK(strcmp(due(9, busy, 2, &next_ms).text, "two ") == 0);
	CHECK(next_ms == UINT64_MAX);
	end();
}

static void test_who_stops_is_told_that_there_is_more(void)
{
	struct queue_look look = { .now_ms = 9 };
	struct seen seen = { .max = 1 };
	uint64_t next_ms = 0;

	begin();
	add(S("a"), 1, S("one"));
	add(S("a"), 2, S("two"));
	CHECK(queue_due(queue, &look, see, &seen, &next_ms) == 0);
	CHECK(seen.count == 1 && next_ms == 9);
	end();
}

static void test_a_changed_item_keeps_its_body_and_a_removed_one_is_gone(void)
{
	uint64_t next_ms;

	begin();
	add(S("a"), 1, S("one"));
	add(S("a"), 2, S("two"));
	CHECK(queue_bytes(queue) == 6);
	struct seen all = due(9, NULL, 0, &next_ms);
	struct queue_write writes[] = {
		{ QUEUE_CHANGE, { .id = all.ids[0], .due_ms = 50, .note = S("new") } },
		{ QUEUE_REMOVE, { .id = all.ids[1] } },
		{ QUEUE_ADD, { .lane = S("b"), .due_ms = 1, .body = S("three") } },
	};
	CHECK(queue_write(queue, writes, ARRAY_LEN(writes)) == 0);
	CHECK(queue_bytes(queue) == 8);
	reopen();
	CHECK(queue_bytes(queue) == 8);
	CHECK(strcmp(due(99, NULL, 0, &next_ms).text, "three one ") == 0);
	end();
}

static void test_a_late_word_about_what_was_purged_changes_nothing(void)
{
	uint64_t next_ms, count = 0;

	begin();
	add(S("a"), 1, S("one"));
	uint64_t id = due(9, NULL, 0, &next_ms).ids[0];
	CHECK(queue_purge(queue, S("a"), &count) == 0 && count == 1);
	CHECK(queue_bytes(queue) == 0);
	add(S("a"), 1, S("another"));
	struct queue_write writes[] = { { QUEUE_CHANGE, { .id = id, .due_ms = 5 } },
		{ QUEUE_REMOVE, { .id = id } } };
	CHECK(queue_write(queue, writes, 2) == 0);
	CHECK(strcmp(due(9, NULL, 0, &next_ms).text, "another ") == 0);
	CHECK(queue_bytes(queue) == 7);
	end();
}

static void test_what_failed_stays_until_it_is_old_and_is_never_due(void)
{
	struct queue_figures figures;
	uint64_t next_ms;

	begin();
	add(S("x/f"), 1, S("one"));
	add(S("x/f"), 1, S("two"));
	struct queue_write write = { QUEUE_CHANGE,
		{ .id = due(9, NULL, 0, &next_ms).ids[0], .state = QUEUE_FAILED, .due_ms = 100 } };
	CHECK(queue_write(queue, &write, 1) == 0);
	CHECK(strcmp(due(999, NULL, 0, &next_ms).text, "two ") == 0);
	CHECK(queue_figures(queue, S("x/"), &figures) == 0);
	CHECK(figures.waiting == 1 && figures.failed == 1 && figures.oldest_ms == 5);
	CHECK(queue_figures(queue, S("y/"), &figures) == 0 && figures.waiting == 0);
	CHECK(queue_expire(queue, 100) == 0 && queue_bytes(queue) == 6);
	CHECK(queue_expire(queue, 101) == 0 && queue_bytes(queue) == 3);
	CHECK(queue_figures(queue, S(""), &figures) == 0 && figures.failed == 0);
	end();
}

static void test_a_lane_lists_its_own_items_from_an_id_on(void)
{
	struct seen seen = { .max = 16 };

	begin();
	add(S("a"), 9, S("one"));
	add(S("ab"), 1, S("other"));
	add(S("a"), 1, S("two"));
	CHECK(queue_list(queue, S("a"), 0, see, &seen) == 0);
	CHECK(strcmp(seen.text, "one two ") == 0);
	seen = (struct seen){ .max = 16, .ids = { seen.ids[0] } };
	CHECK(queue_list(queue, S("a"), seen.ids[0], see, &seen) == 0);
	CHECK(strcmp(seen.text, "two ") == 0);
	CHECK(queue_wipe(queue) == 0 && queue_bytes(queue) == 0);
	end();
}

static void test_bounds_are_refused(void)
{
	static char long_lane[QUEUE_LANE_MAX + 1];
	struct queue_write write = { QUEUE_ADD, { .lane = { long_lane, sizeof(long_lane) } } };

	begin();
	CHECK(queue_write(queue, &write, 1) < 0);
	write.item.lane = S("");
	CHECK(queue_write(queue, &write, 1) < 0);
	CHECK(queue_write(queue, &write, QUEUE_BATCH_MAX + 1) < 0);
	CHECK(queue_write(queue, NULL, 0) == 0);
	end();
}

/* A child adds until it is killed; what it says that it has added is there. */
static void test_what_was_acknowledged_survives_a_kill(void)
{
	_Atomic unsigned *added = mmap(
		NULL, sizeof(*added), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct queue_figures figures;

	CHECK(added != MAP_FAILED);
	begin();
	queue_close(queue);
	pid_t pid = fork();
	if (pid == 0) {
		if (queue_open("queue.db", &queue) < 0)
			_exit(1);
		for (;;) {
			add(S("lane"), 1, S("body"));
			(*added)++;
		}
	}
	while (*added < 50)
		(void)usleep(100);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	CHECK(queue_open("queue.db", &queue) == 0);
	CHECK(queue_figures(queue, S("lane"), &figures) == 0);
	CHECK(figures.waiting == *added || figures.waiting == *added + 1);
	CHECK(queue_bytes(queue) == 4 * figures.waiting);
	end();
	(void)munmap((void *)added, sizeof(*added));
}

TESTS(TEST(test_what_is_due_comes_in_the_order_of_its_times),
	TEST(test_what_is_busy_is_passed_over), TEST(test_who_stops_is_told_that_there_is_more),
	TEST(test_a_changed_item_keeps_its_body_and_a_removed_one_is_gone),
	TEST(test_a_late_word_about_what_was_purged_changes_nothing),
	TEST(test_what_failed_stays_until_it_is_old_and_is_never_due),
	TEST(test_a_lane_lists_its_own_items_from_an_id_on), TEST(test_bounds_are_refused),
	TEST(test_what_was_acknowledged_survives_a_kill))
