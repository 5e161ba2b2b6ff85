#include "os/trim.h"

#include "base/str.h"
#include "base/test.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int changed = 1;
static const char text[] = "as it was";

/* The code of a library that the test loads and does not run. */
struct code {
	const char *at;
	size_t len;
};

static int find_code(struct dl_phdr_info *info, size_t size, void *context)
{
	struct code *code = context;

	(void)size;
	if (!strstr(info->dlpi_name, "libexpat"))
		return 0;
	for (size_t i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X))
			*code = (struct code){ (const char *)(info->dlpi_addr +
						       info->dlpi_phdr[i].p_vaddr),
				info->dlpi_phdr[i].p_memsz };
	return 1;
}

static unsigned pages_there(struct code code)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned there = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	for (size_t i = 0; i < code.len / page; i++) {
		uint64_t entry = 0;
		off_t at = (off_t)(((uintptr_t)code.at / page + i) * sizeof(entry));
		CHECK(pread(fd, &entry, sizeof(entry), at) == sizeof(entry));
		there += entry >> 63; /* proc_pid_pagemap(5): "page is present" */
	}
	close(fd);
	return there;
}

static unsigned sum_of(struct code code)
{
	unsigned sum = 0;

	for (size_t i = 0; i < code.len; i++)
		sum = sum * 31 + (unsigned char)code.at[i];
	return sum;
}

static void test_code_that_is_not_in_use_is_given_back_and_comes_again(void)
{
	struct code code = {};

	CHECK(dlopen("libexpat.so.1", RTLD_NOW | RTLD_LOCAL));
	(void)dl_iterate_phdr(find_code, &code);
	CHECK(code.len > 16'384);
	unsigned sum = sum_of(code), there = pages_there(code);
	CHECK(there > 0 && there == code.len / (size_t)sysconf(_SC_PAGESIZE));
	memory_trim();
	CHECK(pages_there(code) == 0);
	CHECK(sum_of(code) == sum && pages_there(code) == there);
}

static void test_what_was_written_stays(void)
{
	changed = 7;
	memory_trim();
	CHECK(changed == 7 && str_eq(str_of(text), S("as it was")));
	CHECK(snprintf(NULL, 0, "%d", changed) == 1);
}

TESTS(TEST(test_code_that_is_not_in_use_is_given_back_and_comes_again),
	TEST(test_what_was_written_stays))
