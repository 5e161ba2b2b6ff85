#include "services/logs/pattern.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"

#include <errno.h>
#include <string.h>

enum { YES, NO, BAD };

/* What does the pattern say about the message? */
static int judge(const char *pattern_text, const char *message)
{
	struct arena arena;
	struct pattern *pattern = NULL;
	str reason = {};
	int verdict;

	arena_init(&arena, 1 << 20);
	int r = pattern_parse(&arena, str_of(pattern_text), &pattern, &reason);
	CHECK(r == PATTERN_DONE || r == PATTERN_BAD);
	if (r == PATTERN_DONE)
		verdict = pattern_matches(pattern, str_of(message)) ? YES : NO;
	else
		verdict = BAD;
	CHECK((r == PATTERN_BAD) == (reason.len > 0));
	pattern_free(pattern);
	arena_done(&arena);
	return verdict;
}

struct row {
	const char *pattern;
	const char *message;
	int verdict;
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int verdict = judge(rows[i].pattern, rows[i].message);
		if (verdict != rows[i].verdict) {
			fprintf(stderr, "  %s | %s: %d, want %d\n", rows[i].pattern,
				rows[i].message, verdict, rows[i].verdict);
			FAIL("a row of the table");
		}
	}
}

static void check_reason(const char *text, str want)
{
	struct arena arena;
	struct pattern *pattern = NULL;
	str reason = {};

	arena_init(&arena, 1 << 20);
	CHECK(pattern_parse(&arena, str_of(text), &pattern, &reason) == PATTERN_BAD);
	CHECK_STR(reason, want);
	pattern_free(pattern);
	arena_done(&arena);
}

static void test_terms_are_all_looked_for(void)
{
	static const struct row rows[] = {
		{ "", "anything", YES },
		{ "  ", "anything", YES },
		{ "\" \"", "anything", YES },
		{ "\"\"", "anything", YES },
		{ "ERROR", "[ERROR 400] BAD REQUEST", YES },
		{ "ERROR", "Exiting with ERRORCODE: -1", YES },
		{ "ERROR", "error", NO },
		{ "ERROR", "", NO },
		{ "ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", YES },
		{ "ERROR ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST", NO },
		{ "\"INTERNAL SERVER ERROR\"", "[ERROR 500] INTERNAL SERVER ERROR", YES },
		{ "\"INTERNAL SERVER ERROR\"", "SERVER INTERNAL ERROR", NO },
		{ "\"a \\\"quoted\\\" \\\\ word\"", "has a \"quoted\" \\ word inside", YES },
		{ "\"with: punctuation!\"", "x with: punctuation! x", YES },
		{ "a_1", "xa_1x", YES },
	};
	check_rows(rows, ARRAY_LEN(rows));
}

static void test_terms_are_excluded_and_optional(void)
{
	static const struct row rows[] = {
		{ "ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", YES },
		{ "ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", NO },
		{ "-ERROR", "fine", YES },
		{ "-ERROR", "an ERROR", NO },
		{ "-\"two words\"", "has two words", NO },
		{ "?ERROR ?ARGUMENTS", "[ERROR 400] BAD REQUEST", YES },
		{ "?ERROR ?ARGUMENTS", "MISSING ARGUMENTS", YES },
		{ "?ERROR ?ARGUMENTS", "fine", NO },
		{ "?\"a b\" ?c", "xa by", YES },
		/* "If you combine '?' with other filter patterns, all question mark terms will be ignored." */
		{ "?ERROR ?ARGUMENTS REQUEST", "[INFO] REQUEST FAILED", YES },
		{ "?ERROR -REQUEST", "[INFO]", YES },
	};
	check_rows(rows, ARRAY_LEN(rows));
}

