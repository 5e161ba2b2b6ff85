#include "store/logs.h"

#include "base/attr.h"
#include "base/test.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAY_MS 86'400'000ULL

static char folder[64];
static const struct logs_scope here = { S_INIT("000000000000"), S_INIT("us-east-1") };
static const struct logs_scope there = { S_INIT("000000000000"), S_INIT("eu-west-1") };

static struct logs *open_fresh(void)
{
	struct logs *logs = NULL;
	(void)snprintf(folder, sizeof(folder), "/tmp/logs_test.XXXXXX");
	CHECK(mkdtemp(folder) && chdir(folder) == 0);
	CHECK(logs_open("logs.db", &logs) == 0);
	return logs;
}

static void close_fresh(struct logs *logs)
{
	logs_close(logs);
	(void)unlink("logs.db");
	(void)unlink("logs.db-wal");
	(void)unlink("logs.db-shm");
	CHECK(chdir("/") == 0 && rmdir(folder) == 0);
}

static int make_group(struct logs *logs, str group)
{
	return logs_group_create(logs, here, group, 1000, S("STANDARD"), S(""));
}

static void append(struct logs *logs, str group, str stream, uint64_t ms, str message)
{
	struct logs_event event = { group, stream, ms, ms + 5, message };
	CHECK(logs_append(logs, here, &event, 1, true) == LOGS_DONE);
}

/* Joins what a listing yields. */
static int join_group(void *context, const struct logs_group *group)
{
	buf_putf(context, "[" STR_FMT "]", STR_ARG(group->name));
	return 0;
}

static int join_stream(void *context, const struct logs_stream *stream)
{
	buf_putf(context, "[" STR_FMT "]", STR_ARG(stream->name));
	return 0;
}

static int join_event(void *context, const struct logs_event *event, uint64_t id)
{
	CHECK(id > 0);
	CHECK(event->ingested_ms == event->timestamp_ms + 5);
	buf_putf(context, "[" STR_FMT "]", STR_ARG(event->message));
	return 0;
}

static void check_groups(struct logs *logs, str prefix, str after, size_t limit, str want)
{
	struct buf got;
	buf_init(&got, 4096);
	CHECK(logs_groups(logs, here, prefix, after, limit, join_group, &got) == 0);
	CHECK_STR(buf_str(&got), want);
	buf_done(&got);
}

static void check_streams(struct logs *logs, struct logs_stream_query query, str want)
{
	struct buf got;
	buf_init(&got, 4096);
	query.group = S("g");
	CHECK(logs_streams(logs, here, &query, join_stream, &got) == LOGS_DONE);
	CHECK_STR(buf_str(&got), want);
	buf_done(&got);
}

static void check_events(struct logs *logs, struct logs_event_query query, str want)
{
	struct buf got;
	buf_init(&got, 4096);
	query.group = S("g");
	CHECK(logs_events(logs, here, &query, join_event, &got) == LOGS_DONE);
	CHECK_STR(buf_str(&got), want);
	buf_done(&got);
}

static int copy_group(void *context, const struct logs_group *group)
{
	*(struct logs_group *)context =
		*group; /* its views die; the numbers are what is looked at */
	return 1;
}

static struct logs_group group_of(struct logs *logs, str name)
{
	struct logs_group group = {};
	CHECK(logs_groups(logs, here, name, S(""), 1, copy_group, &group) == 0);
	return group;
}

static int copy_stream(void *context, const struct logs_stream *stream)
{
	*(struct logs_stream *)context = *stream;
	return 1;
}

static struct logs_stream stream_of(struct logs *logs, str name)
{
	struct logs_stream stream = {};
	struct logs_stream_query query = { .group = S("g"), .prefix = name };
	CHECK(logs_streams(logs, here, &query, copy_stream, &stream) == LOGS_DONE);
	return stream;
}

