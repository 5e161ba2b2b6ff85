#include "store/docs.h"

#include "base/attr.h"
#include "base/test.h"
#include "store/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* SQLite's, in this program: counted. */
static unsigned syncs;

int fdatasync(int fd)
{
	syncs++;
	return (int)syscall(SYS_fdatasync, fd);
}

/* A directory of its own for each test, which is also the working directory. */
static char folder[64];

static struct docs *open_fresh(void)
{
	struct docs *docs = NULL;
	(void)snprintf(folder, sizeof(folder), "/tmp/docs_test.XXXXXX");
	CHECK(mkdtemp(folder) && chdir(folder) == 0);
	CHECK(docs_open("docs.db", &docs) == 0);
	return docs;
}

static void remove_folder(void)
{
	(void)unlink("docs.db");
	(void)unlink("docs.db-wal");
	(void)unlink("docs.db-shm");
	CHECK(chdir("/") == 0 && rmdir(folder) == 0);
}

static void close_fresh(struct docs *docs)
{
	docs_close(docs);
	remove_folder();
}

static int put(struct docs *docs, str key, str value, uint64_t expect, uint64_t *ret_revision)
{
	struct docs_write write = { S("kind"), key, value, expect };
	return docs_write(docs, &write, 1, ret_revision);
}

/* Does `key` hold exactly `value`? */
static bool holds(struct docs *docs, str key, str value)
{
	struct buf got;
	buf_init(&got, MIB);
	bool same = docs_get(docs, S("kind"), key, &got, NULL) == DOCS_DONE &&
		str_eq(buf_str(&got), value);
	buf_done(&got);
	return same;
}

static void test_what_was_put_is_got_with_its_revision(void)
{
	struct docs *docs = open_fresh();
	uint64_t written = 0;
	uint64_t read = 0;

	CHECK(put(docs, S("a"), S("one"), DOCS_NEW, &written) == DOCS_DONE);
	CHECK(written >= 1);
	CHECK(holds(docs, S("a"), S("one")));
	CHECK(docs_get(docs, S("kind"), S("a"), NULL, &read) == DOCS_DONE && read == written);
	CHECK(docs_get(docs, S("other"), S("a"), NULL, NULL) == DOCS_ABSENT);
	CHECK(docs_get(docs, S("kind"), S("b"), NULL, NULL) == DOCS_ABSENT);
	close_fresh(docs);
}

static void test_a_get_appends_and_respects_the_ceiling(void)
{
	struct docs *docs = open_fresh();
	struct buf got;

	CHECK(put(docs, S("a"), S("value"), DOCS_ANY, NULL) == DOCS_DONE);
	buf_init(&got, 7);
	buf_put(&got, S("> "));
	CHECK(docs_get(docs, S("kind"), S("a"), &got, NULL) == DOCS_DONE);
	CHECK_STR(buf_str(&got), S("> value"));
	CHECK(docs_get(docs, S("kind"), S("a"), &got, NULL) == -EOVERFLOW);
	buf_done(&got);
	close_fresh(docs);
}

static void test_a_write_that_expects_another_revision_changes_nothing(void)
{
	struct docs *docs = open_fresh();
	uint64_t first = 0;
	uint64_t second = 0;

	CHECK(put(docs, S("a"), S("x"), 7, NULL) == DOCS_CONFLICT); /* absent */
	CHECK(put(docs, S("a"), S("1"), DOCS_NEW, &first) == DOCS_DONE);
	CHECK(put(docs, S("a"), S("x"), DOCS_NEW, NULL) == DOCS_CONFLICT);
	CHECK(put(docs, S("a"), S("2"), first, &second) == DOCS_DONE && second > first);
	CHECK(put(docs, S("a"), S("x"), first, &first) == DOCS_CONFLICT);
	CHECK(put(docs, S("a"), (str){}, first, NULL) == DOCS_CONFLICT);
	CHECK(holds(docs, S("a"), S("2")));
	CHECK(put(docs, S("a"), (str){}, second, NULL) == DOCS_DONE);
	CHECK(docs_get(docs, S("kind"), S("a"), NULL, NULL) == DOCS_ABSENT);
	CHECK(put(docs, S("a"), (str){}, DOCS_ANY, NULL) == DOCS_DONE); /* absent already */
	close_fresh(docs);
}

