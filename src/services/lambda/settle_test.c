#include "services/lambda/settle.h"

#include "base/test.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "os/loop.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"
#include "services/lambda/tree.h"

#include <pthread.h>
#include <string.h>

static void create(struct world *world, const char *name, bool publish)
{
	CHECK_OK(world_call(world, lambda_create_function, "CreateFunction",
		"{s:s,s:s,s:s,s:s,s:{s:o},s:b}", "FunctionName", name, "Runtime", "python3.12",
		"Handler", "a.b", "Role", "r", "Code", "ZipFile", world_zip("one"), "Publish",
		publish));
}

static struct answer get(struct world *world, const char *name)
{
	return world_call(world, lambda_get_function_configuration, "GetFunctionConfiguration",
		"{s:s}", "FunctionName", name);
}

/* As if the change had been made long ago, by a process that died. */
static void lose(struct world *world, const char *name)
{
	struct function_record function = {};
	struct batch batch = { .scope = &world->scope };

	CHECK(function_record_get(&world->scope, str_of(name), &function) == RECORD_FOUND);
	json_object_set_new(
		json_object_get(function.doc, "Unsettled"), "Since", json_integer(1000));
	batch_put_function(&batch, &function);
	CHECK(batch_commit(&batch) == DOCS_DONE);
	function_record_done(&function);
}

static unsigned unsettled(struct world *world)
{
	json_auto_t *docs = json_array();

	CHECK(record_list_prefix(&world->scope, KIND_UNSETTLED, S(""), S(""), 0, docs) == 0);
	return (unsigned)json_array_size(docs);
}

static void test_reads_in_between_see_pending(void)
{
	struct world *world = world_new();

	create(world, "fn", true);
	struct answer got = get(world, "fn");
	CHECK_STR(answer_text(&got, "State"), S("Pending"));
	got = get(world, "fn:1");
	CHECK_STR(answer_text(&got, "State"), S("Pending"));
	unsigned changes = world->changes;
	world_settle(world, "fn");
	CHECK(world->changes == changes + 1);
	got = get(world, "fn");
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	CHECK_STR(answer_text(&got, "LastUpdateStatus"), S("Successful"));
	CHECK(answer_at(&got, "StateReason") == NULL && answer_at(&got, "StateReasonCode") == NULL);
	got = get(world, "fn:1");
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	/* Once more is nothing. */
	changes = world->changes;
	world_settle(world, "fn");
	world_settle(world, "no-such-function");
	CHECK(world->changes == changes && unsettled(world) == 0);
	world_free(world);
}

static void test_a_lost_follow_up_is_finished_by_the_next_reader(void)
{
	struct world *world = world_new();

	create(world, "fn", true);
	lose(world, "fn");
	unsigned unpacks = world->unpacks;
	struct answer got = get(world, "fn");
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	CHECK(world->unpacks == unpacks + 1); /* it made sure of the code */
	CHECK(unsettled(world) == 0);
	world_free(world);
}

static void test_the_start_finishes_all_that_is_lost(void)
{
	struct world *world = world_new();

	world_create(world, "done");
	create(world, "one", false);
	create(world, "two", true);
	CHECK(unsettled(world) == 2);
	CHECK(lambda_settle_all(world->platform) == 0);
	CHECK(unsettled(world) == 0);
	struct answer got = get(world, "two:1");
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	got = get(world, "one");
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	world_free(world);
}