static void test_groups_are_made_once_and_listed_by_name(void)
{
	struct logs *logs = open_fresh();

	CHECK(make_group(logs, S("b")) == LOGS_DONE);
	CHECK(make_group(logs, S("b")) == LOGS_EXISTS);
	CHECK(make_group(logs, S("a/2")) == LOGS_DONE);
	CHECK(make_group(logs, S("a/1")) == LOGS_DONE);
	CHECK(logs_group_create(logs, there, S("b"), 1, S("INFREQUENT_ACCESS"), S("key")) ==
		LOGS_DONE);
	check_groups(logs, S(""), S(""), 0, S("[a/1][a/2][b]"));
	check_groups(logs, S(""), S(""), 2, S("[a/1][a/2]"));
	check_groups(logs, S(""), S("a/2"), 0, S("[b]"));
	check_groups(logs, S("a/"), S(""), 0, S("[a/1][a/2]"));
	check_groups(logs, S("a/"), S("a/1"), 0, S("[a/2]"));
	check_groups(logs, S("c"), S(""), 0, S(""));
	CHECK(logs_group_delete(logs, here, S("b")) == LOGS_DONE);
	CHECK(logs_group_delete(logs, here, S("b")) == LOGS_NO_GROUP);
	check_groups(logs, S(""), S(""), 0, S("[a/1][a/2]"));
	close_fresh(logs);
}

static int check_there(void *context, const struct logs_group *group)
{
	CHECK(group->created_ms == 7 && group->retention_days == 14 && group->is_protected);
	CHECK_STR(group->log_class, S("DELIVERY"));
	CHECK_STR(group->kms_key, S("key"));
	*(bool *)context = true;
	return 0;
}

static void test_a_group_keeps_what_it_was_told(void)
{
	struct logs *logs = open_fresh();
	bool seen = false;

	CHECK(logs_group_create(logs, there, S("g"), 7, S("DELIVERY"), S("key")) == LOGS_DONE);
	CHECK(logs_group_set_retention(logs, there, S("g"), 14) == LOGS_DONE);
	CHECK(logs_group_set_protection(logs, there, S("g"), true) == LOGS_DONE);
	CHECK(logs_group_set_retention(logs, here, S("g"), 14) == LOGS_NO_GROUP);
	CHECK(logs_group_set_protection(logs, here, S("g"), true) == LOGS_NO_GROUP);
	logs_close(logs);
	CHECK(logs_open("logs.db", &logs) == 0);
	CHECK(logs_groups(logs, there, S(""), S(""), 0, check_there, &seen) == 0 && seen);
	close_fresh(logs);
}

static void test_streams_are_made_in_groups_that_exist(void)
{
	struct logs *logs = open_fresh();

	CHECK(logs_stream_create(logs, here, S("g"), S("s"), 1) == LOGS_NO_GROUP);
	CHECK(make_group(logs, S("g")) == LOGS_DONE);
	CHECK(logs_stream_create(logs, here, S("g"), S("s"), 1) == LOGS_DONE);
	CHECK(logs_stream_create(logs, here, S("g"), S("s"), 2) == LOGS_EXISTS);
	CHECK(stream_of(logs, S("s")).created_ms == 1);
	CHECK(stream_of(logs, S("s")).last_event_ms == 0);
	CHECK(logs_stream_delete(logs, here, S("x"), S("s")) == LOGS_NO_GROUP);
	CHECK(logs_stream_delete(logs, here, S("g"), S("x")) == LOGS_NO_STREAM);
	CHECK(logs_stream_delete(logs, here, S("g"), S("s")) == LOGS_DONE);
	check_streams(logs, (struct logs_stream_query){}, S(""));
	close_fresh(logs);
}