static void test_a_batch_is_done_whole_or_not_at_all(void)
{
	struct docs *docs = open_fresh();
	uint64_t a = 0;
	uint64_t b = 0;
	struct docs_write good[] = {
		{ S("kind"), S("a"), S("1"), DOCS_NEW },
		{ S("kind"), S("b"), S("1"), DOCS_NEW },
	};
	struct docs_write bad[] = {
		{ S("kind"), S("a"), S("2"), DOCS_ANY }, { S("kind"), S("c"), S("2"), DOCS_NEW },
		{ S("kind"), S("b"), S("2"), DOCS_NEW }, /* it is there */
	};

	CHECK(docs_write(docs, good, ARRAY_LEN(good), NULL) == DOCS_DONE);
	CHECK(docs_get(docs, S("kind"), S("a"), NULL, &a) == DOCS_DONE);
	CHECK(docs_get(docs, S("kind"), S("b"), NULL, &b) == DOCS_DONE);
	CHECK(a == b);
	CHECK(docs_write(docs, bad, ARRAY_LEN(bad), NULL) == DOCS_CONFLICT);
	CHECK(holds(docs, S("a"), S("1")) && holds(docs, S("b"), S("1")));
	CHECK(docs_get(docs, S("kind"), S("c"), NULL, NULL) == DOCS_ABSENT);
	CHECK(docs_write(docs, NULL, 0, NULL) == DOCS_DONE);
	close_fresh(docs);
}

static void test_what_is_written_soon_waits_for_no_disk_and_is_there(void)
{
	struct docs *docs = open_fresh();
	const struct docs_write soon = { S("kind"), S("b"), S("two"), DOCS_NEW };
	uint64_t revision = 0;

	unsigned before = syncs;
	CHECK(put(docs, S("a"), S("one"), DOCS_NEW, NULL) == DOCS_DONE);
	CHECK(syncs > before);
	before = syncs;
	CHECK(docs_write_soon(docs, &soon, 1, &revision) == DOCS_DONE && revision == 2);
	CHECK(syncs == before && holds(docs, S("b"), S("two")));
	CHECK(docs_write_soon(docs, &soon, 1, NULL) == DOCS_CONFLICT);
	CHECK(put(docs, S("a"), S("three"), DOCS_ANY, NULL) == DOCS_DONE); /* waits again */
	CHECK(syncs > before);
	close_fresh(docs);
}

static void test_revisions_never_come_back(void)
{
	struct docs *docs = open_fresh();
	uint64_t before = 0;
	uint64_t after = 0;

	CHECK(put(docs, S("a"), S("1"), DOCS_NEW, &before) == DOCS_DONE);
	CHECK(put(docs, S("a"), (str){}, DOCS_ANY, NULL) == DOCS_DONE);
	CHECK(docs_wipe(docs) == 0);
	docs_close(docs);
	CHECK(docs_open("docs.db", &docs) == 0);
	CHECK(put(docs, S("a"), S("2"), DOCS_NEW, &after) == DOCS_DONE);
	CHECK(after > before);
	close_fresh(docs);
}

static void test_sizes_beyond_the_limits_are_refused(void)
{
	static char key[DOCS_KEY_MAX + 1];
	static char value[DOCS_VALUE_MAX + 1];
	struct docs *docs = open_fresh();
	struct docs_write many[DOCS_BATCH_MAX + 1] = {};

	memset(key, 'k', sizeof(key));
	memset(value, 'v', sizeof(value));
	CHECK(put(docs, (str){ key, DOCS_KEY_MAX }, S("x"), DOCS_NEW, NULL) == DOCS_DONE);
	CHECK(put(docs, (str){ key, DOCS_KEY_MAX + 1 }, S("x"), DOCS_NEW, NULL) == -EMSGSIZE);
	CHECK(put(docs, S(""), S("x"), DOCS_NEW, NULL) == -EMSGSIZE);
	CHECK(put(docs, S("a"), (str){ value, DOCS_VALUE_MAX }, DOCS_NEW, NULL) == DOCS_DONE);
	CHECK(put(docs, S("b"), (str){ value, DOCS_VALUE_MAX + 1 }, DOCS_NEW, NULL) == -EMSGSIZE);
	CHECK(docs_write(docs, many, ARRAY_LEN(many), NULL) == -E2BIG);
	CHECK(docs_get(docs, S("kind"), (str){ key, DOCS_KEY_MAX + 1 }, NULL, NULL) == DOCS_ABSENT);
	CHECK(put(docs, S("empty"), S(""), DOCS_NEW, NULL) == DOCS_DONE);
	CHECK(holds(docs, S("empty"), S("")));
	close_fresh(docs);
}