static void test_regular_expressions_match(void)
{
	static const struct row rows[] = {
		{ "%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", YES },
		{ "%AUTHORIZED%", "[ERROR 401]", NO },
		{ "%^[hc]at%", "hat", YES },
		{ "%^[hc]at%", "a hat", NO },
		{ "%[hc]at$%", "a hat", YES },
		{ "%colou?r%", "color", YES },
		{ "%a{3,5}%", "aa", NO },
		{ "%^starting|^shutting down%", "shutting down ...", YES },
		{ "%10\\.10\\.0\\.1%", "10.10.0.1", YES },
		{ "%10\\.10\\.0\\.1%", "10010,051", NO },
		{ "%\\x28\\d+\\x29%", "f(12)", YES },
		{ "ERROR %[0-9]+%", "ERROR 7", YES },
		{ "ERROR %[0-9]+%", "ERROR", NO },
		{ "-%[0-9]+%", "ERROR 7", NO },
		{ "%(a)%", "a", BAD }, /* "The ( and ) operators are not supported" */
		{ "%something!%", "something!", BAD },
		{ "%%", "", BAD },
		{ "%a", "a", BAD },
		{ "%[a%", "a", BAD },
		{ "%a% %b% %c%", "abc", BAD }, /* "a limit of 2 regex for each filter pattern" */
		{ "%a% %b%", "ab", YES },
	};
	check_rows(rows, ARRAY_LEN(rows));
}

#define TRAIL                                                                         \
	"{\"eventType\":\"UpdateTrail\",\"sourceIPAddress\":\"111.111.111.111\","     \
	"\"arrayKey\":[\"value\",\"another value\"],"                                 \
	"\"objectList\":[{\"name\":\"a\",\"id\":1},{\"name\":\"b\",\"id\":2}],"       \
	"\"SomeObject\":null,\"cluster.name\":\"c\",\"ThisFlag\":true,\"off\":false," \
	"\"latency\":50.5,\"errorCode\":400,\"big-one\":12345678901234567890,\"empty\":{}}"

static void test_json_strings_are_compared(void)
{
	static const struct row rows[] = {
		{ "{ $.eventType = \"UpdateTrail\" }", TRAIL, YES },
		{ "{$.eventType=UpdateTrail}", TRAIL, YES },
		{ "{ $.eventType != \"UpdateTrail\" }", TRAIL, NO },
		{ "{ $.eventType = Update* }", TRAIL, YES },
		{ "{ $.eventType = *Trail }", TRAIL, YES },
		{ "{ $.eventType = \"*dateT*\" }", TRAIL, YES },
		{ "{ $.eventType = Up*il }", TRAIL, NO }, /* a star inside is a star */
		{ "{ $.eventType = * }", TRAIL, YES },
		{ "{ $.nothing = * }", TRAIL, NO },
		{ "{ $.sourceIPAddress != 123.123.* }", TRAIL, YES },
		{ "{ $.sourceIPAddress != 111.111.* }", TRAIL, NO },
		{ "{ $.arrayKey[0] = \"value\" }", TRAIL, YES },
		{ "{ $.arrayKey[1] = \"value\" }", TRAIL, NO },
		{ "{ $.arrayKey[7] = \"value\" }", TRAIL, NO },
		{ "{ $.eventType = %Trail% }", TRAIL, YES },
		{ "{ $.eventType != %Trail% }", TRAIL, NO },
		{ "{ $.arrayKey[*] = %val.{2}% }", TRAIL, YES },
		{ "{ $.arrayKey[*] = \"another value\" }", TRAIL, YES },
		{ "{ $.arrayKey[*] = none }", TRAIL, NO },
		{ "{ $.objectList[*].name = b }", TRAIL, YES },
		{ "{ $.objectList[*].name = c }", TRAIL, NO },
		{ "{ $.* = %111\\.111\\.111\\.1[0-9]{1,2}% }", TRAIL, YES },
		{ "{ $.['cluster.name'] = \"c\" }", TRAIL, YES },
		{ "{ $['cluster.name'] = \"c\" }", TRAIL, YES },
		{ "{ $.missing != \"x\" }", TRAIL, NO },
		{ "{ $.arrayKey = \"value\" }", TRAIL, NO }, /* arrays and objects never match */
		{ "{ $.arrayKey != \"value\" }", TRAIL, NO },
		{ "{ $.eventType.deeper = x }", TRAIL, NO },
		{ "{ $.eventType = x }", "not json", NO },
		{ "{ $.eventType = x }", "2 {\"eventType\":\"x\"}", NO },
		{ "{ $.eventType = x }", "  {\"eventType\":\"x\"}\n", YES },
		{ "{ $[0].a = x }", "[{\"a\":\"x\"}]", YES },
	};
	check_rows(rows, ARRAY_LEN(rows));
}