static void test_streams_are_listed_by_name_and_by_last_event(void)
{
	struct logs *logs = open_fresh();

	append(logs, S("g"), S("a1"), 300, S("x"));
	append(logs, S("g"), S("a2"), 100, S("x"));
	append(logs, S("g"), S("b"), 200, S("x"));
	append(logs, S("g"), S("b2"), 200, S("x"));
	CHECK(logs_stream_create(logs, here, S("g"), S("c"), 1) == LOGS_DONE); /* without events */

	typedef struct logs_stream_query query;
	check_streams(logs, (query){}, S("[a1][a2][b][b2][c]"));
	check_streams(logs, (query){ .limit = 2 }, S("[a1][a2]"));
	check_streams(logs, (query){ .after = S("a2"), .limit = 2 }, S("[b][b2]"));
	check_streams(logs, (query){ .prefix = S("a") }, S("[a1][a2]"));
	check_streams(logs, (query){ .prefix = S("a"), .after = S("a1") }, S("[a2]"));
	check_streams(logs, (query){ .descending = true }, S("[c][b2][b][a2][a1]"));
	check_streams(logs, (query){ .descending = true, .after = S("b2") }, S("[b][a2][a1]"));
	check_streams(logs, (query){ .descending = true, .prefix = S("b") }, S("[b2][b]"));
	check_streams(
		logs, (query){ .descending = true, .prefix = S("b"), .after = S("b2") }, S("[b]"));

	query by_event = { .by_last_event = true };
	check_streams(logs, by_event, S("[c][a2][b][b2][a1]"));
	by_event.after = S("200:b");
	check_streams(logs, by_event, S("[b2][a1]"));
	by_event.descending = true;
	check_streams(logs, by_event, S("[a2][c]"));
	by_event.after = S("");
	check_streams(logs, by_event, S("[a1][b2][b][a2][c]"));
	by_event.limit = 2;
	check_streams(logs, by_event, S("[a1][b2]"));
	by_event.prefix = S("b");
	check_streams(logs, by_event, S("[b2][b]"));

	struct logs_stream_query missing = { .group = S("none") };
	struct buf got;
	buf_init(&got, 64);
	CHECK(logs_streams(logs, here, &missing, join_stream, &got) == LOGS_NO_GROUP);
	buf_done(&got);
	close_fresh(logs);
}

static void test_the_platform_makes_what_is_missing_and_others_may_not(void)
{
	struct logs *logs = open_fresh();
	struct logs_event events[] = {
		{ S("g"), S("s"), 10, 15, S("one") },
		{ S("g"), S("t"), 11, 16, S("two") },
	};

	CHECK(logs_append(logs, here, events, 2, false) == LOGS_NO_GROUP);
	CHECK(make_group(logs, S("g")) == LOGS_DONE);
	CHECK(logs_append(logs, here, events, 2, false) == LOGS_NO_STREAM);
	CHECK(logs_stream_create(logs, here, S("g"), S("s"), 1) == LOGS_DONE);
	CHECK(logs_append(logs, here, events, 2, false) ==
		LOGS_NO_STREAM); /* t: nothing is written */
	check_events(logs, (struct logs_event_query){}, S(""));
	CHECK(group_of(logs, S("g")).stored_bytes == 0);
	CHECK(logs_append(logs, here, events, 2, true) == LOGS_DONE);
	check_events(logs, (struct logs_event_query){}, S("[one][two]"));
	CHECK(logs_append(logs, there, events, 2, true) == LOGS_DONE); /* makes the group as well */
	check_events(logs, (struct logs_event_query){}, S("[one][two]"));
	CHECK(logs_append(logs, here, NULL, 0, true) == LOGS_DONE);
	events[0].timestamp_ms = UINT64_MAX;
	CHECK(logs_append(logs, here, events, 2, true) == -ERANGE);
	close_fresh(logs);
}

static void test_sizes_and_times_are_counted(void)
{
	struct logs *logs = open_fresh();
	struct logs_event events[] = {
		{ S("g"), S("s"), 20, 30, S("12345") },
		{ S("g"), S("s"), 10, 31, S("1234") },
		{ S("g"), S("t"), 50, 32, S("") },
		{ S("g"), S("s"), 15, 29, S("1") },
	};

	CHECK(logs_append(logs, here, events, ARRAY_LEN(events), true) == LOGS_DONE);
	struct logs_stream s = stream_of(logs, S("s"));
	CHECK(s.first_event_ms == 10 && s.last_event_ms == 20 && s.last_ingested_ms == 31);
	CHECK(s.created_ms == 30 && s.stored_bytes == 10 + 3 * 26);
	struct logs_stream t = stream_of(logs, S("t"));
	CHECK(t.first_event_ms == 50 && t.last_event_ms == 50 && t.stored_bytes == 26);
	CHECK(group_of(logs, S("g")).stored_bytes == 10 + 4 * 26);
	CHECK(logs_stream_delete(logs, here, S("g"), S("s")) == LOGS_DONE);
	CHECK(group_of(logs, S("g")).stored_bytes == 26);
	close_fresh(logs);
}