/* Joins the keys that a listing yields: "a b c". */
struct joined {
	struct buf keys;
	size_t stop_after; /* 0: never */
	size_t count;
};

static int join(void *context, str key, str value, uint64_t revision)
{
	struct joined *joined = context;
	CHECK(revision >= 1);
	CHECK_STR(value, S("v"));
	if (joined->keys.len)
		buf_put_char(&joined->keys, ' ');
	buf_put(&joined->keys, key);
	return ++joined->count == joined->stop_after;
}

static void check_list(struct docs *docs, str prefix, str after, size_t limit, str want)
{
	struct joined joined = {};
	buf_init(&joined.keys, 4096);
	CHECK(docs_list(docs, S("kind"), prefix, after, limit, join, &joined) == 0);
	CHECK_STR(buf_str(&joined.keys), want);
	buf_done(&joined.keys);
}

static void test_a_listing_is_in_byte_order_within_its_prefix(void)
{
	static const char *const keys[] = { "b/2", "a/1", "b/10", "b", "b/", "c", "b0", "\xff\xff",
		"B/1" };
	struct docs *docs = open_fresh();

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		CHECK(put(docs, str_of(keys[i]), S("v"), DOCS_NEW, NULL) == DOCS_DONE);
	CHECK(docs_write(docs, &(struct docs_write){ S("other"), S("b/3"), S("v"), DOCS_NEW }, 1,
		      NULL) == 0);
	check_list(docs, S(""), S(""), 0, S("B/1 a/1 b b/ b/10 b/2 b0 c \xff\xff"));
	check_list(docs, S("b/"), S(""), 0, S("b/ b/10 b/2"));
	check_list(docs, S("b/"), S(""), 2, S("b/ b/10"));
	check_list(docs, S("b/"), S("b/"), 0, S("b/10 b/2"));
	check_list(docs, S("b/"), S("b/10"), 0, S("b/2"));
	check_list(docs, S("b/"), S("b/2"), 0, S(""));
	check_list(docs, S("b/"), S("a"), 0, S("b/ b/10 b/2"));
	check_list(docs, S("b/"), S("c"), 0, S(""));
	check_list(docs, S("\xff"), S(""), 0, S("\xff\xff"));
	check_list(docs, S("zzz"), S(""), 0, S(""));
	close_fresh(docs);
}

static void test_a_key_may_hold_any_bytes(void)
{
	struct docs *docs = open_fresh();
	struct joined joined = {};

	CHECK(put(docs, S("a\0b"), S("v"), DOCS_NEW, NULL) == DOCS_DONE);
	CHECK(put(docs, S("a"), S("v"), DOCS_NEW, NULL) == DOCS_DONE);
	CHECK(put(docs, S("a\0\0"), S("v"), DOCS_NEW, NULL) == DOCS_DONE);
	check_list(docs, S("a"), S("a"), 0, S("a\0\0 a\0b"));
	CHECK(put(docs, S("a"), (str){}, DOCS_ANY, NULL) == DOCS_DONE);
	CHECK(docs_get(docs, S("kind"), S("a\0b"), NULL, NULL) == DOCS_DONE);

	joined.stop_after = 1;
	buf_init(&joined.keys, 64);
	CHECK(docs_list(docs, S("kind"), S("a"), S(""), 0, join, &joined) == 0);
	CHECK(joined.count == 1); /* the callback has stopped it */
	buf_done(&joined.keys);
	close_fresh(docs);
}

enum { THREADS = 4, ROUNDS = 40 };

