#include "engine/runtimes.h"

#include "base/test.h"

static struct runtimes *runtimes;

static void add(str name, str version, str names, bool is_incomplete)
{
	const struct runtime_pack pack = { .name = name,
		.version = version,
		.names = names,
		.start_env = S("LD_* ONE"),
		.is_incomplete = is_incomplete };

	CHECK(runtimes_add(runtimes, &pack) == 0);
}

static void the_version_of_a_name_is_its_digits_and_dots(void)
{
	const str names[][2] = {
		{ S("python3.12"), S("3.12") },
		{ S("nodejs20.x"), S("20") },
		{ S("java8.al2"), S("8") },
		{ S("java21"), S("21") },
		{ S("provided"), S("") },
		{ S("provided.al2023"), S("") },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK_STR(runtime_name_version(names[i][0]), names[i][1]);
}

static void the_nearest_version_stands_in(void)
{
	const str all = S("java8.al2 java11 java17 java21 java25");
	const struct runtime_pack *pack;

	CHECK(runtimes_new(&runtimes) == 0);
	add(S("java"), S("17.0.15"), all, false);
	add(S("java"), S("25.0.3"), all, false);
	CHECK(runtimes_find(runtimes, S("java17"), &pack) == RUNTIME_EXACT);
	CHECK_STR(pack->version, S("17.0.15"));
	CHECK(runtimes_find(runtimes, S("java8.al2"), &pack) == RUNTIME_NEAREST);
	CHECK_STR(pack->version, S("17.0.15"));
	CHECK(runtimes_find(runtimes, S("java21"), &pack) == RUNTIME_NEAREST);
	CHECK_STR(pack->version, S("25.0.3")); /* the newer of two equally near */
	CHECK(runtimes_find(runtimes, S("ruby3.3"), &pack) == RUNTIME_NONE);
	runtimes_free(runtimes);
}

static void a_pack_that_lacks_files_serves_nothing_and_is_named(void)
{
	const struct runtime_pack *pack;

	CHECK(runtimes_new(&runtimes) == 0);
	add(S("java"), S("17.0.15"), S("java17 java21"), true);
	CHECK(runtimes_find(runtimes, S("java17"), &pack) == RUNTIME_NONE);
	pack = runtimes_find_incomplete(runtimes, S("java21"));
	CHECK(pack);
	CHECK_STR(pack->name, S("java"));
	CHECK(!runtimes_find_incomplete(runtimes, S("java8.al2")));
	runtimes_free(runtimes);
}

static void variables_that_are_read_at_the_start_are_told_by_name_or_prefix(void)
{
	CHECK(runtimes_new(&runtimes) == 0);
	add(S("x"), S("1"), S("x1"), false);
	const struct runtime_pack *pack = runtimes_at(runtimes, 0);
	CHECK(runtime_reads_at_start(pack, S("LD_PRELOAD")));
	CHECK(runtime_reads_at_start(pack, S("LD_")));
	CHECK(runtime_reads_at_start(pack, S("ONE")));
	CHECK(!runtime_reads_at_start(pack, S("ONES")));
	CHECK(!runtime_reads_at_start(pack, S("OLD_ONE")));
	CHECK(!runtime_reads_at_start(pack, S("")));
	runtimes_free(runtimes);
}

TESTS(TEST(the_version_of_a_name_is_its_digits_and_dots), TEST(the_nearest_version_stands_in),
	TEST(a_pack_that_lacks_files_serves_nothing_and_is_named),
	TEST(variables_that_are_read_at_the_start_are_told_by_name_or_prefix))