static struct logs *open_with_events(void)
{
	struct logs *logs = open_fresh();
	append(logs, S("g"), S("a"), 100, S("a100"));
	append(logs, S("g"), S("b"), 100, S("b100"));
	append(logs, S("g"), S("a"), 300, S("a300"));
	append(logs, S("g"), S("b"), 200, S("b200"));
	append(logs, S("g"), S("ab"), 250, S("ab250"));
	append(logs, S("g"), S("a"), 300, S("a300+"));
	append(logs, S("other"), S("a"), 100, S("foreign"));
	return logs;
}

static void test_events_are_in_order_of_time_then_arrival(void)
{
	struct logs *logs = open_with_events();
	typedef struct logs_event_query query;
	str a[] = { S("a") };
	str both[] = { S("b"), S("a") };
	str missing[] = { S("a"), S("x") };
	struct buf got;

	check_events(logs, (query){}, S("[a100][b100][b200][ab250][a300][a300+]"));
	check_events(
		logs, (query){ .backward = true }, S("[a300+][a300][ab250][b200][b100][a100]"));
	check_events(logs, (query){ .limit = 3 }, S("[a100][b100][b200]"));
	check_events(logs, (query){ .limit = 3, .backward = true }, S("[a300+][a300][ab250]"));
	check_events(logs, (query){ .streams = a, .stream_count = 1 }, S("[a100][a300][a300+]"));
	check_events(logs, (query){ .streams = both, .stream_count = 2 },
		S("[a100][b100][b200][a300][a300+]"));
	check_events(logs, (query){ .streams = both, .stream_count = 2, .backward = true },
		S("[a300+][a300][b200][b100][a100]"));
	check_events(
		logs, (query){ .streams = both, .stream_count = 2, .limit = 2 }, S("[a100][b100]"));
	check_events(logs, (query){ .stream_prefix = S("a") }, S("[a100][ab250][a300][a300+]"));
	check_events(logs, (query){ .stream_prefix = S("a"), .limit = 2 }, S("[a100][ab250]"));

	buf_init(&got, 256);
	CHECK(logs_events(logs, here, &(query){ .group = S("none") }, join_event, &got) ==
		LOGS_NO_GROUP);
	CHECK(logs_events(logs, here,
		      &(query){ .group = S("g"), .streams = missing, .stream_count = 2 },
		      join_event, &got) == LOGS_NO_STREAM);
	CHECK(got.len == 0);
	buf_done(&got);
	close_fresh(logs);
}

static void test_a_time_range_includes_its_start_and_excludes_its_end(void)
{
	struct logs *logs = open_with_events();
	typedef struct logs_event_query query;

	check_events(logs, (query){ .from_ms = 200 }, S("[b200][ab250][a300][a300+]"));
	check_events(logs, (query){ .from_ms = 201 }, S("[ab250][a300][a300+]"));
	check_events(logs, (query){ .to_ms = 200 }, S("[a100][b100]"));
	check_events(logs, (query){ .to_ms = 201 }, S("[a100][b100][b200]"));
	check_events(logs, (query){ .from_ms = 200, .to_ms = 300 }, S("[b200][ab250]"));
	check_events(logs, (query){ .from_ms = 200, .to_ms = 300, .backward = true },
		S("[ab250][b200]"));
	check_events(logs, (query){ .from_ms = 300, .to_ms = 200 }, S(""));
	check_events(logs, (query){ .from_ms = UINT64_MAX }, S(""));
	close_fresh(logs);
}

/* The place of the last event of a page. */
struct place {
	uint64_t ms;
	uint64_t id;
	size_t count;
};

static int remember(void *context, const struct logs_event *event, uint64_t id)
{
	struct place *place = context;
	place->ms = event->timestamp_ms;
	place->id = id;
	place->count++;
	return 0;
}

static void walk_in_pages(struct logs *logs, struct logs_event_query query, size_t want)
{
	for (size_t page = 1; page <= want + 1; page++) {
		struct place place = {};
		size_t total = 0;
		query.group = S("g");
		query.limit = page;
		query.cursor_ms = query.cursor_id = 0;
		do {
			place.count = 0;
			CHECK(logs_events(logs, here, &query, remember, &place) == LOGS_DONE);
			total += place.count;
			query.cursor_ms = place.ms;
			query.cursor_id = place.id;
		} while (place.count == page);
		CHECK(total == want);
	}
}