/* Count up one document, ROUNDS times, by get and put-if-revision. */
static void *count_up(void *argument)
{
	struct docs *docs = argument;

	for (int done = 0; done < ROUNDS;) {
		char text[24];
		struct buf value;
		uint64_t revision = 0;
		uint64_t number = 0;

		buf_init(&value, 64);
		CHECK(docs_get(docs, S("kind"), S("n"), &value, &revision) == DOCS_DONE);
		CHECK(str_to_u64(buf_str(&value), UINT64_MAX, &number) == 0);
		buf_done(&value);
		(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)number + 1);
		int r = put(docs, S("n"), str_of(text), revision, NULL);
		CHECK(r >= 0);
		if (r < 0)
			break;
		done += r == DOCS_DONE;
	}
	return NULL;
}

static void test_threads_lose_no_update(void)
{
	struct docs *docs = open_fresh();
	pthread_t threads[THREADS];
	char want[24];

	CHECK(put(docs, S("n"), S("0"), DOCS_NEW, NULL) == DOCS_DONE);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, count_up, docs) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	(void)snprintf(want, sizeof(want), "%d", THREADS * ROUNDS);
	CHECK(holds(docs, S("n"), str_of(want)));
	close_fresh(docs);
}

/* The child: pairs of documents; each is told to the parent after it was acknowledged. */
static _Noreturn void write_until_killed(int acks, unsigned round)
{
	struct docs *docs;
	if (docs_open("docs.db", &docs) < 0)
		_exit(1);
	for (uint32_t n = 0;; n++) {
		char left[32];
		char right[32];
		(void)snprintf(left, sizeof(left), "l/%u/%u", round, n);
		(void)snprintf(right, sizeof(right), "r/%u/%u", round, n);
		struct docs_write pair[] = {
			{ S("kind"), str_of(left), str_of(left), DOCS_NEW },
			{ S("kind"), str_of(right), str_of(right), DOCS_NEW },
		};
		if (docs_write(docs, pair, 2, NULL) != DOCS_DONE ||
			write(acks, &n, sizeof(n)) != sizeof(n))
			_exit(1);
	}
}

/* How many are acknowledged: they come in order, from 0. */
static uint32_t count_acks(int acks)
{
	uint32_t n;
	uint32_t count = 1; /* the first was read already */
	while (read(acks, &n, sizeof(n)) == sizeof(n)) {
		CHECK(n == count);
		count++;
	}
	return count;
}

static uint32_t kill_a_writer(unsigned round)
{
	int ends[2];
	int status = 0;
	uint32_t first;

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	pid_t child = fork();
	if (child == 0)
		write_until_killed(ends[1], round);
	close(ends[1]);
	CHECK(read(ends[0], &first, sizeof(first)) == sizeof(first));
	struct timespec nap = { .tv_nsec = (long)(round * 7919 % 20) * 1'000'000 };
	nanosleep(&nap, NULL);
	CHECK(kill(child, SIGKILL) == 0);
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));

	uint32_t count = count_acks(ends[0]);
	close(ends[0]);
	return count;
}

static bool holds_numbered(struct docs *docs, char side, unsigned round, uint32_t n)
{
	char key[32];
	(void)snprintf(key, sizeof(key), "%c/%u/%u", side, round, n);
	return holds(docs, str_of(key), str_of(key));
}

static void test_what_was_acknowledged_survives_kill_9(void)
{
	enum { KILLS = 50 };
	uint32_t acked[KILLS];
	struct docs *docs = open_fresh();

	for (unsigned round = 0; round < KILLS; round++) {
		docs_close(docs);
		acked[round] = kill_a_writer(round);
		CHECK(docs_open("docs.db", &docs) == 0);
		/* The one that was being written: there whole, or not at all. */
		CHECK(holds_numbered(docs, 'l', round, acked[round]) ==
			holds_numbered(docs, 'r', round, acked[round]));
	}
	for (unsigned round = 0; round < KILLS; round++) {
		for (uint32_t n = 0; n < acked[round]; n++)
			CHECK(holds_numbered(docs, 'l', round, n) &&
				holds_numbered(docs, 'r', round, n));
	}
	close_fresh(docs);
}

