#include "model/trace.h"

#include "base/attr.h"
#include "base/test.h"

#include <string.h>

#define ROOT   "Root=1-6922fd41-0123456789abcdef01234567"
#define PARENT ";Parent=53995c3f42cd8ad8"

static const struct trace_seed seed = { { 0xa, 0xb, 0xc }, 0x6922fd41 };
static char trace[TRACE_MAX];

static str begin(str received)
{
	trace_begin(received, &seed, trace);
	return str_of(trace);
}

static str decide(bool is_active)
{
	trace_decide(is_active, 0xd, trace);
	return str_of(trace);
}

static void test_who_sends_none_gets_a_new_trace(void)
{
	CHECK_STR(begin(S("")),
		S("Root=1-6922fd41-0000000a000000000000000b;Parent=000000000000000c"));
	CHECK_STR(decide(false),
		S("Root=1-6922fd41-0000000a000000000000000b;Parent=000000000000000c;Sampled=0"));
	(void)begin(S(""));
	CHECK_STR(decide(true),
		S("Root=1-6922fd41-0000000a000000000000000b;Parent=000000000000000d;Sampled=1"));
}

static void test_the_callers_decision_stands_and_the_trace_goes_on(void)
{
	CHECK_STR(begin(S(ROOT PARENT ";Sampled=1")), S(ROOT PARENT ";Sampled=1"));
	CHECK_STR(decide(false), S(ROOT ";Parent=000000000000000d;Sampled=1"));
	CHECK_STR(begin(S(ROOT PARENT ";Sampled=0")), S(ROOT PARENT ";Sampled=0"));
	CHECK_STR(decide(true), S(ROOT PARENT ";Sampled=0"));
}

static void test_without_a_decision_it_is_the_functions_to_make(void)
{
	static const char *const open[] = { ROOT PARENT, ROOT PARENT ";Sampled=?",
		"sampled=;" ROOT PARENT };

	for (size_t i = 0; i < ARRAY_LEN(open); i++) {
		CHECK_STR(begin(str_of(open[i])), S(ROOT PARENT));
		CHECK_STR(decide(false), S(ROOT PARENT ";Sampled=0"));
		(void)begin(str_of(open[i]));
		CHECK_STR(decide(true), S(ROOT ";Parent=000000000000000d;Sampled=1"));
	}
	(void)begin(S(ROOT));
	CHECK_STR(decide(false), S(ROOT ";Parent=000000000000000d;Sampled=0"));
}

static void test_what_else_it_says_is_handed_on(void)
{
	(void)begin(S(
		"Self=1-67891234-12456789abcdef012345678; root=1-6922fd41-0123456789abcdef01234567" PARENT
		";Sampled=0;Lineage=1:a87bd80c:5"));
	CHECK_STR(decide(true),
		S(ROOT PARENT ";Sampled=0;Self=1-67891234-12456789abcdef012345678"
			      ";Lineage=1:a87bd80c:5"));
}

static void test_what_is_no_root_begins_a_new_trace(void)
{
	static const char *const wrong[] = { "Root=", "Root=1-6922fd41-0123456789abcdef0123456",
		"Root=1-6922fd4g-0123456789abcdef01234567",
		"Root=2-6922fd41-0123456789abcdef01234567",
		"Root=1-6922fd41_0123456789abcdef01234567", PARENT ";Sampled=1",
		"Root=1-6922fd41-0123456789abcdef01234567x", "\n", ";;;;", "%s%n" };

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		CHECK_STR(begin(str_of(wrong[i])),
			S("Root=1-6922fd41-0000000a000000000000000b;Parent=000000000000000c"));
}

static void test_it_stays_within_its_bounds_and_printable(void)
{
	char longest[8 * TRACE_MAX] = ROOT PARENT ";Sampled=1;";

	for (size_t len = strlen(longest); len < sizeof(longest) - 1; len++) {
		longest[len] = len % 7 ? 'x' : ';';
		longest[len + 1] = '\0';
		CHECK(str_starts(begin(str_of(longest)), S(ROOT PARENT ";Sampled=1")));
		CHECK(decide(true).len < TRACE_MAX);
	}
	CHECK_STR(begin(S(ROOT ";a=\x7f;b=\xff;c=d e;f=\tg")), S(ROOT));
}

static void test_what_is_sampled_says_root_and_segment(void)
{
	char root[TRACE_ROOT_MAX], segment[TRACE_SEGMENT_MAX];

	CHECK(trace_is_sampled(S(ROOT PARENT ";Sampled=1"), root, segment));
	CHECK_STR(str_of(root), S("1-6922fd41-0123456789abcdef01234567"));
	CHECK_STR(str_of(segment), S("53995c3f42cd8ad8"));
	CHECK(!trace_is_sampled(S(ROOT PARENT ";Sampled=0"), root, segment));
	CHECK(!trace_is_sampled(S(ROOT PARENT), root, segment));
	CHECK(!trace_is_sampled(S(ROOT ";Sampled=1"), root, segment));
	CHECK(!trace_is_sampled(S(""), root, segment));
}

TESTS(TEST(test_who_sends_none_gets_a_new_trace),
	TEST(test_the_callers_decision_stands_and_the_trace_goes_on),
	TEST(test_without_a_decision_it_is_the_functions_to_make),
	TEST(test_what_else_it_says_is_handed_on), TEST(test_what_is_no_root_begins_a_new_trace),
	TEST(test_it_stays_within_its_bounds_and_printable),
	TEST(test_what_is_sampled_says_root_and_segment))
