#include "bin/settings.h"

#include "base/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct settings settings;
static struct buf error;

static void begin(void)
{
	CHECK(settings_init(&settings) == 0);
	buf_init(&error, 4096);
}

static void end(void)
{
	settings_done(&settings);
	buf_done(&error);
}

static void every_default_is_accepted_by_its_own_row(void)
{
	begin();
	struct buf lines;
	buf_init(&lines, 65536);
	settings_put(&settings, &lines);
	str rest = buf_str(&lines), line, name;
	int count = 0;
	while (str_next(&rest, '\n', &line)) {
		if (!line.len)
			continue;
		CHECK(str_cut(&line, '=', &name));
		CHECK(settings_set(&settings, name, line, "test", &error) == SETTINGS_DONE);
		count++;
	}
	CHECK(count == SETTINGS_COUNT);
	buf_done(&lines);
	end();
}

static void a_flag_wins_over_the_environment_and_leaves_the_other_words(void)
{
	begin();
	setenv("MAYFLY_LOG_LEVEL", "warn", 1);
	setenv("MAYFLY_IDLE", "7", 1);
	char words[][16] = { "one", "--idle=9", "--test-controls", "--listen", "127.0.0.1:1", "two",
		"--", "--x" };
	char *argv[8];
	for (int i = 0; i < 8; i++)
		argv[i] = words[i];
	int argc = 8;
	CHECK(settings_from_environment(&settings, &error) == 0);
	CHECK(settings_from_flags(&settings, &argc, argv, &error) == 0);
	CHECK(argc == 3);
	CHECK_STR(str_of(argv[1]), S("two"));
	CHECK_STR(str_of(argv[2]), S("--x"));
	CHECK(settings_number(&settings, SET_IDLE) == 9);
	CHECK(settings_is(&settings, SET_LOG_LEVEL, S("warn")));
	CHECK(settings_is(&settings, SET_TEST_CONTROLS, S("true")));
	CHECK_STR(settings_text(&settings, SET_LISTEN), S("127.0.0.1:1"));
	unsetenv("MAYFLY_LOG_LEVEL");
	unsetenv("MAYFLY_IDLE");
	end();
}

static void a_wrong_value_is_refused_with_what_would_be_right(void)
{
	static const struct {
		const char *name, *value, *says;
	} cases[] = {
		{ "idle", "0",
			"idle must be a whole number of seconds from 1 to 86400, not \"0\"" },
		{ "idle", "x",
			"idle must be a whole number of seconds from 1 to 86400, not \"x\"" },
		{ "cpu", "fast", "cpu must be one of weight|strict, not \"fast\"" },
		{ "test-controls", "yes", "test-controls must be true or false, not \"yes\"" },
		{ "account", "12", "account must be 12 digits, not \"12\"" },
		{ "listen", "4566",
			"listen must be address:port, as 127.0.0.1:4566, not \"4566\"" },
		{ "nope", "1", "there is no setting \"nope\"; 'mayfly serve --help' lists them" },
	};
	begin();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&error);
		CHECK(settings_set(&settings, str_of(cases[i].name), str_of(cases[i].value), "test",
			      &error) == SETTINGS_BAD);
		CHECK_STR(buf_str(&error), str_of(cases[i].says));
	}
	end();
}

static void a_file_is_read_and_its_errors_name_the_line(void)
{
	char path[] = "/tmp/settings-test-XXXXXX";
	int fd = mkstemp(path);
	static const char text[] = "# comment\nidle = 5\nlog_level = debug\ncpu = wrong\n";

	begin();
	CHECK(fd >= 0 && write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1);
	CHECK(settings_from_file(&settings, path, &error) == SETTINGS_BAD);
	CHECK(settings_number(&settings, SET_IDLE) == 5);
	CHECK(str_find_str(buf_str(&error), S("line 4")) > 0);
	buf_clear(&error);
	CHECK(settings_from_file(&settings, "/nonexistent/file", &error) == SETTINGS_BAD);
	CHECK(str_find_str(buf_str(&error), S("No such file")) > 0);
	close(fd);
	unlink(path);
	end();
}

static char heard[256];

static void hear(void *context, str name, bool is_applied)
{
	size_t len = strlen(heard);

	(void)context;
	snprintf(heard + len, sizeof(heard) - len, "%s" STR_FMT ";", is_applied ? "+" : "-",
		STR_ARG(name));
}

static void a_file_that_is_read_again_changes_what_is_live_and_not_pinned_and_tells_the_rest(void)
{
	static char text[] = "idle = 9\nlog-level = warn\nworkers = 7\nqueue = 5000\n";
	struct settings fresh;

	begin();
	heard[0] = '\0';
	CHECK(settings_set(&settings, S("log-level"), S("debug"), "flag", &error) == 0);
	CHECK(settings_set(&settings, S("queue"), S("7000"), "file", &error) == 0);
	CHECK(settings_set(&settings, S("connections"), S("99"), "file", &error) == 0);
	CHECK(settings_init(&fresh) == 0);
	FILE *file = fmemopen(text, strlen(text), "r");
	CHECK(settings_from_stream(&fresh, file, "x.ini", &error) == 0);
	fclose(file);
	settings_take_live(&settings, &fresh, hear, NULL);
	CHECK(settings_number(&settings, SET_IDLE) == 9);
	CHECK(settings_is(&settings, SET_LOG_LEVEL, S("debug")));
	CHECK(settings_number(&settings, SET_WORKERS) == 4);
	CHECK(settings_number(&settings, SET_QUEUE) == 5000);
	CHECK(settings_number(&settings, SET_CONNECTIONS) ==
		4096); /* no line any more: the default */
	CHECK_STR(str_of(heard), S("+idle;+queue;+connections;-workers;"));
	settings_done(&fresh);
	end();
}

static void what_is_pinned_is_written_as_lines_and_read_back(void)
{
	struct buf lines;

	begin();
	buf_init(&lines, 4096);
	CHECK(settings_set(&settings, S("idle"), S("3"), "environment", &error) == 0);
	CHECK(settings_set(&settings, S("queue"), S("30"), "file", &error) == 0);
	settings_put_pinned(&settings, &lines);
	CHECK_STR(buf_str(&lines), S("pinned=idle\n"));
	CHECK(settings_pin(&settings, S("queue")));
	CHECK(!settings_pin(&settings, S("no-such")));
	CHECK(settings.is_pinned[SET_QUEUE]);
	buf_done(&lines);
	end();
}

TESTS(TEST(every_default_is_accepted_by_its_own_row),
	TEST(a_flag_wins_over_the_environment_and_leaves_the_other_words),
	TEST(a_wrong_value_is_refused_with_what_would_be_right),
	TEST(a_file_is_read_and_its_errors_name_the_line),
	TEST(a_file_that_is_read_again_changes_what_is_live_and_not_pinned_and_tells_the_rest),
	TEST(what_is_pinned_is_written_as_lines_and_read_back))
