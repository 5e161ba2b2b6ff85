/* The files that the drivers write, on a directory that only looks like a cgroup tree. */
#include "os/cgroup.h"

#include "base/attr.h"
#include "base/str.h"
#include "base/test.h"
#include "os/fd.h"
#include "os/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIR_OPEN = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

static char folder[] = "/tmp/cgroup-test-XXXXXX";
static int folder_fd = -1;

/* Bases in a fresh folder: one tree, or all four. */
static struct cgroups fake(const struct cgroup_driver *driver)
{
	static const char *const names[CGROUP_TREES] = { "unified", "memory", "pids", "cpu" };
	struct cgroups cg = { .driver = driver, .write_flags = O_WRONLY | O_CREAT };

	if (folder_fd < 0)
		folder_fd = mkdtemp(folder) ? open(folder, DIR_OPEN) : -1;
	CHECK(tree_clear(folder_fd) == 0);
	for (int tree = 0; tree < CGROUP_TREES; tree++) {
		cg.parents[tree] = cg.bases[tree] = -1;
		if (driver == &cgroup_v2 && tree != CGROUP_UNIFIED)
			continue;
		CHECK(mkdirat(folder_fd, names[tree], 0755) == 0);
		cg.bases[tree] = openat(folder_fd, names[tree], DIR_OPEN);
	}
	return cg;
}

static void fake_done(struct cgroups *cg)
{
	for (int tree = 0; tree < CGROUP_TREES; tree++)
		fd_close(&cg->bases[tree]);
}

