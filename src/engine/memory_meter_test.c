#include "engine/memory_meter.h"

#include "base/attr.h"
#include "base/test.h"
#include "os/fd.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LIMIT = 1000 };

static struct memory_meter meter;

static void put(int fd, const char *text)
{
	int r = ftruncate(fd, 0);
	assert(r == 0);
	ssize_t n = pwrite(fd, text, strlen(text), 0);
	assert(n == (ssize_t)strlen(text));
	(void)r;
	(void)n;
}

static void start(const char *peak, const char *stat)
{
	int fds[2] = { memfd_create("peak", MFD_CLOEXEC), memfd_create("stat", MFD_CLOEXEC) };

	assert(fds[0] >= 0 && fds[1] >= 0);
	memory_meter_init(&meter);
	memory_meter_open(&meter, fds[0], fds[1], LIMIT);
	put(fds[0], peak);
	put(fds[1], stat);
}

static void test_below_the_limit_the_peak_is_all_there_is_to_know(void)
{
	start("999\n", "anon 5000\n");
	CHECK(memory_meter_look(&meter) && meter.peak == 999);
	put(meter.peak_fd, "12\n");
	CHECK(memory_meter_look(&meter) && meter.peak == 999);
	memory_meter_close(&meter);
}

static void test_files_are_not_held_against_the_limit(void)
{
	start("4000\n", "anon 600\nfile 3400\nkernel 300\nshmem 3300\nslab_reclaimable 100\n");
	CHECK(memory_meter_look(&meter) && meter.peak == 800 && meter.total == 4000);
	put(meter.stat_fd, "cache 3400\nrss 1000\nrss_huge 5\nshmem 3300\n"); /* cgroup v1 */
	CHECK(memory_meter_look(&meter) && meter.peak == 1000);
	memory_meter_close(&meter);
}

static void test_more_than_the_limit_beside_files_is_too_much(void)
{
	start("4000\n", "anon 1001\nfile 2999\n");
	CHECK(!memory_meter_look(&meter) && meter.peak == 1001);
	put(meter.stat_fd, "anon 900\nkernel 200\nslab_reclaimable 99\n");
	CHECK(!memory_meter_look(&meter));
	put(meter.stat_fd, "rss 1001\n");
	CHECK(!memory_meter_look(&meter));
	memory_meter_close(&meter);
}

static void test_what_cannot_be_read_changes_nothing(void)
{
	static const char *const peaks[] = { "", "max\n", "12", "5000 \n" };

	for (size_t i = 0; i < ARRAY_LEN(peaks); i++) {
		start(peaks[i], "anon 2000\n");
		CHECK(memory_meter_look(&meter) && !meter.peak);
		memory_meter_close(&meter);
	}
	start("5000\n", "nothing 1\nanon x\n\n \n");
	CHECK(memory_meter_look(&meter) && !meter.peak);
	memory_meter_close(&meter);
	CHECK(memory_meter_look(&meter));
}

static void test_the_end(void)
{
	start("500\n", "");
	CHECK(memory_meter_look(&meter));
	memory_meter_end(&meter, 700, false);
	CHECK(meter.peak == 700);
	memory_meter_end(&meter, 3000, false); /* who knows what that was */
	CHECK(meter.peak == 700);
	memory_meter_end(&meter, 3000, true);
	CHECK(meter.peak == LIMIT);
	memory_meter_close(&meter);
}

TESTS(TEST(test_below_the_limit_the_peak_is_all_there_is_to_know),
	TEST(test_files_are_not_held_against_the_limit),
	TEST(test_more_than_the_limit_beside_files_is_too_much),
	TEST(test_what_cannot_be_read_changes_nothing), TEST(test_the_end))
