#include "engine/extensions.h"

#include "base/test.h"

#include <stdio.h>
#include <string.h>

static struct extensions all;

static struct extension *add(const char *name, bool is_external)
{
	return extensions_add(&all, str_of(name), is_external);
}

static void test_there_are_at_most_ten(void)
{
	char name[8];

	all = (struct extensions){};
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "e%d", i);
		CHECK(add(name, i % 2) != NULL);
	}
	CHECK(add("one more", false) == NULL);
	CHECK(all.count == EXTENSIONS_MAX);
}

static void test_a_name_has_the_length_of_a_files(void)
{
	char name[EXTENSION_NAME_MAX + 1];

	all = (struct extensions){};
	memset(name, 'x', sizeof(name));
	CHECK(extensions_add(&all, (str){ name, EXTENSION_NAME_MAX }, true) == NULL);
	CHECK(extensions_add(&all, (str){ name, EXTENSION_NAME_MAX - 1 }, true) != NULL);
	CHECK(all.count == 1);
}

static void test_an_id_is_known_only_of_one_that_has_registered(void)
{
	all = (struct extensions){};
	struct extension *one = add("one", true);
	CHECK(extensions_by_id(&all, str_of(one->id)) == NULL);
	extension_enter(one, EXTENSION_REGISTERED);
	CHECK(extensions_by_id(&all, str_of(one->id)) == one);
	CHECK(extensions_by_id(&all, S("")) == NULL);
	CHECK(extensions_by_name(&all, S("one")) == one);
	CHECK(extensions_by_name(&all, S("on")) == NULL);
}

static void test_all_are_ready_when_each_has_asked(void)
{
	all = (struct extensions){};
	CHECK(extensions_are_registered(&all) && extensions_are_ready(&all));
	struct extension *one = add("one", true), *two = add("two", true);
	CHECK(!extensions_are_registered(&all));
	extension_enter(one, EXTENSION_REGISTERED);
	extension_enter(two, EXTENSION_REGISTERED);
	CHECK(extensions_are_registered(&all) && !extensions_are_ready(&all));
	extension_enter(one, EXTENSION_READY);
	CHECK(!extensions_are_ready(&all));
	extension_enter(two, EXTENSION_READY);
	CHECK(extensions_are_ready(&all));
	extension_enter(two, EXTENSION_RUNNING);
	CHECK(!extensions_are_ready(&all));
}

static void test_processes_count_until_they_have_ended(void)
{
	all = (struct extensions){};
	(void)add("internal", false);
	CHECK(!extensions_have_processes(&all));
	struct extension *one = add("one", true);
	CHECK(extensions_have_processes(&all));
	one->is_gone = true;
	CHECK(!extensions_have_processes(&all));
}

static void test_only_what_the_table_says_may_follow(void)
{
	static const char *const allowed[EXTENSION_STATES] = {
		[EXTENSION_STARTED] = "Registered LaunchError ",
		[EXTENSION_REGISTERED] = "Ready InitError ExitError ",
		[EXTENSION_READY] = "Running ExitError ",
		[EXTENSION_RUNNING] = "Ready ExitError ",
		[EXTENSION_INIT_ERROR] = "InitError ",
		[EXTENSION_EXIT_ERROR] = "ExitError ",
		[EXTENSION_LAUNCH_ERROR] = "",
	};

	for (unsigned from = 0; from < EXTENSION_STATES; from++) {
		struct extension one = { .state = from };
		char got[256] = "";
		for (unsigned to = 0; to < EXTENSION_STATES; to++)
			if (extension_may(&one, to)) {
				strncat(got, extension_state_name(to), 32);
				strncat(got, " ", 2);
			}
		CHECK_STR(str_of(got), str_of(allowed[from]));
	}
}

static void test_one_may_ask_again_when_its_question_was_lost(void)
{
	struct extension one = { .state = EXTENSION_READY, .next = (void *)&one };

	CHECK(!extension_may_ask(&one));
	one.next = NULL;
	CHECK(extension_may_ask(&one));
	one.state = EXTENSION_STARTED;
	CHECK(!extension_may_ask(&one));
}

static void test_the_first_error_counts_up_to_what_cannot_be_printed(void)
{
	struct extension one = {};
	char text[200];

	extension_set_error(&one, S("Extension.NoConfig\tState: Ready"));
	CHECK_STR(str_of(one.error_type), S("Extension.NoConfig"));
	extension_set_error(&one, S("Extension.Other"));
	CHECK_STR(str_of(one.error_type), S("Extension.NoConfig"));
	memset(text, 'x', sizeof(text));
	one = (struct extension){};
	extension_set_error(&one, (str){ text, sizeof(text) });
	CHECK(strlen(one.error_type) == ERROR_TYPE_MAX - 1);
}

static void test_internal_ones_are_not_told_of_the_shutdown(void)
{
	CHECK(extension_event_of(S("INVOKE"), false) == EXTENSION_INVOKE);
	CHECK(extension_event_of(S("SHUTDOWN"), true) == EXTENSION_SHUTDOWN);
	CHECK(extension_event_of(S("SHUTDOWN"), false) == 0);
	CHECK(extension_event_of(S("invoke"), true) == 0);
}

TESTS(TEST(test_there_are_at_most_ten), TEST(test_a_name_has_the_length_of_a_files),
	TEST(test_an_id_is_known_only_of_one_that_has_registered),
	TEST(test_all_are_ready_when_each_has_asked),
	TEST(test_processes_count_until_they_have_ended),
	TEST(test_only_what_the_table_says_may_follow),
	TEST(test_one_may_ask_again_when_its_question_was_lost),
	TEST(test_the_first_error_counts_up_to_what_cannot_be_printed),
	TEST(test_internal_ones_are_not_told_of_the_shutdown))