/* The child: in a folder of its own, below one that it may not search. */
static _Noreturn void write_below_a_closed_folder(void)
{
	enum { NOBODY = 65534 };
	struct docs *docs = NULL;

	if (mkdir("own", 0700) < 0 || chdir("own") < 0)
		_exit(1);
	if (geteuid() == 0 &&
		(chown(".", NOBODY, NOBODY) < 0 || chmod("..", 0) < 0 || setuid(NOBODY) < 0))
		_exit(2);
	if (chmod("..", 0) < 0 && geteuid() != NOBODY)
		_exit(3);
	if (access("../own", F_OK) == 0)
		_exit(4); /* not closed */
	if (docs_open("docs.db", &docs) < 0 ||
		put(docs, S("a"), S("b"), DOCS_NEW, NULL) != DOCS_DONE)
		_exit(5);
	docs_close(docs);
	_exit(access("docs.db", F_OK) == 0 ? 0 : 6);
}

static void test_folders_above_the_working_directory_do_not_matter(void)
{
	struct docs *docs = open_fresh();
	int status = 0;

	pid_t child = fork();
	if (child == 0)
		write_below_a_closed_folder();
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(chmod(".", 0700) == 0);
	CHECK(unlink("own/docs.db") == 0 && rmdir("own") == 0);
	close_fresh(docs);
}

static void test_a_file_that_is_no_database_is_a_fault(void)
{
	struct docs *docs = open_fresh();
	docs_close(docs);

	int fd = open("docs.db", O_WRONLY | O_TRUNC);
	for (int i = 0; i < 4096; i++)
		CHECK(write(fd, "garbage ", 8) == 8);
	close(fd);
	CHECK(docs_open("docs.db", &docs) == -EUCLEAN);
	CHECK(docs_open("no/such/folder.db", &docs) < 0);
	remove_folder();
}

static void test_a_schema_of_a_newer_program_is_left_alone(void)
{
	struct docs *docs = open_fresh();
	sqlite3 *db = NULL;

	docs_close(docs);
	CHECK(sqlite3_open("docs.db", &db) == SQLITE_OK);
	CHECK(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL) == SQLITE_OK);
	CHECK(sqlite3_close(db) == SQLITE_OK);
	CHECK(docs_open("docs.db", &docs) == -ENOTSUP);
	remove_folder();
}

static void test_result_codes_are_faults_with_a_meaning(void)
{
	CHECK(sql_fault(NULL, SQLITE_FULL) == -ENOSPC);
	CHECK(sql_fault(NULL, SQLITE_BUSY) == -EBUSY);
	CHECK(sql_fault(NULL, SQLITE_BUSY_SNAPSHOT) == -EBUSY);
	CHECK(sql_fault(NULL, SQLITE_LOCKED) == -EBUSY);
	CHECK(sql_fault(NULL, SQLITE_CORRUPT_INDEX) == -EUCLEAN);
	CHECK(sql_fault(NULL, SQLITE_NOTADB) == -EUCLEAN);
	CHECK(sql_fault(NULL, SQLITE_NOMEM) == -ENOMEM);
	CHECK(sql_fault(NULL, SQLITE_IOERR_NOMEM) == -ENOMEM);
	CHECK(sql_fault(NULL, SQLITE_READONLY) == -EROFS);
	CHECK(sql_fault(NULL, SQLITE_TOOBIG) == -EMSGSIZE);
	CHECK(sql_fault(NULL, SQLITE_IOERR_FSYNC) == -EIO);
}

TESTS(TEST(test_what_was_put_is_got_with_its_revision),
	TEST(test_a_get_appends_and_respects_the_ceiling),
	TEST(test_a_write_that_expects_another_revision_changes_nothing),
	TEST(test_a_batch_is_done_whole_or_not_at_all),
	TEST(test_what_is_written_soon_waits_for_no_disk_and_is_there),
	TEST(test_revisions_never_come_back), TEST(test_sizes_beyond_the_limits_are_refused),
	TEST(test_a_listing_is_in_byte_order_within_its_prefix),
	TEST(test_a_key_may_hold_any_bytes), TEST(test_threads_lose_no_update),
	TEST(test_what_was_acknowledged_survives_kill_9),
	TEST(test_folders_above_the_working_directory_do_not_matter),
	TEST(test_a_file_that_is_no_database_is_a_fault),
	TEST(test_a_schema_of_a_newer_program_is_left_alone),
	TEST(test_result_codes_are_faults_with_a_meaning))
