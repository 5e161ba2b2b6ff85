#pragma once
/*
 * Limits by cgroup. Every sandbox and every job is born in a leaf of the cgroup v2 tree,
 * which kills and freezes it; memory, processes and CPU are limited there too, or, on hosts
 * that mount these controllers as cgroup v1, in leaves of the same name in those trees.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CGROUP_NAME_MAX = 32, CGROUP_JOINS_MAX = 3 };

/* The trees a leaf may have a directory in. */
enum cgroup_tree { CGROUP_UNIFIED, CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_TREES };

struct cgroup_limits {
	uint64_t memory_bytes;
	uint32_t pids_max;
	uint32_t cpu_mb;    /* the memory size that CPU is proportional to */
	bool is_cpu_strict; /* a ceiling instead of a weight */
};

/* Opened at start; plain data. A zeroed one must be set up by cgroups_open() before use. */
struct cgroups {
	const struct cgroup_driver *driver;
	char base[CGROUP_NAME_MAX]; /* the directory of this instance in each tree */
	int parents[CGROUP_TREES];  /* where `base` is; -1: no such tree in use */
	int bases[CGROUP_TREES];
	int write_flags; /* O_WRONLY; the tests, which have no kernel behind the files, add O_CREAT */
};

/* What is needed to be born in a leaf, and to read its peak. All are the caller's to close. */
struct cgroup_leaf {
	int unified;		     /* the directory, for CLONE_INTO_CGROUP */
	int joins[CGROUP_JOINS_MAX]; /* cgroup.procs of v1 leaves, the child writes "0"; or -1 */
	int memory_peak;	     /* readable: the most memory ever used, or -1 */
};

/*
 * Find the trees of this host, remove what an earlier instance of the same name left, and
 * make this instance's directories. -ENOTSUP (said in the log) when a controller is missing.
 */
[[nodiscard]] int cgroups_open(struct cgroups *cg, const char *base);

/* Make a leaf with its limits. Nothing is left of it on a fault. */
[[nodiscard]] int cgroup_make(const struct cgroups *cg, const char *name,
	const struct cgroup_limits *limits, struct cgroup_leaf *ret_leaf);

/* A leaf that only kills, without limits. */
[[nodiscard]] int cgroup_make_bare(const struct cgroups *cg, const char *name, int *ret_dir);

void cgroup_leaf_close(struct cgroup_leaf *leaf);

/* SIGKILL everything in it, at once, forks included. */
void cgroup_kill(const struct cgroups *cg, const char *name);

[[nodiscard]] int cgroup_freeze(const struct cgroups *cg, const char *name, bool is_frozen);

/* Has the kernel killed something in it for memory? */
[[nodiscard]] bool cgroup_was_oom(const struct cgroups *cg, const char *name);

/* The number in a file like memory.peak, 0 when there is none. */
[[nodiscard]] uint64_t cgroup_read_u64(int fd);

/* Remove a leaf from all trees: 0 (also when it is not there), or -EBUSY while anything lives in it. */
[[nodiscard]] int cgroup_remove(const struct cgroups *cg, const char *name);

/* Kill everything in all leaves, wait for the end, remove them; and the base too if asked. */
void cgroups_sweep(const struct cgroups *cg, bool is_base_too);