static void test_json_numbers_are_compared(void)
{
	static const struct row rows[] = {
		{ "{ $.latency > 50 }", TRAIL, YES },
		{ "{ $.latency < 50.5 }", TRAIL, NO },
		{ "{ $.latency <= 50.5 }", TRAIL, YES },
		{ "{ $.latency >= +50 }", TRAIL, YES },
		{ "{ $.errorCode = 400}", TRAIL, YES },
		{ "{ $.errorCode = 4e2 }", TRAIL, YES },
		{ "{ $.errorCode != 4.0e+2 }", TRAIL, NO },
		{ "{ $.errorCode != 500 }", TRAIL, YES },
		{ "{ $.errorCode = 4* }", TRAIL, YES },
		{ "{ $.errorCode = \"400\" }", TRAIL, YES },
		{ "{ $.errorCode > -1e-3 }", TRAIL, YES },
		{ "{ $.eventType > 5 }", TRAIL, NO },
		{ "{ $.big-one > 1e19 }", TRAIL, YES }, /* beyond 64 bits */
		{ "{ $.objectList[1].id = 2 }", TRAIL, YES },
		{ "{ $.objectList[*].id > 1 }", TRAIL, YES },
		{ "{ $.objectList[*].id > 2 }", TRAIL, NO },
		{ "{ $.latency > fast }", TRAIL, BAD },
		{ "{ $.latency > \"5\" }", TRAIL, BAD },
	};
	check_rows(rows, ARRAY_LEN(rows));
}

static void test_json_states_are_told_apart(void)
{
	static const struct row rows[] = {
		{ "{ $.SomeObject IS NULL }", TRAIL, YES },
		{ "{ $.eventType IS NULL }", TRAIL, NO }, { "{ $.missing IS NULL }", TRAIL, NO },
		{ "{ $.ThisFlag IS TRUE }", TRAIL, YES }, { "{ $.ThisFlag IS FALSE }", TRAIL, NO },
		{ "{ $.off IS FALSE }", TRAIL, YES },
		{ "{ $.SomeOtherObject NOT EXISTS }", TRAIL, YES },
		{ "{ $.SomeObject NOT EXISTS }", TRAIL, NO },
		{ "{ $.empty.x NOT EXISTS }", TRAIL, YES },
		{ "{ $.empty.* NOT EXISTS }", TRAIL, YES },
		{ "{$.a IS NULL&&$.b NOT EXISTS}", "{\"a\":null}", YES },
		{ "{ $.a IS NOTHING }", TRAIL, BAD }, { "{ $.a NOT }", TRAIL, BAD },
		{ "{ $.a EXISTS }", TRAIL,
			BAD }, /* "IS NOT and EXISTS currently aren't supported" */
	};
	check_rows(rows, ARRAY_LEN(rows));
}

#define USERS                                                         \
	"{\"user\":{\"id\":1,\"email\":\"John.Stiles@example.com\"}," \
	"\"users\":[{\"id\":2,\"email\":\"John.Doe@example.com\"},"   \
	"{\"id\":3,\"email\":\"Jane.Doe@example.com\"}],"             \
	"\"actions\":[\"GET\",\"PUT\",\"DELETE\"],\"coordinates\":[[0,1,2],[4,5,6],[7,8,9]]}"

