#include "model/lineage.h"

#include "base/test.h"

#define ARN "arn:aws:lambda:us-east-1:000000000000:function:"

static char text[1024];

static str step(str received, str arn, unsigned *ret_count)
{
	struct buf out;

	buf_init_over(&out, text, sizeof(text));
	*ret_count = lineage_step(received, arn, &out);
	CHECK(!out.err);
	return buf_str(&out);
}

static void test_the_first_function_is_counted_beside_the_rest(void)
{
	unsigned count;

	CHECK_STR(step(S("Root=1-a-b;Parent=c;Sampled=0"), S("a"), &count),
		S("Root=1-a-b;Parent=c;Sampled=0;Lineage=e40c292c:0"));
	CHECK(count == 0);
	CHECK_STR(step(S(""), S("a"), &count), S("Lineage=e40c292c:0"));
}

static void test_a_loop_of_one_counts_up(void)
{
	char header[1024] = "Root=1-a-b";
	unsigned count;

	for (unsigned i = 0; i < 40; i++) {
		str made = step(str_of(header), S(ARN "loop"), &count);
		CHECK(count == i);
		CHECK(str_to_array(made, header, sizeof(header)) == 0);
	}
}

static void test_a_loop_of_two_counts_each(void)
{
	char header[1024] = "Root=1-a-b";
	unsigned count = 0;

	for (unsigned i = 0; i < 40; i++) {
		str made = step(str_of(header), i % 2 ? S(ARN "one") : S(ARN "two"), &count);
		CHECK(count == i / 2);
		CHECK(str_to_array(made, header, sizeof(header)) == 0);
	}
}

static void test_many_functions_never_overflow_and_the_loop_is_still_found(void)
{
	char header[1024] = "Root=1-a-b", name[16];
	unsigned count = 0;

	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "other-%u", i);
		CHECK(str_to_array(step(str_of(header), S(ARN "loop"), &count), header,
			      sizeof(header)) == 0);
		CHECK(count == i);
		CHECK(str_to_array(step(str_of(header), str_of(name), &count), header,
			      sizeof(header)) == 0);
	}
}

static void test_what_is_no_lineage_counts_as_none(void)
{
	static const str bad[] = { S_INIT("Lineage="), S_INIT("Lineage=e40c292c"),
		S_INIT("Lineage=e40c292c:x"), S_INIT("Lineage=E40C292C:5"),
		S_INIT("Lineage=e40c292c:99999999999"), S_INIT("Lineage=|||"), S_INIT(";;") };
	unsigned count;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(str_ends(step(bad[i], S("a"), &count), S("Lineage=e40c292c:0")));
		CHECK(count == 0);
	}
	(void)step(S("Lineage=e40c292c:999999"), S("a"), &count);
	CHECK(count == 1'000'000);
	(void)step(S("Lineage=e40c292c:1000000"), S("a"), &count);
	CHECK(count == 1'000'000);
}

TESTS(TEST(test_the_first_function_is_counted_beside_the_rest), TEST(test_a_loop_of_one_counts_up),
	TEST(test_a_loop_of_two_counts_each),
	TEST(test_many_functions_never_overflow_and_the_loop_is_still_found),
	TEST(test_what_is_no_lineage_counts_as_none))