static bool file_is(const char *path, const char *wanted)
{
	char text[256];
	size_t len = 0;
	scoped_fd fd = openat(folder_fd, path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && fd_read_all(fd, text, sizeof(text), &len) == 0 &&
		str_eq((str){ text, len }, str_of(wanted));
}

static bool file_is_there(const char *path)
{
	return faccessat(folder_fd, path, F_OK, 0) == 0;
}

static void put_file(const char *path, const char *text)
{
	scoped_fd fd = openat(folder_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && fd_write_all(fd, str_of(text)) == 0);
}

static const struct cgroup_limits weighted = {
	.memory_bytes = 256 * MIB, .pids_max = 1024, .cpu_mb = 1769
};

static int make_limited(const struct cgroups *cg, const char *name,
	const struct cgroup_limits *limits, struct cgroup_leaf *ret_leaf)
{
	int r = cgroup_make(cg, name, true, ret_leaf);
	return r < 0 ? r : cgroup_limit(cg, name, limits);
}

static void v2_writes_memory_pids_and_a_weight(void)
{
	struct cgroups cg = fake(&cgroup_v2);
	struct cgroup_leaf leaf;

	CHECK(make_limited(&cg, "s1", &weighted, &leaf) == 0);
	CHECK(file_is("unified/s1/memory.max", "268435456"));
	CHECK(file_is("unified/s1/memory.swap.max", "0"));
	CHECK(file_is("unified/s1/memory.oom.group", "1"));
	CHECK(file_is("unified/s1/pids.max", "1024"));
	CHECK(file_is("unified/s1/cpu.weight", "100"));
	CHECK(!file_is_there("unified/s1/cpu.max"));
	CHECK(leaf.unified >= 0);
	for (int tree = 0; tree < CGROUP_TREES; tree++)
		CHECK(leaf.joins[tree] < 0);
	cgroup_leaf_close(&leaf);
	fake_done(&cg);
}

static void v2_strict_writes_a_ceiling_and_no_weight(void)
{
	struct cgroups cg = fake(&cgroup_v2);
	struct cgroup_limits strict = weighted;
	struct cgroup_leaf leaf;

	strict.is_cpu_strict = true;
	strict.cpu_mb = 3538; /* two CPUs */
	CHECK(make_limited(&cg, "s1", &strict, &leaf) == 0);
	CHECK(file_is("unified/s1/cpu.max", "200000 100000"));
	CHECK(!file_is_there("unified/s1/cpu.weight"));
	cgroup_leaf_close(&leaf);
	fake_done(&cg);
}

static void shares_of_cpu_stay_in_the_kernels_bounds(void)
{
	static const struct {
		uint32_t mb;
		const char *weight, *quota;
	} rows[] = {
		{ 1, "1", "1000 100000" },
		{ 128, "7", "7235 100000" },
		{ 10'240, "578", "578858 100000" },
		{ 4'000'000, "10000", "226116449 100000" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cgroup_limits limits = weighted;
		struct cgroup_leaf leaf;
		struct cgroups cg = fake(&cgroup_v2);
		limits.cpu_mb = rows[i].mb;
		CHECK(make_limited(&cg, "a", &limits, &leaf) == 0);
		cgroup_leaf_close(&leaf);
		limits.is_cpu_strict = true;
		CHECK(make_limited(&cg, "b", &limits, &leaf) == 0);
		cgroup_leaf_close(&leaf);
		CHECK(file_is("unified/a/cpu.weight", rows[i].weight));
		CHECK(file_is("unified/b/cpu.max", rows[i].quota));
		fake_done(&cg);
	}
}

static void hybrid_writes_three_trees_and_joins_them(void)
{
	struct cgroups cg = fake(&cgroup_hybrid);
	struct cgroup_limits limits = weighted;
	struct cgroup_leaf leaf;

	CHECK(make_limited(&cg, "s1", &limits, &leaf) == 0);
	CHECK(file_is("memory/s1/memory.limit_in_bytes", "268435456"));
	CHECK(file_is("memory/s1/memory.memsw.limit_in_bytes", "268435456"));
	CHECK(file_is("pids/s1/pids.max", "1024"));
	CHECK(file_is("cpu/s1/cpu.shares", "1024"));
	CHECK(leaf.joins[CGROUP_UNIFIED] < 0);
	for (int tree = CGROUP_MEMORY; tree < CGROUP_TREES; tree++)
		CHECK(leaf.joins[tree] >= 0);
	CHECK(write(leaf.joins[CGROUP_PIDS], "0", 1) == 1);
	CHECK(file_is("pids/s1/tasks", "0"));
	cgroup_leaf_close(&leaf);

	limits.is_cpu_strict = true;
	CHECK(make_limited(&cg, "s2", &limits, &leaf) == 0);
	CHECK(file_is("cpu/s2/cpu.cfs_period_us", "100000"));
	CHECK(file_is("cpu/s2/cpu.cfs_quota_us", "100000"));
	cgroup_leaf_close(&leaf);
	fake_done(&cg);
}

static void a_missing_file_is_a_fault_unless_kernels_differ_in_it(void)
{
	struct cgroups cg = fake(&cgroup_v2);
	struct cgroup_leaf leaf;

	cg.write_flags = O_WRONLY; /* none of the files exists */
	CHECK(make_limited(&cg, "s1", &weighted, &leaf) == -ENOENT);
	cgroup_leaf_close(&leaf);
	fake_done(&cg);
}

static void a_leaf_without_limits_is_in_the_v2_tree_alone(void)
{
	struct cgroups cg = fake(&cgroup_hybrid);
	struct cgroup_leaf leaf;

	CHECK(cgroup_make(&cg, "router", false, &leaf) == 0);
	CHECK(file_is_there("unified/router") && !file_is_there("memory/router"));
	CHECK(leaf.unified >= 0 && leaf.memory_peak < 0);
	cgroup_leaf_close(&leaf);
	CHECK(cgroup_remove(&cg, "router") == 0);
	CHECK(!file_is_there("unified/router"));
	CHECK(cgroup_remove(&cg, "router") == 0); /* again: it is gone already */
	fake_done(&cg);
}

static void a_name_that_is_taken_is_refused(void)
{
	struct cgroups cg = fake(&cgroup_v2);
	struct cgroup_leaf leaf;

	CHECK(mkdirat(cg.bases[CGROUP_UNIFIED], "s1", 0755) == 0);
	CHECK(make_limited(&cg, "s1", &weighted, &leaf) == -EEXIST);
	fake_done(&cg);
}

static void killing_freezing_and_thawing_write_to_the_v2_leaf(void)
{
	struct cgroups cg = fake(&cgroup_hybrid);

	CHECK(mkdirat(cg.bases[CGROUP_UNIFIED], "s1", 0755) == 0);
	cgroup_kill(&cg, "s1");
	CHECK(file_is("unified/s1/cgroup.kill", "1"));
	CHECK(cgroup_freeze(&cg, "s1", true) == 0);
	CHECK(file_is("unified/s1/cgroup.freeze", "1"));
	CHECK(cgroup_freeze(&cg, "s1", false) == 0);
	CHECK(file_is("unified/s1/cgroup.freeze", "0"));
	cgroup_kill(&cg, "none"); /* no such leaf: nothing to kill */
	CHECK(cgroup_freeze(&cg, "none", true) == -ENOENT);
	fake_done(&cg);
}

static void the_oom_killer_is_seen_in_either_version(void)
{
	struct cgroups v2 = fake(&cgroup_v2);

	CHECK(mkdirat(v2.bases[CGROUP_UNIFIED], "s1", 0755) == 0);
	CHECK(!cgroup_was_oom(&v2, "s1"));
	put_file("unified/s1/memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 0\n");
	CHECK(!cgroup_was_oom(&v2, "s1"));
	put_file("unified/s1/memory.events", "low 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n");
	CHECK(cgroup_was_oom(&v2, "s1"));
	fake_done(&v2);

	struct cgroups hybrid = fake(&cgroup_hybrid);
	CHECK(mkdirat(hybrid.bases[CGROUP_MEMORY], "s1", 0755) == 0);
	put_file("memory/s1/memory.oom_control", "oom_kill_disable 0\nunder_oom 1\noom_kill 0\n");
	CHECK(!cgroup_was_oom(&hybrid, "s1"));
	put_file("memory/s1/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
	CHECK(cgroup_was_oom(&hybrid, "s1"));
	fake_done(&hybrid);
}

static void a_leaf_is_clean_when_nothing_lives_in_it_or_is_counted_to_it(void)
{
	static const struct {
		const struct cgroup_driver *driver;
		const char *now, *peak;
	} rows[] = {
		{ &cgroup_v2, "unified/s1/memory.current", "unified/s1/memory.peak" },
		{ &cgroup_hybrid, "memory/s1/memory.usage_in_bytes",
			"memory/s1/memory.max_usage_in_bytes" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cgroups cg = fake(rows[i].driver);
		struct cgroup_leaf leaf;
		CHECK(make_limited(&cg, "s1", &weighted, &leaf) == 0);
		cgroup_leaf_close(&leaf);
		put_file(rows[i].now, "98304\n");
		put_file(rows[i].peak, "5\n");
		put_file("unified/s1/cgroup.events", "populated 1\nfrozen 0\n");
		CHECK(cgroup_clean(&cg, "s1") == -EBUSY);
		CHECK(file_is(rows[i].peak, "5\n"));
		put_file("unified/s1/cgroup.events", "populated 0\nfrozen 0\n");
		CHECK(cgroup_clean(&cg, "s1") == CGROUP_CLEAN);
		CHECK(cgroup_reopen(&cg, "s1", &leaf) == 0);
		CHECK(file_is(rows[i].peak, "0\n")); /* no file of a kernel keeps the line's end */
		CHECK(leaf.unified >= 0 && leaf.memory_peak >= 0);
		cgroup_leaf_close(&leaf);
		put_file(rows[i].now, "1048577\n");
		CHECK(cgroup_clean(&cg, "s1") == CGROUP_USED);
		CHECK(cgroup_clean(&cg, "none") == -ENOENT);
		CHECK(cgroup_reopen(&cg, "none", &leaf) == -ENOENT);
		fake_done(&cg);
	}
}

static void a_peak_that_cannot_begin_again_is_not_used_again(void)
{
	struct cgroups cg = fake(&cgroup_v2);
	struct cgroup_leaf leaf;

	CHECK(cgroup_make(&cg, "s1", true, &leaf) == 0);
	cgroup_leaf_close(&leaf);
	put_file("unified/s1/memory.current", "0\n");
	put_file("unified/s1/cgroup.events", "populated 0\n");
	cg.write_flags = O_WRONLY; /* there is no memory.peak */
	CHECK(cgroup_clean(&cg, "s1") == CGROUP_USED);
	fake_done(&cg);
}

static void home_is_around_the_leaf_that_an_earlier_start_moved_to(void)
{
	static const struct {
		const char *membership, *home;
		bool is_moved;
	} rows[] = {
		{ "0::/\n", "", false },
		{ "0::/system.slice/mayfly.service\n", "system.slice/mayfly.service", false },
		{ "0::/system.slice/mayfly.service/mayfly-warden\n", "system.slice/mayfly.service",
			true },
		{ "0::/mayfly-warden\n", "", true }, /* in a container */
		{ "0::/mayfly-warden/else\n", "mayfly-warden/else", false },
		{ "0::/not-mayfly-warden\n", "not-mayfly-warden", false },
		{ "9:memory:/a/mayfly-warden\n0::/b\n", "b", false }, /* hybrid */
		{ "9:memory:/a\n", "", false },
		{ "", "", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool is_moved = !rows[i].is_moved;
		str home = cgroup_home(str_of(rows[i].membership), &is_moved);
		CHECK(str_eq(home, str_of(rows[i].home)));
		CHECK(is_moved == rows[i].is_moved);
	}
}

static void the_peak_is_what_the_kernel_has(void)
{
	struct cgroups cg = fake(&cgroup_v2);

	put_file("unified/peak", "123456\n");
	scoped_fd fd = openat(cg.bases[CGROUP_UNIFIED], "peak", O_RDONLY | O_CLOEXEC);
	CHECK(cgroup_read_u64(fd) == 123'456);
	CHECK(cgroup_read_u64(fd) == 123'456); /* again, from the beginning */
	put_file("unified/peak", "max\n");
	CHECK(cgroup_read_u64(fd) == 0);
	CHECK(cgroup_read_u64(-1) == 0);
	fake_done(&cg);
	CHECK(tree_clear(folder_fd) == 0 && rmdir(folder) == 0);
}

TESTS(TEST(v2_writes_memory_pids_and_a_weight), TEST(v2_strict_writes_a_ceiling_and_no_weight),
	TEST(shares_of_cpu_stay_in_the_kernels_bounds),
	TEST(hybrid_writes_three_trees_and_joins_them),
	TEST(a_missing_file_is_a_fault_unless_kernels_differ_in_it),
	TEST(a_leaf_without_limits_is_in_the_v2_tree_alone), TEST(a_name_that_is_taken_is_refused),
	TEST(killing_freezing_and_thawing_write_to_the_v2_leaf),
	TEST(the_oom_killer_is_seen_in_either_version),
	TEST(a_leaf_is_clean_when_nothing_lives_in_it_or_is_counted_to_it),
	TEST(a_peak_that_cannot_begin_again_is_not_used_again),
	TEST(the_peak_is_what_the_kernel_has),
	TEST(home_is_around_the_leaf_that_an_earlier_start_moved_to))
