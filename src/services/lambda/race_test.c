/* What happens when several change the same at once, and when memory runs out in the middle. */
#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"
#include "engine/platform.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:"

enum { RACERS = 4, LAPS = 8 };

struct racer {
	struct world *world;
	int number;
	int refused;
	pthread_t thread;
};

/* A call of a thread of its own; the parameters are taken. */
static int race_call(struct racer *racer, call_fn *run, const char *operation, json_t *in)
{
	struct arena arena;

	arena_init(&arena, 4 * MIB);
	struct call call = {
		.service = &aws_service_lambda,
		.operation = aws_operation_find(&aws_service_lambda, str_of(operation)),
		.in = in,
		.out = json_object(),
		.account = racer->world->scope.account,
		.region = racer->world->scope.region,
		.host = S("localhost"),
		.blob_fd = -1,
		.arena = &arena,
		.platform = racer->world->platform,
	};
	int r = run(&call);
	if (r && !str_eq(call.error_code, S("ResourceConflictException")) &&
		!str_eq(call.error_code, S("InvalidParameterValueException")))
		(void)fprintf(
			stderr, "%s: %d " STR_FMT "\n", operation, r, STR_ARG(call.error_message));
	json_decref(call.in);
	json_decref(call.out);
	arena_done(&arena);
	return r;
}

static void race(struct world *world, void *(*run)(void *), struct racer racers[static RACERS])
{
	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){ .world = world, .number = i };
		CHECK(pthread_create(&racers[i].thread, NULL, run, &racers[i]) == 0);
	}
	for (int i = 0; i < RACERS; i++)
		CHECK(pthread_join(racers[i].thread, NULL) == 0);
}

static void *race_tags(void *context)
{
	struct racer *racer = context;
	char key[32];

	for (int i = 0; i < LAPS; i++) {
		(void)snprintf(key, sizeof(key), "key-%d-%d", racer->number, i);
		json_t *in = json_pack("{s:s,s:{s:s}}", "Resource", ARN "fn", "Tags", key, "v");
		racer->refused += race_call(racer, lambda_tag_resource, "TagResource", in) != 0;
	}
	return NULL;
}

static void test_no_change_is_lost(void)
{
	struct world *world = world_new();
	struct racer racers[RACERS];

	world_create(world, "fn");
	race(world, race_tags, racers);
	size_t refused = 0;
	for (int i = 0; i < RACERS; i++)
		refused += (size_t)racers[i].refused;
	struct answer got = world_call(
		world, lambda_list_tags, "ListTags", "{s:s}", "Resource", ARN "fn");
	CHECK(json_object_size(answer_at(&got, "Tags")) + refused == (size_t)RACERS * LAPS);
	CHECK(refused <= 2); /* after many tries in vain, see lambda_retry() */
	world_free(world);
}

static void *race_create(void *context)
{
	struct racer *racer = context;
	json_t *in = json_pack("{s:s,s:s,s:s,s:s,s:{s:o}}", "FunctionName", "same", "Runtime",
		"python3.12", "Handler", "a.b", "Role", "r", "Code", "ZipFile", world_zip("one"));

	racer->refused = race_call(racer, lambda_create_function, "CreateFunction", in) != 0;
	return NULL;
}

static void test_one_of_many_creates_the_function(void)
{
	struct world *world = world_new();
	struct racer racers[RACERS];
	int refused = 0;

	race(world, race_create, racers);
	for (int i = 0; i < RACERS; i++)
		refused += racers[i].refused;
	CHECK(refused == RACERS - 1);
	world_free(world);
}

static void *race_reserve(void *context)
{
	struct racer *racer = context;
	char name[16];

	(void)snprintf(name, sizeof(name), "fn-%d", racer->number % RACERS);
	json_t *in = json_pack(
		"{s:s,s:i}", "FunctionName", name, "ReservedConcurrentExecutions", 300);
	racer->refused = race_call(racer, lambda_put_function_concurrency, "PutFunctionConcurrency",
				 in) != 0;
	return NULL;
}

static void test_together_they_cannot_reserve_more_than_there_is(void)
{
	struct world *world = world_new();
	struct racer racers[RACERS];
	char name[16];
	int refused = 0;

	for (int i = 0; i < RACERS; i++) {
		(void)snprintf(name, sizeof(name), "fn-%d", i);
		world_create(world, name);
	}
	race(world, race_reserve, racers);
	for (int i = 0; i < RACERS; i++)
		refused += racers[i].refused;
	CHECK(refused == 1); /* 3 * 300 of 1000 leave 100 */
	world_free(world);
}

static void test_survives_every_failed_allocation(void)
{
	struct world *world = world_new();
	char name[16];
	bool reached = true;

	for (int nth = 1; nth < 3000 && reached; nth++) {
		(void)snprintf(name, sizeof(name), "fn-%d", nth);
		fault_countdown = nth;
		struct answer got = world_call(world, lambda_create_function, "CreateFunction",
			"{s:s,s:s,s:s,s:s,s:{s:o},s:b,s:{s:{s:s}}}", "FunctionName", name,
			"Runtime", "python3.12", "Handler", "a.b", "Role", "r", "Code", "ZipFile",
			world_zip("one"), "Publish", 1, "Environment", "Variables", "A", "1");
		reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(got.result <= 0);
		CHECK(reached || got.result == 0);
		/* It is there or it is not; and what is there is whole. */
		got = world_call(world, lambda_get_function, "GetFunction", "{s:s,s:s}",
			"FunctionName", name, "Qualifier", "1");
		CHECK(got.result == 0 || got.status == 404);
	}
	CHECK(!reached);
	world_free(world);
}

TESTS(TEST(test_no_change_is_lost), TEST(test_one_of_many_creates_the_function),
	TEST(test_together_they_cannot_reserve_more_than_there_is),
	TEST(test_survives_every_failed_allocation))
