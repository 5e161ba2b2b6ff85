#include "base/err.h"

#include "base/test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static char logged[8192];

/* What err_log() writes. */
static str log_of(int fault)
{
	int kept = dup(STDERR_FILENO);
	int fd = memfd_create("logged", MFD_CLOEXEC);

	(void)fflush(stderr);
	if (kept < 0 || fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		abort();
	err_log(fault, "open the door");
	(void)dup2(kept, STDERR_FILENO);
	ssize_t len = pread(fd, logged, sizeof(logged), 0);
	(void)close(kept);
	(void)close(fd);
	if (len < 0)
		abort();
	return (str){ logged, (size_t)len };
}

static int bottom(int fault)
{
	return fault ? err_raise(fault) : 7;
}

static int middle(int fault)
{
	return err_pass(bottom(fault));
}

static int top(int fault)
{
	return err_pass(middle(fault));
}

static void test_answers_pass_untouched(void)
{
	CHECK(top(0) == 7);
	CHECK(err_pass(0) == 0);
}

static void test_the_line_tells_the_whole_path(void)
{
	CHECK(top(-ENOENT) == -ENOENT);
	str line = log_of(-ENOENT);
	CHECK(str_find_str(line, S(" error fault what=\"open the door\" error=ENOENT trace=\"")) >
		0);
	ptrdiff_t first = str_find_str(line, S("base/err_test.c:"));
	ptrdiff_t at_bottom = str_find_str(line, S(" bottom < "));
	ptrdiff_t at_middle = str_find_str(line, S(" middle < "));
	ptrdiff_t at_top = str_find_str(line, S(" top\""));
	CHECK(first > 0 && first < at_bottom && at_bottom < at_middle && at_middle < at_top);
}

static void test_a_new_fault_forgets_the_old_one(void)
{
	CHECK(top(-ENOENT) == -ENOENT);
	CHECK(err_raise(-EPERM) == -EPERM);
	str line = log_of(-EPERM);
	CHECK(str_find_str(line, S("bottom")) < 0);
	CHECK(str_find_str(line, S("test_a_new_fault_forgets_the_old_one\"")) > 0);
}

static void test_a_fault_nobody_raised_does_not_borrow_a_trace(void)
{
	CHECK(top(-ENOENT) == -ENOENT);
	CHECK(err_pass(-EIO) == -EIO);
	str line = log_of(-EIO);
	CHECK(str_find_str(line, S("bottom")) < 0 && str_find_str(line, S("error=EIO")) > 0);
	CHECK(top(-ENOENT) == -ENOENT);
	CHECK(str_find_str(log_of(-EBADF), S("bottom")) < 0);
}

static void test_a_fault_is_logged_with_its_trace_once(void)
{
	CHECK(top(-ENOENT) == -ENOENT);
	CHECK(str_find_str(log_of(-ENOENT), S("bottom")) > 0);
	CHECK(str_find_str(log_of(-ENOENT), S("bottom")) < 0);
}

static void test_a_deep_path_keeps_its_cause(void)
{
	int r = bottom(-ENOMEM);

	for (int i = 0; i < 1000; i++)
		r = err_pass(r);
	str line = log_of(r);
	CHECK(str_find_str(line, S("bottom")) > 0 && line.len < 2048);
}

TESTS(TEST(test_answers_pass_untouched), TEST(test_the_line_tells_the_whole_path),
	TEST(test_a_new_fault_forgets_the_old_one),
	TEST(test_a_fault_nobody_raised_does_not_borrow_a_trace),
	TEST(test_a_fault_is_logged_with_its_trace_once), TEST(test_a_deep_path_keeps_its_cause))
