/*
 * Two drivers, each a table of files to write: v2, where one directory does everything, and
 * hybrid, where memory, pids and cpu are three more trees of cgroup v1. Killing and freezing
 * always happen in the v2 tree, which needs no controller for that; so a host needs cgroup
 * v2 mounted somewhere, as every one with systemd has, even if empty.
 */
#include "os/cgroup.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "os/clock.h"
#include "os/fd.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MB_PER_CPU = 1769, /* "1,769 MB of memory is the equivalent of one vCPU" */
	CPU_PERIOD_US = 100'000,
	CPU_QUOTA_US_MIN = 1000, /* the kernel's */
	SWEEP_MS_MAX = 5000,
	/*
	 * Counted to a leaf in which nothing lives any more: what each CPU has charged ahead (64 pages),
	 * which the next one there uses up, and what the kernel frees a moment later. It is less than any
	 * function needs, and than the unit in which they are told what they used.
	 */
	CLEAN_BYTES_MAX = 1 << 20,
	DIR_OPEN = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
};

/* What the files want, as text, computed once for a leaf. */
enum cgroup_value {
	ZERO,
	ONE,
	NONE,
	MEMORY,
	PIDS,
	WEIGHT,
	SHARES,
	PERIOD,
	QUOTA,
	QUOTA_PERIOD,
	VALUES
};

struct cgroup_texts {
	char of[VALUES][48];
};

enum { STRICT = 1, WEIGHTED = 2, ALWAYS = 3, IF_THERE = 4 /* not every kernel has the file */ };

struct cgroup_row {
	enum cgroup_tree tree;
	unsigned when;
	const char *file;
	enum cgroup_value value;
};

struct cgroup_driver {
	struct cgroup_row rows[9];
	enum cgroup_tree memory;     /* the tree that has the memory files */
	const char *memory_peaks[3]; /* the first that exists */
	const char *memory_now;
	bool is_peak_by_file; /* what is written to it begins it again for this open file alone */
	const char *oom_file; /* has a line `oom_kill N` */
};

const struct cgroup_driver cgroup_v2 = {
	.rows = {
		{ CGROUP_UNIFIED, ALWAYS, "memory.max", MEMORY },
		{ CGROUP_UNIFIED, ALWAYS | IF_THERE, "memory.swap.max", ZERO },
		/* A runtime that lost one process to the OOM killer is no runtime: end all of it. */
		{ CGROUP_UNIFIED, ALWAYS | IF_THERE, "memory.oom.group", ONE },
		{ CGROUP_UNIFIED, ALWAYS, "pids.max", PIDS },
		{ CGROUP_UNIFIED, WEIGHTED, "cpu.weight", WEIGHT },
		{ CGROUP_UNIFIED, STRICT, "cpu.max", QUOTA_PERIOD },
	},
	.memory = CGROUP_UNIFIED,
	.memory_peaks = { "memory.peak", "memory.current" }, /* the peak came with Linux 5.19 */
	.memory_now = "memory.current",
	.is_peak_by_file = true,
	.oom_file = "memory.events",
};

const struct cgroup_driver cgroup_hybrid = {
	.rows = {
		/*
		 * Memory and swap together no more than memory: no swap. The kernel wants the sum to be
		 * the larger of the two at any time: it goes out of the way first.
		 */
		{ CGROUP_MEMORY, ALWAYS | IF_THERE, "memory.memsw.limit_in_bytes", NONE },
		{ CGROUP_MEMORY, ALWAYS, "memory.limit_in_bytes", MEMORY },
		{ CGROUP_MEMORY, ALWAYS | IF_THERE, "memory.memsw.limit_in_bytes", MEMORY },
		{ CGROUP_PIDS, ALWAYS, "pids.max", PIDS },
		{ CGROUP_CPU, WEIGHTED, "cpu.shares", SHARES },
		{ CGROUP_CPU, STRICT, "cpu.cfs_period_us", PERIOD },
		{ CGROUP_CPU, STRICT, "cpu.cfs_quota_us", QUOTA },
	},
	.memory = CGROUP_MEMORY,
	.memory_peaks = { "memory.max_usage_in_bytes" },
	.memory_now = "memory.usage_in_bytes",
	.oom_file = "memory.oom_control",
};