static void test_a_cursor_goes_on_without_loss_or_repetition(void)
{
	struct logs *logs = open_with_events();
	typedef struct logs_event_query query;
	str both[] = { S("b"), S("a") };

	walk_in_pages(logs, (query){}, 6);
	walk_in_pages(logs, (query){ .backward = true }, 6);
	walk_in_pages(logs, (query){ .streams = both, .stream_count = 2 }, 5);
	walk_in_pages(logs, (query){ .streams = both, .stream_count = 2, .backward = true }, 5);
	walk_in_pages(logs, (query){ .from_ms = 100, .to_ms = 300 }, 4);
	walk_in_pages(logs, (query){ .from_ms = 200, .backward = true }, 4);
	close_fresh(logs);
}

static void test_what_is_deleted_is_gone_and_stays_gone(void)
{
	struct logs *logs = open_with_events();

	CHECK(logs_stream_delete(logs, here, S("g"), S("a")) == LOGS_DONE);
	check_events(logs, (struct logs_event_query){}, S("[b100][b200][ab250]"));
	append(logs, S("g"), S("a"), 400, S("new"));
	check_events(logs, (struct logs_event_query){}, S("[b100][b200][ab250][new]"));
	CHECK(logs_group_delete(logs, here, S("g")) == LOGS_DONE);
	CHECK(make_group(logs, S("g")) == LOGS_DONE);
	check_events(logs, (struct logs_event_query){}, S(""));
	CHECK(logs_stream_create(logs, here, S("g"), S("a"), 1) == LOGS_DONE);
	check_events(logs, (struct logs_event_query){}, S(""));
	CHECK(logs_wipe(logs) == 0);
	check_groups(logs, S(""), S(""), 0, S(""));
	close_fresh(logs);
}

static void fill(struct logs *logs, str group, size_t count, uint64_t first_ms)
{
	static struct logs_event events[3000];
	CHECK(count <= ARRAY_LEN(events));
	for (size_t i = 0; i < count; i++)
		events[i] = (struct logs_event){ group, i % 2 ? S("odd") : S("even"), first_ms + i,
			first_ms + i + 5, S("0123456789") };
	CHECK(logs_append(logs, here, events, count, true) == LOGS_DONE);
}

static size_t count_all(struct logs *logs, str group)
{
	struct place place = {};
	CHECK(logs_events(logs, here, &(struct logs_event_query){ .group = group }, remember,
		      &place) == LOGS_DONE);
	return place.count;
}

static void test_retention_deletes_what_is_older_and_nothing_else(void)
{
	struct logs *logs = open_fresh();
	uint64_t now = 100 * DAY_MS;

	fill(logs, S("g"), 3000, now - 3 * DAY_MS); /* more than some batches of it */
	append(logs, S("g"), S("even"), now - DAY_MS, S("at the edge"));
	append(logs, S("g"), S("odd"), now, S("new"));
	fill(logs, S("kept"), 100, 1);
	CHECK(logs_expire(logs, now) == 0); /* no retention: for ever */
	CHECK(count_all(logs, S("g")) == 3002);

	CHECK(logs_group_set_retention(logs, here, S("g"), 1) == LOGS_DONE);
	CHECK(logs_expire(logs, now) == 0);
	check_events(logs, (struct logs_event_query){}, S("[at the edge][new]"));
	CHECK(count_all(logs, S("kept")) == 100);
	CHECK(group_of(logs, S("g")).stored_bytes == 11 + 3 + 2 * 26);
	struct logs_stream even = stream_of(logs, S("even"));
	CHECK(even.first_event_ms == now - DAY_MS && even.stored_bytes == 11 + 26);

	CHECK(logs_expire(logs, now + 10 * DAY_MS) == 0);
	CHECK(count_all(logs, S("g")) == 0);
	CHECK(group_of(logs, S("g")).stored_bytes == 0);
	CHECK(stream_of(logs, S("odd")).last_event_ms == 0);
	CHECK(logs_expire(logs, 5) == 0); /* a clock before the retention's length */
	close_fresh(logs);
}

