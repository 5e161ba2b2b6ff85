#include "os/host.h"

#include "base/attr.h"
#include "base/test.h"

#include <unistd.h>

static void test_there_is_memory_and_no_more_than_the_machine_has(void)
{
	uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

	CHECK(host_memory_bytes() >= 16 * MIB);
	CHECK(host_memory_bytes() <= machine);
}

static void test_there_is_a_processor_and_no_more_than_the_machine_has(void)
{
	CHECK(host_cpus() >= 1);
	CHECK(host_cpus() <= (unsigned)sysconf(_SC_NPROCESSORS_CONF));
}

static void test_who_looks_is_running(void)
{
	int fd = host_runnable_open();

	CHECK(fd >= 0);
	CHECK(host_runnable(fd) >= 1);
	CHECK(host_runnable(fd) >= 1); /* from the beginning again */
	CHECK(host_runnable(-1) == 0);
	close(fd);
}

TESTS(TEST(test_there_is_memory_and_no_more_than_the_machine_has),
	TEST(test_there_is_a_processor_and_no_more_than_the_machine_has),
	TEST(test_who_looks_is_running))
