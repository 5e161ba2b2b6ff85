#include "base/log.h"

#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char captured[16384];
static int capture_fd, stderr_fd;

/* From here to capture_end() standard error is a memory file. */
static void capture_begin(void)
{
	(void)fflush(stderr);
	stderr_fd = dup(STDERR_FILENO);
	capture_fd = memfd_create("captured", MFD_CLOEXEC);
	if (stderr_fd < 0 || capture_fd < 0 || dup2(capture_fd, STDERR_FILENO) < 0)
		abort();
}

/* What was written since. */
static str capture_end(void)
{
	(void)dup2(stderr_fd, STDERR_FILENO);
	(void)close(stderr_fd);
	ssize_t len = pread(capture_fd, captured, sizeof(captured), 0);
	(void)close(capture_fd);
	if (len < 0)
		abort();
	return (str){ captured, (size_t)len };
}

/* A line without its time, which must have the form 2026-01-02T03:04:05.678Z. */
static str after_time(str line, size_t from)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";

	line = str_from(line, from);
	for (size_t i = 0; i < sizeof(form) - 1; i++) {
		char c = i < line.len ? line.at[i] : '\0';
		CHECK(form[i] == 'd' ? c >= '0' && c <= '9' : c == form[i]);
	}
	return str_from(line, sizeof(form) - 1);
}

static void test_a_line_has_level_event_and_fields(void)
{
	log_setup(LOG_INFO, false, NULL);
	capture_begin();
	log_info("started", LOG_STR("name", S("hello")), LOG_U64("count", UINT64_MAX),
		LOG_I64("delta", -3), LOG_ERRNO("error", -ENOENT), LOG_ERRNO("odd", 99999));
	log_debug("unwanted");
	CHECK_STR(after_time(capture_end(), 0),
		S(" info started name=hello count=18446744073709551615 delta=-3 error=ENOENT "
		  "odd=99999\n"));
}

static void test_the_process_is_named(void)
{
	log_setup(LOG_DEBUG, false, "router");
	capture_begin();
	log_debug("tick");
	CHECK_STR(after_time(capture_end(), 0), S(" debug tick process=router\n"));
}

static void test_foreign_bytes_cannot_forge_a_line(void)
{
	log_setup(LOG_INFO, false, NULL);
	capture_begin();
	log_warn("odd", LOG_STR("a", S("x y")), LOG_STR("b", S("\"\\\n\x1b[0m\0\xff")),
		LOG_STR("c", S("")), LOG_STR("d", S("arn:aws:iam::1:role/x_y-z.@$")),
		LOG_STR("e", S("k=v")));
	CHECK_STR(after_time(capture_end(), 0),
		S(" warn odd a=\"x y\" b=\"\\\"\\\\\\n\\x1b[0m\\x00\\xff\" c=\"\" "
		  "d=arn:aws:iam::1:role/x_y-z.@$ e=\"k=v\"\n"));
}

static void test_json_lines_are_objects(void)
{
	log_setup(LOG_INFO, true, "warden");
	capture_begin();
	log_error("failed", LOG_STR("text", S("a\"b\n\xff")), LOG_U64("n", 7), LOG_I64("d", -1),
		LOG_ERRNO("error", EPERM), LOG_ERRNO("odd", 99999));
	str line = capture_end();
	CHECK(str_starts(line, S("{\"time\":\"")));
	CHECK_STR(after_time(line, 9),
		S("\",\"level\":\"error\",\"event\":\"failed\",\"process\":\"warden\","
		  "\"text\":\"a\\\"b\\n\xef\xbf\xbd\",\"n\":7,\"d\":-1,\"error\":\"EPERM\",\"odd\":"
		  "99999}\n"));
}

/* Escaping makes six bytes of one: four such values cannot all stand in one line. */
static void check_long_values(bool as_json, str end)
{
	static char value[3000];

	memset(value, 1, sizeof(value));
	str text = { value, sizeof(value) }, part = { value, 300 };
	log_setup(LOG_INFO, as_json, NULL);
	capture_begin();
	log_info("long", LOG_U64("first", 1), LOG_STR("a", text), LOG_STR("b", S("short")),
		LOG_STR("c", part), LOG_STR("d", part), LOG_STR("e", part), LOG_U64("last", 9));
	str line = capture_end();
	CHECK(line.len <= 4096);
	CHECK(str_find(line, '\n') == (ptrdiff_t)line.len - 1);
	CHECK(str_find_str(line, S("short")) > 0);
	CHECK(str_ends(line, end));
}

static void test_a_line_that_is_too_long_drops_whole_fields_and_says_so(void)
{
	check_long_values(false, S(" last=9 truncated=true\n"));
	check_long_values(true, S(",\"last\":9,\"truncated\":true}\n"));
}

static void test_a_long_value_is_cut(void)
{
	static char value[3000];

	memset(value, 'x', sizeof(value));
	str text = { value, sizeof(value) };
	log_setup(LOG_INFO, false, NULL);
	capture_begin();
	log_info("long", LOG_STR("a", text), LOG_U64("last", 9));
	str line = capture_end();
	CHECK(line.len > 1024 && line.len < 1200);
	CHECK(str_ends(line, S("xxx... last=9\n")));
}

static void test_errno_is_kept(void)
{
	log_setup(LOG_INFO, false, NULL);
	capture_begin();
	(void)close(STDERR_FILENO);
	errno = EEXIST;
	log_info("nobody_reads_this");
	CHECK(errno == EEXIST);
	(void)capture_end();
}

TESTS(TEST(test_a_line_has_level_event_and_fields), TEST(test_the_process_is_named),
	TEST(test_foreign_bytes_cannot_forge_a_line), TEST(test_json_lines_are_objects),
	TEST(test_a_line_that_is_too_long_drops_whole_fields_and_says_so),
	TEST(test_a_long_value_is_cut), TEST(test_errno_is_kept))