static void test_a_large_group_is_deleted_at_once_and_swept_later(void)
{
	struct logs *logs = open_fresh();

	for (int i = 0; i < 5; i++)
		fill(logs, S("g"), 3000, 1000);
	CHECK(logs_group_delete(logs, here, S("g")) == LOGS_DONE);
	CHECK(make_group(logs, S("g")) == LOGS_DONE);
	CHECK(count_all(logs, S("g")) == 0);
	append(logs, S("g"), S("even"), 1, S("new"));
	CHECK(logs_expire(logs, 1) == 0);
	check_events(logs, (struct logs_event_query){}, S("[new]"));
	close_fresh(logs);
}

/* What the store should hold, the simple way: all events in one array. */
enum { MODEL_MAX = 3000 };
static struct model_event {
	uint64_t ms;
	size_t stream;
	uint64_t number; /* in order of arrival within its stream */
} model[MODEL_MAX];
static size_t model_count;
static const str model_streams[] = { S_INIT("a"), S_INIT("ab"), S_INIT("b"), S_INIT("c") };

static uint32_t model_chance(uint32_t below)
{
	static uint32_t state = 12345; /* the same run every time */
	state = state * 1664525 + 1013904223;
	return (state >> 8) % below;
}

/* A batch of random events, times going mostly up, sometimes far off, streams mixed. */
static void model_append(struct logs *logs)
{
	static char texts[40][24];
	struct logs_event events[40];
	size_t count = 1 + model_chance(40);
	uint64_t ms = 10'000 + model_chance(30'000);

	for (size_t i = 0; i < count; i++) {
		size_t stream = model_chance(4);
		ms = model_chance(20) ? ms + model_chance(30) : 10'000 + model_chance(30'000);
		(void)snprintf(texts[i], sizeof(texts[i]), "%zu", model_count);
		events[i] = (struct logs_event){ S("g"), model_streams[stream], ms, ms + 5,
			str_of(texts[i]) };
		model[model_count] = (struct model_event){ ms, stream, model_count };
		model_count++;
	}
	CHECK(logs_append(logs, here, events, count, true) == LOGS_DONE);
}

/* A reading that is compared with the model. */
struct model_walk {
	const struct logs_event_query *query;
	uint64_t wanted; /* bits: the streams */
	bool taken[MODEL_MAX];
	size_t count;
	struct place place;
};

static bool model_wants(const struct model_walk *walk, const struct model_event *event)
{
	const struct logs_event_query *query = walk->query;
	return (walk->wanted >> event->stream & 1) && event->ms >= query->from_ms &&
		(query->to_ms == 0 || event->ms < query->to_ms);
}

/* Each event that comes must be wanted, new, in order, and with what was written. */
static int model_see(void *context, const struct logs_event *event, uint64_t id)
{
	struct model_walk *walk = context;
	uint64_t number = 0;

	CHECK(str_to_u64(event->message, model_count, &number) == 0);
	CHECK(event->timestamp_ms == model[number].ms &&
		event->ingested_ms == model[number].ms + 5);
	CHECK(str_eq(event->stream, model_streams[model[number].stream]));
	CHECK(model_wants(walk, &model[number]) && !walk->taken[number]);
	bool is_later = event->timestamp_ms != walk->place.ms ? event->timestamp_ms > walk->place.ms
							      : id > walk->place.id;
	CHECK(walk->place.id == 0 || is_later != walk->query->backward);
	walk->taken[number] = true;
	walk->count++;
	walk->place = (struct place){ event->timestamp_ms, id, 0 };
	return 0;
}

static void model_check(struct logs *logs, struct logs_event_query query, uint64_t wanted)
{
	static struct model_walk walk;
	size_t before;
	size_t want = 0;

	walk = (struct model_walk){ .query = &query, .wanted = wanted };
	query.group = S("g");
	do { /* page by page */
		before = walk.count;
		CHECK(logs_events(logs, here, &query, model_see, &walk) == LOGS_DONE);
		query.cursor_ms = walk.place.ms;
		query.cursor_id = walk.place.id;
	} while (query.limit && walk.count == before + query.limit);
	for (size_t i = 0; i < model_count; i++)
		want += model_wants(&walk, &model[i]);
	CHECK(walk.count == want);
}