static void test_conditions_are_combined_in_order_of_precedence(void)
{
	static const struct row rows[] = {
		{ "{ ($.user.id = 1) && ($.users[0].email = \"John.Doe@example.com\") }", USERS,
			YES },
		{ "{ ($.user.id = 2 && $.users[0].email = \"nonmatch\") || $.actions[2] = \"GET\" }",
			USERS, NO },
		{ "{ $.user.email = \"John.Stiles@example.com\" || $.coordinates[0][1] = nonmatch &&"
		  " $.actions[2] = nonmatch }",
			USERS, YES },
		{ "{ ($.user.email = \"John.Stiles@example.com\" || $.coordinates[0][1] = nonmatch) &&"
		  " $.actions[2] = nonmatch }",
			USERS, NO },
		{ "{ $.coordinates[2][0] = 7 }", USERS, YES },
		{ "{ $.user.id = 2 || $.user.id = 3 || $.user.id = 1 }", USERS, YES },
		{ "{ $.user.id = 1 && $.user.id = 1 && $.user.id = 2 }", USERS, NO },
		{ "{ ((($.user.id = 1))) }", USERS, YES },
		{ "{ $.x = 1 && $.x = 1 || $.user.id = 1 }", USERS, YES },
		{ "{ $.user.id = 1 || $.x = 1 && $.x = 1 }", USERS, YES },
		{ "{ ($.user.id = 1 }", USERS, BAD },
		{ "{ $.user.id = 1) }", USERS, BAD },
		{ "{ $.user.id = 1 && }", USERS, BAD },
		{ "{ && $.user.id = 1 }", USERS, BAD },
		{ "{ $.user.id = 1 $.user.id = 1 }", USERS, BAD },
		{ "{ }", USERS, BAD },
		{ "{ $ = 1 }", USERS, BAD },
		{ "{ $. = 1 }", USERS, BAD },
		{ "{ $.a[ = 1 }", USERS, BAD },
		{ "{ $.a[x] = 1 }", USERS, BAD },
		{ "{ $.a.*.*  = 1 }", USERS, BAD }, /* one wildcard a selector… */
		{ "{ $.* = 1 && $.* = 1 && $.* = 1 && $.* = 1 }", USERS,
			BAD }, /* …three a pattern */
		{ "{ user = 1 }", USERS, BAD },
		{ "{ $.a ~ 1 }", USERS, BAD },
		{ "{ $.a = }", USERS, BAD },
		{ "{ $.a = \"x }", USERS, BAD },
	};
	check_rows(rows, ARRAY_LEN(rows));
}

#define ACCESS \
	"127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] \"GET /index.html HTTP/1.0\" 404 1534"

static void test_fields_are_matched_by_position(void)
{
	static const struct row rows[] = {
		{ "[ip, user, username, timestamp, request, status_code, bytes]", ACCESS, YES },
		{ "[ip, user, username, timestamp, request =*.html*, status_code = 4*, bytes]",
			ACCESS, YES },
		{ "[ip=%127\\.0\\.0\\.[1-9]%, user, username, timestamp, request, status_code, bytes]",
			ACCESS, YES },
		{ "[..., request =*.html*, status_code = 4*, bytes]", ACCESS, YES },
		{ "[..., request=*.html*, status_code=4*,]", ACCESS, YES },
		{ "[..., request=*.php*, status_code=4*,]", ACCESS, NO },
		{ "[ip, user, ..., status_code, bytes > 1000]", ACCESS, YES },
		{ "[ip, user, ..., status_code, bytes > 2000]", ACCESS, NO },
		{ "[ip = 127.0.0.1, ...]", ACCESS, YES },
		{ "[..., status_code = 404 || status_code = 410, bytes]", ACCESS, YES },
		{ "[..., status_code = 400 || status_code = 410, bytes]", ACCESS, NO },
		{ "[..., status_code = 4* && status_code != 403, bytes]", ACCESS, YES },
		{ "[ip, user, username = bob, ...]", ACCESS, NO },
		{ "[w1=ERROR, w2]", "ERROR 09/25/2014 12:00:02 Failed to process request", YES },
		{ "[w1=ERROR, w2]", "INFO 09/25/2014 12:00:00 GET /service/resource/67 1200", NO },
		{ "[w1=ERROR || w1=WARNING, w2]", "WARNING 09/25/2014 Invalid user request\n",
			YES },
		{ "[w1!=ERROR && w1!=WARNING, w2]", "INFO x", YES },
		{ "[w1!=ERROR && w1!=WARNING, w2]", "WARNING x", NO },
		{ "[level, date, time, method, url=%/service/resource/[0-9]+$%, response_time]",
			"INFO 09/25/2014 12:00:00 GET /service/resource/67 1200", YES },
		{ "[level, date, time, method, url=%/service/resource/[0-9]+$%, response_time]",
			"INFO 09/25/2014 12:00:01 POST /service/resource/67/part/111 1310", NO },
		{ "[a, b, c]", "only two", NO },
		{ "[a, b=\"the rest\"]", "first the rest",
			YES },			   /* the last one takes what is left */
		{ "[a=1 && b=2, c]", "1 2", BAD }, /* another field's name */
		{ "[..., a, ...]", "x", BAD },
		{ "[a b]", "x", BAD },
	};
	check_rows(rows, ARRAY_LEN(rows));
}

