#pragma once
/*
 * Limits by cgroup. A leaf is a directory in the cgroup v2 tree, where processes are born
 * into, killed and frozen; memory, processes and CPU are limited there too, or, on hosts that
 * mount these controllers as cgroup v1, in leaves of the same name in those trees.
 */
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CGROUP_NAME_MAX = 32 };

/* The trees a leaf may have a directory in. */
enum cgroup_tree { CGROUP_UNIFIED, CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_TREES };

struct cgroup_limits {
	uint64_t memory_bytes;
	uint32_t pids_max;
	uint32_t cpu_mb;    /* the memory size that CPU is proportional to */
	bool is_cpu_strict; /* a ceiling instead of a weight */
};

/* Filled at start; plain data afterwards. */
struct cgroups {
	const struct cgroup_driver *driver;
	char base[CGROUP_NAME_MAX]; /* the directory of this instance in each tree */
	int parents[CGROUP_TREES];  /* where `base` is; -1: no such tree in use */
	int bases[CGROUP_TREES];
	int write_flags; /* O_WRONLY; the tests, which have no kernel behind the files, add O_CREAT */
};

/* What is needed to be born in a leaf, and to read its peak. All are the caller's to close. */
struct cgroup_leaf {
	int unified;		 /* the directory, for CLONE_INTO_CGROUP */
	int joins[CGROUP_TREES]; /* `tasks` of v1 leaves, the child writes "0"; or -1 */
	int memory_peak;	 /* readable: the most memory used since then; or -1 */
	int memory_stat;	 /* readable: what it is used for; or -1 */
};

/* What this host mounts; trees that a controller has no part in are false. */
struct cgroup_mounts {
	bool has_v2;
	bool in_v1[CGROUP_TREES]; /* of CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU */
	bool in_v2[CGROUP_TREES];
};

/* Look, change nothing. 0 or a fault. *ret_v2 is the v2 mount (the caller's) or -1. */
[[nodiscard]] int cgroups_look(struct cgroup_mounts *ret_mounts, int *ret_v2);

/* The controller of a tree, as both versions call it. */
const char *cgroup_controller(enum cgroup_tree tree);

/*
 * The cgroup where ours belong beside, out of what /proc/self/cgroup says: a path below the v2 mount,
 * "" the mount itself, borrowed. That is the one that we live in; but where a start has moved us to a
 * leaf for ourselves (*ret_is_moved), the one around the leaf.
 */
str cgroup_home(str membership, bool *ret_is_moved);

/* The two ways to limit. */
extern const struct cgroup_driver cgroup_v2;	 /* one tree does everything */
extern const struct cgroup_driver cgroup_hybrid; /* limits in three trees of cgroup v1 */

/*
 * Find the trees of this host and sweep what an earlier instance of the same name left. -ENOTSUP
 * (said in the log) when a controller is missing. From here on cgroups_sweep() works.
 */
[[nodiscard]] int cgroups_find(struct cgroups *cg, const char *base);

/* Make this instance's directories. */
[[nodiscard]] int cgroups_make(struct cgroups *cg);

/*
 * Make a leaf: in all trees if it will have limits (none yet), else in the v2 tree alone. Nothing is
 * left of it on a fault.
 */
[[nodiscard]] int cgroup_make(
	const struct cgroups *cg, const char *name, bool has_limits, struct cgroup_leaf *ret_leaf);

/* What cgroup_clean() can answer. */
enum cgroup_answer {
	CGROUP_CLEAN = 0,
	CGROUP_USED, /* something of who was in it would be left: remove it */
};

/*
 * Make a leaf with limits ready for the next one: nothing lives in it, next to no memory is counted
 * to it, and its peak can begin again (with cgroup v2 since Linux 6.12).
 * Limits stay, for cgroup_limit() to set others. Of what is not looked at, whether it was frozen,
 * held to a ceiling of CPU, or met the OOM killer, the caller knows, and then does not ask.
 *
 * Returns a cgroup_answer; -EBUSY while anything lives in it; or another fault.
 */
[[nodiscard]] int cgroup_clean(const struct cgroups *cg, const char *name);

/* Open a clean leaf, as cgroup_make() would a new one; the peak begins. It stays there on a fault. */
[[nodiscard]] int cgroup_reopen(
	const struct cgroups *cg, const char *name, struct cgroup_leaf *ret_leaf);

/* Set the limits of a leaf that may have some, whoever is in it. 0 or a fault. */
[[nodiscard]] int cgroup_limit(
	const struct cgroups *cg, const char *name, const struct cgroup_limits *limits);

/* Close all its descriptors. */
void cgroup_leaf_close(struct cgroup_leaf *leaf);

/* SIGKILL everything in it, at once, forks included. */
void cgroup_kill(const struct cgroups *cg, const char *name);

/* Stop it, or let it go on. */
[[nodiscard]] int cgroup_freeze(const struct cgroups *cg, const char *name, bool is_frozen);

/* Has the kernel killed something in it for memory? */
[[nodiscard]] bool cgroup_was_oom(const struct cgroups *cg, const char *name);

/* The number in a file like memory.peak, 0 when there is none. */
[[nodiscard]] uint64_t cgroup_read_u64(int fd);

/* Remove a leaf from all trees: 0 (also when it is not there), or -EBUSY while anything lives in it. */
[[nodiscard]] int cgroup_remove(const struct cgroups *cg, const char *name);

/* Kill everything in all leaves, wait for the end (seconds at most), remove them and the base. */
void cgroups_sweep(const struct cgroups *cg);
