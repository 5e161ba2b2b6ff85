#include "os/host.h"

#include "base/attr.h"
#include "base/str.h"
#include "os/fd.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/* The limit of the cgroup that is the root of what we see: a container's. "max" is no number. */
static uint64_t host_limit(const char *path)
{
	char text[32];
	size_t len;
	uint64_t bytes;
	scoped_fd fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fd_read_all(fd, text, sizeof(text), &len) < 0)
		return UINT64_MAX;
	if (str_to_u64(str_trim((str){ text, len }), UINT64_MAX, &bytes) < 0)
		return UINT64_MAX;
	return bytes;
}

uint64_t host_memory_bytes(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t bytes = (uint64_t)MAX(pages, 0) * (uint64_t)MAX(page, 0);

	bytes = MIN(bytes, host_limit("/sys/fs/cgroup/memory.max"));
	return MIN(bytes, host_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
}

unsigned host_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return MAX((unsigned)CPU_COUNT(&set), 1U);
}

int host_runnable_open(void)
{
	return open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
}

/* "0.20 0.18 0.12 1/80 11206": the number before the slash. */
static unsigned runnable_of(str text)
{
	uint64_t count;
	str part;

	for (int i = 0; i < 3; i++) {
		if (!str_cut(&text, ' ', &part))
			return 0;
	}
	if (!str_cut(&text, '/', &part) || str_to_u64(part, UINT32_MAX, &count) < 0)
		return 0;
	return (unsigned)count;
}

unsigned host_runnable(int fd)
{
	char text[128];
	ssize_t len = fd < 0 ? -1 : pread(fd, text, sizeof(text), 0);

	return len < 0 ? 0 : runnable_of((str){ text, (size_t)len });
}