static void test_reasons_are_worded_as_aws_does(void)
{
	check_reason("{ $.a = 1", S("If a filter pattern starts with '{' it must end with '}'"));
	check_reason("?Status: timeout", S("Invalid character(s) in term ':'"));
	check_reason("email@domain.com", S("Invalid character(s) in term '@'"));
	check_reason("PlayerSpawned (reason", S("Invalid character(s) in term '('"));
	check_reason("caf\xc3\xa9", S("Invalid character(s) in term '\xc3\xa9'"));
	check_reason("\"open", S("Invalid filter pattern"));
}

static void test_a_pattern_has_a_longest_length(void)
{
	static char text[1026];
	memset(text, 'a', 1024);
	CHECK(judge(text, text) == YES);
	text[1024] = 'a';
	CHECK(judge(text, text) == BAD);
}

static void test_hostile_patterns_are_bounded(void)
{
	static char text[1025];

	memset(text, '(', 1024);
	text[0] = '{';
	text[1023] = '}';
	CHECK(judge(text, "{}") == BAD);
	for (size_t i = 1; i + 3 < 1023; i += 3)
		memcpy(&text[i], ".a.", 3);
	CHECK(judge(text, "{}") == BAD);
	/* Exponential without a limit of the matcher. */
	CHECK(judge("%(a)%", "a") == BAD);
	CHECK(judge("%^a*a*a*a*a*a*a*a*a*a*a*a*b$%",
		      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac") ==
		NO);
}

/* Every prefix of these, and every one with a byte left out: read or refused, never worse. */
static void test_every_cut_of_a_pattern_is_read_or_refused(void)
{
	static const char *const whole[] = {
		"{ ($.a[0]['b'].* = \"x\\\"*\" && $.n >= -1.5e3) || $.m IS NULL && $.k NOT EXISTS }",
		"[ip=%1[0-9]%, ..., a = 4* && a != 403 || a > 5, ]",
		"one -\"two \\\\ three\" ?four %f[i-v]{1,2}e%",
	};
	static const char *const messages[] = { TRAIL, ACCESS, "one four five", "" };

	for (size_t w = 0; w < ARRAY_LEN(whole); w++) {
		char text[256];
		size_t len = strlen(whole[w]);
		for (size_t cut = 0; cut <= len; cut++) {
			memcpy(text, whole[w], cut);
			text[cut] = '\0';
			(void)judge(text, messages[cut % ARRAY_LEN(messages)]);
			memcpy(text + cut, whole[w] + cut + (cut < len), len - cut);
			text[cut < len ? len - 1 : len] = '\0';
			(void)judge(text, messages[cut % ARRAY_LEN(messages)]);
		}
	}
}

static void test_every_failed_allocation_is_a_fault(void)
{
	for (int nth = 1; nth < 100; nth++) {
		struct arena arena;
		struct pattern *pattern = NULL;
		str reason;

		arena_init(&arena, 1 << 20);
		fault_countdown = nth;
		int r = pattern_parse(&arena, S("{ $.a = \"x\" && $.b = %y% }"), &pattern, &reason);
		bool reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(r == (reached ? -ENOMEM : PATTERN_DONE));
		pattern_free(pattern);
		arena_done(&arena);
		if (!reached)
			return;
	}
	FAIL("never succeeded");
}

TESTS(TEST(test_terms_are_all_looked_for), TEST(test_terms_are_excluded_and_optional),
	TEST(test_regular_expressions_match), TEST(test_json_strings_are_compared),
	TEST(test_json_numbers_are_compared), TEST(test_json_states_are_told_apart),
	TEST(test_conditions_are_combined_in_order_of_precedence),
	TEST(test_fields_are_matched_by_position), TEST(test_reasons_are_worded_as_aws_does),
	TEST(test_a_pattern_has_a_longest_length), TEST(test_hostile_patterns_are_bounded),
	TEST(test_every_cut_of_a_pattern_is_read_or_refused),
	TEST(test_every_failed_allocation_is_a_fault))
