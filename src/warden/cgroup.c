/*
 * Two drivers behind one table: v2, where one directory does everything, and hybrid, where
 * memory, pids and cpu are three more trees of cgroup v1. Killing and freezing always
 * happen in the v2 tree, which needs no controller for that; so a host needs cgroup v2
 * mounted somewhere, as every one with systemd has, even if empty.
 *
 * Leaves live at a place that a later start finds again without having been told: the base
 * directory is named after the data directory.
 */
#include "warden/cgroup.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "os/clock.h"
#include "os/fd.h"
#include "warden/tree.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MB_PER_CPU = 1769, CPU_PERIOD_US = 100'000, SWEEP_MS_MAX = 5000 };

struct cgroup_driver {
	int (*limit)(
		const struct cgroups *cg, const int dirs[], const struct cgroup_limits *limits);
	enum cgroup_tree memory;     /* the tree that has the memory files */
	const char *memory_peaks[3]; /* the first that exists */
	const char *oom_file;	     /* has a line `oom_kill N` */
};

static int cgroup_put(const struct cgroups *cg, int dir, const char *file, const char *text)
{
	scoped_fd fd = openat(dir, file, cg->write_flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno; /* raised by who knows whether it matters */
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int cgroup_put_u64(const struct cgroups *cg, int dir, const char *file, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	int r = cgroup_put(cg, dir, file, text);
	return r < 0 ? err_raise(r) : 0;
}

/* A file that older kernels or kernels without swap do not have. */
static int cgroup_put_if_there(
	const struct cgroups *cg, int dir, const char *file, const char *text)
{
	int r = cgroup_put(cg, dir, file, text);
	return r == -ENOENT || r == 0 ? 0 : err_raise(r);
}

/* "1,769 MB of memory is the equivalent of one vCPU" */
static uint64_t cpu_quota_us(const struct cgroup_limits *limits)
{
	uint64_t us = (uint64_t)limits->cpu_mb * CPU_PERIOD_US / MB_PER_CPU;
	return MAX(us, 1000ULL); /* the kernel's least */
}

/* ---- v2 ---- */

static int v2_limit_cpu(const struct cgroups *cg, int dir, const struct cgroup_limits *limits)
{
	if (limits->is_cpu_strict) {
		char text[48];
		(void)snprintf(text, sizeof(text), "%llu %d",
			(unsigned long long)cpu_quota_us(limits), CPU_PERIOD_US);
		int r = cgroup_put(cg, dir, "cpu.max", text);
		return r < 0 ? err_raise(r) : 0;
	}
	uint64_t weight = (uint64_t)limits->cpu_mb * 100 / MB_PER_CPU; /* 100 is one CPU's worth */
	return err_pass(cgroup_put_u64(cg, dir, "cpu.weight", MIN(MAX(weight, 1ULL), 10'000ULL)));
}

static int v2_limit(const struct cgroups *cg, const int dirs[], const struct cgroup_limits *limits)
{
	int dir = dirs[CGROUP_UNIFIED];

	int r = cgroup_put_u64(cg, dir, "memory.max", limits->memory_bytes);
	if (r == 0)
		r = cgroup_put_if_there(cg, dir, "memory.swap.max", "0");
	/* A runtime that lost one process to the OOM killer is no runtime: end all of it. */
	if (r == 0)
		r = cgroup_put_if_there(cg, dir, "memory.oom.group", "1");
	if (r == 0)
		r = cgroup_put_u64(cg, dir, "pids.max", limits->pids_max);
	if (r == 0)
		r = v2_limit_cpu(cg, dir, limits);
	return err_pass(r);
}

const struct cgroup_driver cgroup_v2 = {
	.limit = v2_limit,
	.memory = CGROUP_UNIFIED,
	.memory_peaks = { "memory.peak", "memory.current" }, /* the peak came with Linux 5.19 */
	.oom_file = "memory.events",
};

/* ---- hybrid ---- */

static int v1_limit_cpu(const struct cgroups *cg, int dir, const struct cgroup_limits *limits)
{
	if (limits->is_cpu_strict) {
		int r = cgroup_put_u64(cg, dir, "cpu.cfs_period_us", CPU_PERIOD_US);
		if (r == 0)
			r = cgroup_put_u64(cg, dir, "cpu.cfs_quota_us", cpu_quota_us(limits));
		return err_pass(r);
	}
	uint64_t shares = (uint64_t)limits->cpu_mb * 1024 /
		MB_PER_CPU; /* 1024 is one CPU's worth */
	return err_pass(cgroup_put_u64(cg, dir, "cpu.shares", MAX(shares, 2ULL)));
}

static int hybrid_limit(
	const struct cgroups *cg, const int dirs[], const struct cgroup_limits *limits)
{
	int memory = dirs[CGROUP_MEMORY];
	char bytes[24];

	(void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)limits->memory_bytes);
	int r = cgroup_put_u64(cg, memory, "memory.limit_in_bytes", limits->memory_bytes);
	/* Memory and swap together may be no more: no swap. The order of the two is the kernel's. */
	if (r == 0)
		r = cgroup_put_if_there(cg, memory, "memory.memsw.limit_in_bytes", bytes);
	if (r == 0)
		r = cgroup_put_u64(cg, dirs[CGROUP_PIDS], "pids.max", limits->pids_max);
	if (r == 0)
		r = v1_limit_cpu(cg, dirs[CGROUP_CPU], limits);
	return err_pass(r);
}

const struct cgroup_driver cgroup_hybrid = {
	.limit = hybrid_limit,
	.memory = CGROUP_MEMORY,
	.memory_peaks = { "memory.max_usage_in_bytes" },
	.oom_file = "memory.oom_control",
};

/* ---- both ---- */

enum { DIR_OPEN = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static int cgroup_make_dirs(
	const struct cgroups *cg, const char *name, int dirs[static CGROUP_TREES])
{
	for (int tree = 0; tree < CGROUP_TREES; tree++) {
		if (cg->bases[tree] < 0)
			continue;
		if (mkdirat(cg->bases[tree], name, 0755) < 0)
			return err_raise(-errno);
		dirs[tree] = openat(cg->bases[tree], name, DIR_OPEN);
		if (dirs[tree] < 0)
			return err_raise(-errno);
	}
	return 0;
}

static int cgroup_open_leaf(
	const struct cgroups *cg, const int dirs[static CGROUP_TREES], struct cgroup_leaf *leaf)
{
	for (int tree = CGROUP_MEMORY; tree < CGROUP_TREES; tree++) {
		if (dirs[tree] < 0)
			continue;
		int fd = openat(dirs[tree], "cgroup.procs", cg->write_flags | O_CLOEXEC, 0600);
		if (fd < 0)
			return err_raise(-errno);
		leaf->joins[tree - CGROUP_MEMORY] = fd;
	}
	for (const char *const *file = cg->driver->memory_peaks; *file && leaf->memory_peak < 0;
		file++)
		leaf->memory_peak = openat(dirs[cg->driver->memory], *file, O_RDONLY | O_CLOEXEC);
	return 0;
}

int cgroup_make(const struct cgroups *cg, const char *name, const struct cgroup_limits *limits,
	struct cgroup_leaf *ret_leaf)
{
	int dirs[CGROUP_TREES] = { -1, -1, -1, -1 };
	struct cgroup_leaf leaf = { -1, { -1, -1, -1 }, -1 };

	int r = cgroup_make_dirs(cg, name, dirs);
	if (r == 0)
		r = cg->driver->limit(cg, dirs, limits);
	if (r == 0)
		r = cgroup_open_leaf(cg, dirs, &leaf);
	for (int tree = CGROUP_MEMORY; tree < CGROUP_TREES; tree++)
		fd_close(&dirs[tree]);
	leaf.unified = dirs[CGROUP_UNIFIED];
	if (r < 0) {
		cgroup_leaf_close(&leaf);
		(void)cgroup_remove(cg, name); /* nobody was ever in it */
		return err_pass(r);
	}
	*ret_leaf = leaf;
	return 0;
}

int cgroup_make_bare(const struct cgroups *cg, const char *name, int *ret_dir)
{
	if (mkdirat(cg->bases[CGROUP_UNIFIED], name, 0755) < 0 && errno != EEXIST)
		return err_raise(-errno);
	int dir = openat(cg->bases[CGROUP_UNIFIED], name, DIR_OPEN);
	if (dir < 0)
		return err_raise(-errno);
	*ret_dir = dir;
	return 0;
}

void cgroup_leaf_close(struct cgroup_leaf *leaf)
{
	fd_close(&leaf->unified);
	for (int i = 0; i < CGROUP_JOINS_MAX; i++)
		fd_close(&leaf->joins[i]);
	fd_close(&leaf->memory_peak);
}

static int cgroup_put_in(
	const struct cgroups *cg, const char *name, const char *file, const char *text)
{
	scoped_fd dir = openat(cg->bases[CGROUP_UNIFIED], name, DIR_OPEN);
	if (dir < 0)
		return -errno;
	return cgroup_put(cg, dir, file, text);
}

void cgroup_kill(const struct cgroups *cg, const char *name)
{
	int r = cgroup_put_in(cg, name, "cgroup.kill", "1");
	if (r < 0 && r != -ENOENT && r != -ENODEV)
		err_log(err_raise(r), "killing a cgroup");
}

int cgroup_freeze(const struct cgroups *cg, const char *name, bool is_frozen)
{
	int r = cgroup_put_in(cg, name, "cgroup.freeze", is_frozen ? "1" : "0");
	return r < 0 ? err_raise(r) : 0;
}

/* The number after `key ` at the start of a line of a file: `populated 0`, `oom_kill 3`. */
static uint64_t cgroup_read_key(int fd, str key)
{
	char text[4096];
	size_t len;
	str rest, line;
	uint64_t value;

	if (lseek(fd, 0, SEEK_SET) < 0 || fd_read_all(fd, text, sizeof(text), &len) < 0)
		return 0;
	rest = (str){ text, len };
	while (str_next(&rest, '\n', &line)) {
		str name;
		if (!str_cut(&line, ' ', &name) || !str_eq(name, key))
			continue;
		return str_to_u64(line, UINT64_MAX, &value) == 0 ? value : 0;
	}
	return 0;
}

bool cgroup_was_oom(const struct cgroups *cg, const char *name)
{
	scoped_fd dir = openat(cg->bases[cg->driver->memory], name, DIR_OPEN);
	if (dir < 0)
		return false;
	scoped_fd file = openat(dir, cg->driver->oom_file, O_RDONLY | O_CLOEXEC);
	return file >= 0 && cgroup_read_key(file, S("oom_kill")) > 0;
}

uint64_t cgroup_read_u64(int fd)
{
	char text[32];
	size_t len;
	uint64_t value;

	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0 || fd_read_all(fd, text, sizeof(text), &len) < 0)
		return 0;
	if (len && text[len - 1] == '\n')
		len--;
	return str_to_u64((str){ text, len }, UINT64_MAX, &value) == 0 ? value : 0;
}

int cgroup_remove(const struct cgroups *cg, const char *name)
{
	for (int tree = 0; tree < CGROUP_TREES; tree++) {
		if (cg->bases[tree] < 0)
			continue;
		if (unlinkat(cg->bases[tree], name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return errno == EBUSY ? -EBUSY : err_raise(-errno);
	}
	return 0;
}

/* Wait until nothing lives below `dir`: the kernel announces it (POLLPRI) in cgroup.events. */
static void cgroup_wait_empty(int dir, int timeout_ms)
{
	scoped_fd events = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	uint64_t until = clock_mono_ms() + (uint64_t)timeout_ms;

	while (events >= 0 && cgroup_read_key(events, S("populated")) != 0) {
		struct pollfd changed = { .fd = events, .events = POLLPRI };
		uint64_t now = clock_mono_ms();
		if (now >= until || (poll(&changed, 1, (int)(until - now)) < 0 && errno != EINTR))
			break;
	}
}

static int sweep_leaf([[maybe_unused]] void *context, int dir, const char *name, unsigned char type)
{
	if (type != DT_DIR)
		return 0;
	/* The last of its processes may be half-way out: the kernel says EBUSY for some µs more. */
	for (int left = 1000; left > 0; left--) {
		if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno != EBUSY)
			return 0;
		(void)poll(NULL, 0, 1);
	}
	return 0;
}

static void sweep_tree(const struct cgroups *cg, enum cgroup_tree tree, bool is_base_too)
{
	scoped_fd base = openat(cg->parents[tree], cg->base, DIR_OPEN);
	if (base < 0)
		return;
	if (tree == CGROUP_UNIFIED) {
		(void)cgroup_put(cg, base, "cgroup.kill", "1");
		cgroup_wait_empty(base, SWEEP_MS_MAX);
	}
	int r = tree_each(base, sweep_leaf, NULL);
	if (r < 0)
		err_log(r, "sweeping cgroups");
	if (is_base_too)
		(void)sweep_leaf(NULL, cg->parents[tree], cg->base, DT_DIR);
}

void cgroups_sweep(const struct cgroups *cg, bool is_base_too)
{
	/* The unified tree first: it kills, and then the others are empty too. */
	for (int tree = 0; tree < CGROUP_TREES; tree++)
		if (cg->parents[tree] >= 0)
			sweep_tree(cg, (enum cgroup_tree)tree, is_base_too);
}