/* The end of a change is not synced: what a client has seen of it must come again. */
static void test_an_end_that_a_power_cut_undid_has_the_same_revision_again(void)
{
	struct world *world = world_new();
	struct function_record before = {};
	struct batch batch = { .scope = &world->scope };
	char revisions[2][64];

	create(world, "fn", true);
	CHECK(function_record_get(&world->scope, S("fn"), &before) == RECORD_FOUND);
	world_settle(world, "fn");
	struct answer got = get(world, "fn");
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	CHECK(str_to_array(answer_text(&got, "RevisionId"), revisions[0], 64) == 0);
	got = get(world, "fn:1");
	CHECK(str_to_array(answer_text(&got, "RevisionId"), revisions[1], 64) == 0);
	CHECK(!str_eq(str_of(revisions[0]), str_of(revisions[1])));

	batch_put(&batch, KIND_FUNCTION, record_account_key(&world->scope, S("fn")), before.doc,
		DOCS_ANY);
	CHECK(batch_commit(&batch) == DOCS_DONE);
	function_record_done(&before);
	got = get(world, "fn");
	CHECK_STR(answer_text(&got, "State"), S("Pending"));
	world_settle(world, "fn");
	got = get(world, "fn");
	CHECK_STR(answer_text(&got, "RevisionId"), str_of(revisions[0]));
	got = get(world, "fn:1");
	CHECK_STR(answer_text(&got, "RevisionId"), str_of(revisions[1]));
	world_free(world);
}

static void test_lost_code_that_cannot_be_unpacked_is_a_failed_function(void)
{
	struct world *world = world_new();

	create(world, "fn", false);
	world->is_unpacking = false;
	CHECK(lambda_settle_all(world->platform) == 0);
	struct answer got = get(world, "fn");
	CHECK_STR(answer_text(&got, "State"), S("Failed"));
	CHECK_STR(answer_text(&got, "StateReasonCode"), S("InternalError"));
	CHECK(answer_text(&got, "StateReason").len > 0);
	/* New code repairs it. */
	world->is_unpacking = true;
	CHECK_OK(world_call(world, lambda_update_function_code, "UpdateFunctionCode", "{s:s,s:o}",
		"FunctionName", "fn", "ZipFile", world_zip("two")));
	world_settle(world, "fn");
	got = get(world, "fn");
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	CHECK(answer_at(&got, "StateReason") == NULL);
	world_free(world);
}

static void test_a_function_that_is_deleted_meanwhile_stays_deleted(void)
{
	struct world *world = world_new();

	create(world, "fn", true);
	CHECK_OK(world_call(
		world, lambda_delete_function, "DeleteFunction", "{s:s}", "FunctionName", "fn"));
	world_settle(world, "fn");
	CHECK(get(world, "fn").status == 404);
	create(world, "fn", true);
	CHECK_OK(world_call(world, lambda_delete_function, "DeleteFunction", "{s:s,s:s}",
		"FunctionName", "fn", "Qualifier", "1"));
	world_settle(world, "fn"); /* without its version */
	struct answer got = get(world, "fn");
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	CHECK(get(world, "fn:1").status == 404);
	world_free(world);
}

static void *loop_thread(void *loop)
{
	loop_run(loop);
	return NULL;
}

static void stop(struct message *message)
{
	(void)message;
}

static void test_the_loop_does_it_by_itself_and_soon(void)
{
	struct world *world = world_new();
	pthread_t thread;
	struct loop *loop;

	CHECK(loop_new(&loop) == 0);
	CHECK(pthread_create(&thread, NULL, loop_thread, loop) == 0);
	world->platform->loop = loop;
	create(world, "fn", true);
	bool is_active = false;
	for (int i = 0; i < 500 && !is_active; i++) {
		struct answer got = get(world, "fn");
		is_active = str_eq(answer_text(&got, "State"), S("Active"));
		struct timespec pause = { .tv_nsec = 10'000'000 };
		(void)nanosleep(&pause, NULL);
	}
	CHECK(is_active);
	while (loop_work_pending(loop) > 0)
		;
	loop_stop(loop);
	struct message wake = { .run = stop };
	loop_post(loop, &wake);
	CHECK(pthread_join(thread, NULL) == 0);
	loop_free(loop);
	world_free(world);
}

TESTS(TEST(test_reads_in_between_see_pending),
	TEST(test_a_lost_follow_up_is_finished_by_the_next_reader),
	TEST(test_the_start_finishes_all_that_is_lost),
	TEST(test_an_end_that_a_power_cut_undid_has_the_same_revision_again),
	TEST(test_lost_code_that_cannot_be_unpacked_is_a_failed_function),
	TEST(test_a_function_that_is_deleted_meanwhile_stays_deleted),
	TEST(test_the_loop_does_it_by_itself_and_soon))