static void test_reading_agrees_with_a_simple_model(void)
{
	struct logs *logs = open_fresh();
	str named[] = { S("c"), S("a") };

	model_count = 0;
	while (model_count + 40 < MODEL_MAX)
		model_append(logs);
	for (int i = 0; i < 200; i++) {
		struct logs_event_query query = {
			.backward = model_chance(2),
			.limit = model_chance(3) ? 0 : 50 + model_chance(500),
			.from_ms = model_chance(2) ? 0 : 9'000 + model_chance(33'000),
			.to_ms = model_chance(2) ? 0 : 9'000 + model_chance(33'000),
		};
		uint64_t wanted = 15;
		switch (model_chance(3)) {
		case 0:
			query.streams = named;
			query.stream_count = 2;
			wanted = BIT(3) | BIT(0);
			break;
		case 1:
			query.stream_prefix = S("a");
			wanted = BIT(0) | BIT(1);
			break;
		default:
			break;
		}
		model_check(logs, query, wanted);
	}
	close_fresh(logs);
}

enum { THREADS = 3, BATCHES = 30 };

static void *write_batches(void *argument)
{
	for (int i = 0; i < BATCHES; i++) {
		struct logs_event events[] = {
			{ S("g"), S("s"), (uint64_t)i, (uint64_t)i + 5, S("x") },
			{ S("g"), S("t"), (uint64_t)i, (uint64_t)i + 5, S("x") },
		};
		CHECK(logs_append(argument, here, events, 2, true) == LOGS_DONE);
	}
	return NULL;
}

static void test_writers_and_readers_do_not_lose_events(void)
{
	struct logs *logs = open_fresh();
	pthread_t threads[THREADS];

	CHECK(make_group(logs, S("g")) == LOGS_DONE);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, write_batches, logs) == 0);
	for (int i = 0; i < 20; i++)
		CHECK(count_all(logs, S("g")) % 2 == 0); /* a batch is seen whole */
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(count_all(logs, S("g")) == 2 * THREADS * BATCHES);
	close_fresh(logs);
}

static _Noreturn void append_until_killed(int acks)
{
	struct logs *logs;
	if (logs_open("logs.db", &logs) < 0)
		_exit(1);
	for (uint32_t n = 0;; n++) {
		struct logs_event events[] = {
			{ S("g"), S("s"), n, n, S("x") },
			{ S("g"), S("t"), n, n, S("x") },
		};
		if (logs_append(logs, here, events, 2, true) != LOGS_DONE ||
			write(acks, &n, sizeof(n)) < 0)
			_exit(1);
	}
}

static void test_a_kill_of_the_process_loses_no_event(void)
{
	struct logs *logs = open_fresh();
	size_t least = 0;

	for (int round = 0; round < 10; round++) {
		int ends[2];
		uint32_t n;

		logs_close(logs);
		CHECK(pipe(ends) == 0);
		pid_t child = fork();
		if (child == 0)
			append_until_killed(ends[1]);
		close(ends[1]);
		CHECK(read(ends[0], &n, sizeof(n)) == sizeof(n));
		usleep((useconds_t)round * 1500);
		CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
		least += 2;
		while (read(ends[0], &n, sizeof(n)) == sizeof(n))
			least += 2;
		close(ends[0]);

		CHECK(logs_open("logs.db", &logs) == 0);
		size_t count = count_all(logs, S("g"));
		CHECK(count == least || count == least + 2); /* the last one: whole, or not */
		least = count;
	}
	close_fresh(logs);
}

TESTS(TEST(test_groups_are_made_once_and_listed_by_name), TEST(test_a_group_keeps_what_it_was_told),
	TEST(test_streams_are_made_in_groups_that_exist),
	TEST(test_streams_are_listed_by_name_and_by_last_event),
	TEST(test_the_platform_makes_what_is_missing_and_others_may_not),
	TEST(test_sizes_and_times_are_counted), TEST(test_events_are_in_order_of_time_then_arrival),
	TEST(test_a_time_range_includes_its_start_and_excludes_its_end),
	TEST(test_a_cursor_goes_on_without_loss_or_repetition),
	TEST(test_reading_agrees_with_a_simple_model),
	TEST(test_what_is_deleted_is_gone_and_stays_gone),
	TEST(test_retention_deletes_what_is_older_and_nothing_else),
	TEST(test_a_large_group_is_deleted_at_once_and_swept_later),
	TEST(test_writers_and_readers_do_not_lose_events),
	TEST(test_a_kill_of_the_process_loses_no_event))