static void cgroup_write_texts(const struct cgroup_limits *limits, struct cgroup_texts *texts)
{
	uint64_t mb = limits->cpu_mb;
	uint64_t quota = MAX(mb * CPU_PERIOD_US / MB_PER_CPU, (uint64_t)CPU_QUOTA_US_MIN);
	const uint64_t numbers[VALUES] = {
		[ONE] = 1,
		[MEMORY] = limits->memory_bytes,
		[PIDS] = limits->pids_max,
		[WEIGHT] = MIN(
			MAX(mb * 100 / MB_PER_CPU, 1ULL), 10'000ULL), /* 100: one CPU's worth */
		[SHARES] = MAX(mb * 1024 / MB_PER_CPU, 2ULL),	      /* 1024: the same */
		[PERIOD] = CPU_PERIOD_US,
		[QUOTA] = quota,
	};

	for (int value = 0; value < VALUES; value++)
		(void)snprintf(texts->of[value], sizeof(texts->of[value]), "%llu",
			(unsigned long long)numbers[value]);
	(void)snprintf(texts->of[QUOTA_PERIOD], sizeof(texts->of[QUOTA_PERIOD]), "%llu %d",
		(unsigned long long)quota, CPU_PERIOD_US);
	(void)snprintf(texts->of[NONE], sizeof(texts->of[NONE]), "-1");
}

/* A file of a leaf: a descriptor (the caller's) or -errno, raised by who knows whether it matters. */
static int cgroup_open(const struct cgroups *cg, enum cgroup_tree tree, const char *name,
	const char *file, int flags)
{
	char path[CGROUP_NAME_MAX + 64];

	int len = snprintf(path, sizeof(path), "%s/%s", name, file);
	assert(len > 0 && (size_t)len < sizeof(path));
	int fd = openat(cg->bases[tree], path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

static int cgroup_put(const struct cgroups *cg, enum cgroup_tree tree, const char *name,
	const char *file, const char *text)
{
	scoped_fd fd = cgroup_open(cg, tree, name, file, cg->write_flags);
	if (fd < 0)
		return fd;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int cgroup_limit(const struct cgroups *cg, const char *name, const struct cgroup_limits *limits)
{
	struct cgroup_texts texts;

	cgroup_write_texts(limits, &texts);
	for (const struct cgroup_row *row = cg->driver->rows; row->file; row++) {
		if (!(row->when & (limits->is_cpu_strict ? STRICT : WEIGHTED)))
			continue;
		int r = cgroup_put(cg, row->tree, name, row->file, texts.of[row->value]);
		if (r < 0 && !(r == -ENOENT && (row->when & IF_THERE)))
			return err_raise(r);
	}
	return 0;
}

/* Directories in all trees, or in the v2 tree alone. */
static int cgroup_make_dirs(const struct cgroups *cg, const char *name, int trees)
{
	for (int tree = 0; tree < trees; tree++)
		if (cg->bases[tree] >= 0 && mkdirat(cg->bases[tree], name, 0755) < 0)
			return err_raise(-errno);
	return 0;
}

static int cgroup_open_unified(const struct cgroups *cg, const char *name, struct cgroup_leaf *leaf)
{
	leaf->unified = openat(cg->bases[CGROUP_UNIFIED], name, DIR_OPEN);
	return leaf->unified < 0 ? err_raise(-errno) : 0;
}

static int cgroup_open_leaf(const struct cgroups *cg, const char *name, struct cgroup_leaf *leaf)
{
	const enum cgroup_tree memory = cg->driver->memory;

	for (int tree = CGROUP_MEMORY; tree < CGROUP_TREES; tree++) {
		if (cg->bases[tree] < 0)
			continue;
		/*
		 * `tasks`: a single thread that moves itself spares the kernel the lock over all
		 * threads of the machine that moving whole processes takes.
		 */
		int fd = cgroup_open(cg, (enum cgroup_tree)tree, name, "tasks", cg->write_flags);
		if (fd < 0)
			return err_raise(fd);
		leaf->joins[tree] = fd;
	}
	for (const char *const *file = cg->driver->memory_peaks; *file && leaf->memory_peak < 0;
		file++)
		leaf->memory_peak = cgroup_open(cg, memory, name, *file, O_RDONLY);
	leaf->memory_stat = cgroup_open(cg, memory, name, "memory.stat", O_RDONLY);
	return 0;
}

/* The peak of a leaf that was used before. By file: who has the file can begin it again, too. */
static int cgroup_open_peak_again(const struct cgroups *cg, const char *name, int *ret_peak)
{
	const struct cgroup_driver *driver = cg->driver;
	const int flags = driver->is_peak_by_file ? O_RDWR : O_WRONLY;

	scoped_fd peak = cgroup_open(cg, driver->memory, name, driver->memory_peaks[0], flags);
	if (peak < 0)
		return err_raise(peak);
	if (write(peak, "0", 1) < 0)
		return err_raise(-errno);
	if (driver->is_peak_by_file)
		*ret_peak = fd_take(&peak);
	return 0;
}

int cgroup_make(
	const struct cgroups *cg, const char *name, bool has_limits, struct cgroup_leaf *ret_leaf)
{
	struct cgroup_leaf leaf = { -1, { -1, -1, -1, -1 }, -1, -1 };

	int r = cgroup_make_dirs(cg, name, has_limits ? CGROUP_TREES : CGROUP_MEMORY);
	if (r == 0)
		r = cgroup_open_unified(cg, name, &leaf);
	if (r == 0 && has_limits)
		r = cgroup_open_leaf(cg, name, &leaf);
	if (r < 0) {
		cgroup_leaf_close(&leaf);
		(void)cgroup_remove(cg, name); /* nobody was ever in it */
		return err_pass(r);
	}
	*ret_leaf = leaf;
	return 0;
}

int cgroup_reopen(const struct cgroups *cg, const char *name, struct cgroup_leaf *ret_leaf)
{
	struct cgroup_leaf leaf = { -1, { -1, -1, -1, -1 }, -1, -1 };

	int r = cgroup_open_unified(cg, name, &leaf);
	if (r == 0)
		r = cgroup_open_peak_again(cg, name, &leaf.memory_peak);
	if (r == 0)
		r = cgroup_open_leaf(cg, name, &leaf);
	if (r < 0) {
		cgroup_leaf_close(&leaf);
		return err_pass(r);
	}
	*ret_leaf = leaf;
	return 0;
}

void cgroup_leaf_close(struct cgroup_leaf *leaf)
{
	fd_close(&leaf->unified);
	for (int tree = 0; tree < CGROUP_TREES; tree++)
		fd_close(&leaf->joins[tree]);
	fd_close(&leaf->memory_peak);
	fd_close(&leaf->memory_stat);
}

void cgroup_kill(const struct cgroups *cg, const char *name)
{
	int r = cgroup_put(cg, CGROUP_UNIFIED, name, "cgroup.kill", "1");
	if (r < 0 && r != -ENOENT && r != -ENODEV) /* it is gone */
		err_log(err_raise(r), "killing a cgroup");
}

int cgroup_freeze(const struct cgroups *cg, const char *name, bool is_frozen)
{
	int r = cgroup_put(cg, CGROUP_UNIFIED, name, "cgroup.freeze", is_frozen ? "1" : "0");
	return r < 0 ? err_raise(r) : 0;
}

/* The number after `key ` at the start of a line of a file: `populated 0`, `oom_kill 3`. */
static uint64_t cgroup_read_key(int fd, str key)
{
	char text[4096];
	size_t len;
	str line, name;
	uint64_t value;

	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0 || fd_read_all(fd, text, sizeof(text), &len) < 0)
		return 0;
	str rest = { text, len };
	while (str_next(&rest, '\n', &line))
		if (str_cut(&line, ' ', &name) && str_eq(name, key))
			return str_to_u64(line, UINT64_MAX, &value) == 0 ? value : 0;
	return 0;
}

bool cgroup_was_oom(const struct cgroups *cg, const char *name)
{
	scoped_fd file = cgroup_open(cg, cg->driver->memory, name, cg->driver->oom_file, O_RDONLY);
	return cgroup_read_key(file, S("oom_kill")) > 0;
}

uint64_t cgroup_read_u64(int fd)
{
	char text[32];
	size_t len;
	uint64_t value;

	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0 || fd_read_all(fd, text, sizeof(text), &len) < 0)
		return 0;
	str number = { text, len - (len && text[len - 1] == '\n') };
	return str_to_u64(number, UINT64_MAX, &value) == 0 ? value : 0;
}

int cgroup_clean(const struct cgroups *cg, const char *name)
{
	const struct cgroup_driver *driver = cg->driver;
	scoped_fd events = cgroup_open(cg, CGROUP_UNIFIED, name, "cgroup.events", O_RDONLY);
	scoped_fd now = cgroup_open(cg, driver->memory, name, driver->memory_now, O_RDONLY);
	if (events < 0 || now < 0)
		return err_raise(events < 0 ? events : now);

	if (cgroup_read_key(events, S("populated")) != 0)
		return -EBUSY;
	if (cgroup_read_u64(now) > CLEAN_BYTES_MAX)
		return CGROUP_USED;
	/* Not every kernel can begin a peak again: an attempt shows it. */
	bool is_bound = driver->is_peak_by_file &&
		cgroup_put(cg, driver->memory, name, driver->memory_peaks[0], "0") < 0;
	return is_bound ? CGROUP_USED : CGROUP_CLEAN;
}

int cgroup_remove(const struct cgroups *cg, const char *name)
{
	for (int tree = 0; tree < CGROUP_TREES; tree++)
		if (cg->bases[tree] >= 0 && unlinkat(cg->bases[tree], name, AT_REMOVEDIR) < 0 &&
			errno != ENOENT)
			return errno == EBUSY ? -EBUSY : err_raise(-errno);
	return 0;
}

/* Wait until nothing lives below `dir`: the kernel announces it (POLLPRI) in cgroup.events. */
static void cgroup_wait_empty(int dir)
{
	scoped_fd events = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	uint64_t until = clock_mono_ms() + SWEEP_MS_MAX;

	while (cgroup_read_key(events, S("populated")) != 0) {
		struct pollfd changed = { .fd = events, .events = POLLPRI };
		uint64_t now = clock_mono_ms();
		if (now >= until || (poll(&changed, 1, (int)(until - now)) < 0 && errno != EINTR))
			return;
	}
}

/* The last of its processes may be half-way out: the kernel says EBUSY for some µs more. */
static void cgroup_remove_patiently(int parent, const char *name)
{
	for (int left = 1000; left > 0; left--) {
		if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno != EBUSY)
			return;
		(void)poll(NULL, 0, 1);
	}
}

static void cgroup_sweep_tree(const struct cgroups *cg, enum cgroup_tree tree)
{
	int base = openat(cg->parents[tree], cg->base, DIR_OPEN);
	if (base < 0)
		return;
	if (tree == CGROUP_UNIFIED) {
		scoped_fd all = openat(base, "cgroup.kill", O_WRONLY | O_CLOEXEC);
		if (all >= 0)
			(void)!write(all, "1", 1);
		cgroup_wait_empty(base);
	}
	DIR *leaves = fdopendir(base); /* owns `base` */
	struct dirent *entry;
	while (leaves && (entry = readdir(leaves)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			cgroup_remove_patiently(base, entry->d_name);
	if (leaves)
		(void)closedir(leaves);
	cgroup_remove_patiently(cg->parents[tree], cg->base);
}

void cgroups_sweep(const struct cgroups *cg)
{
	/* The unified tree first: it kills, and then the others are empty too. */
	for (int tree = 0; tree < CGROUP_TREES; tree++)
		if (cg->parents[tree] >= 0)
			cgroup_sweep_tree(cg, (enum cgroup_tree)tree);
}
