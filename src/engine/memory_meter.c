#include "engine/memory_meter.h"

#include "base/attr.h"
#include "base/str.h"
#include "os/fd.h"

#include <unistd.h>

enum { STAT_SIZE = 4096 /* both versions' files are about 2 KB */ };

void memory_meter_init(struct memory_meter *meter)
{
	*meter = (struct memory_meter){ .peak_fd = -1, .stat_fd = -1 };
}

void memory_meter_open(struct memory_meter *meter, int peak_fd, int stat_fd, uint64_t limit)
{
	memory_meter_close(meter);
	meter->peak_fd = peak_fd;
	meter->stat_fd = stat_fd;
	meter->limit = limit;
}

void memory_meter_close(struct memory_meter *meter)
{
	fd_close(&meter->peak_fd);
	fd_close(&meter->stat_fd);
}

/* A file's text from its beginning; empty when the cgroup is gone. */
static str meter_read(int fd, char *to, size_t size)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, to, size, 0);

	return (str){ to, n > 0 ? (size_t)n : 0 };
}

/*
 * Anonymous memory, and what the kernel holds for the function and would not give up: `anon`, `kernel`
 * and `slab_reclaimable` of cgroup v2, `rss` of v1, which does not tell the kernel's part.
 */
static bool meter_read_own(const struct memory_meter *meter, uint64_t *ret_bytes)
{
	char text[STAT_SIZE];
	str rest = meter_read(meter->stat_fd, text, sizeof(text)), line, key;
	uint64_t anon = 0, kernel = 0, reclaimable = 0, value;
	bool is_known = false;

	while (str_next(&rest, '\n', &line)) {
		if (!str_cut(&line, ' ', &key) || str_to_u64(line, UINT64_MAX, &value) < 0)
			continue;
		if (str_eq(key, S("anon")) || str_eq(key, S("rss"))) {
			anon = value;
			is_known = true;
		} else if (str_eq(key, S("kernel"))) {
			kernel = value;
		} else if (str_eq(key, S("slab_reclaimable"))) {
			reclaimable = value;
		}
	}
	*ret_bytes = anon + kernel - MIN(kernel, reclaimable);
	return is_known;
}

bool memory_meter_look(struct memory_meter *meter)
{
	char text[32];
	str number = meter_read(meter->peak_fd, text, sizeof(text));
	uint64_t peak, own;

	if (!str_ends(number, S("\n")) ||
		str_to_u64(str_slice(number, 0, number.len - 1), UINT64_MAX, &peak) < 0)
		return true;
	meter->total = MAX(meter->total, peak);
	if (peak <= meter->limit) {
		meter->peak = MAX(meter->peak, peak);
		return true;
	}
	if (!meter_read_own(meter, &own))
		return true;
	meter->peak = MAX(meter->peak, own);
	return own <= meter->limit;
}

void memory_meter_end(struct memory_meter *meter, uint64_t peak, bool is_oom)
{
	meter->total = MAX(meter->total, peak);
	if (is_oom)
		meter->peak = meter->limit;
	else if (peak <= meter->limit) /* above it files may be meant */
		meter->peak = MAX(meter->peak, peak);
}
