#pragma once
/*
 * Processes that are kept in a cgroup of their own. A cell's end is told once, when its process is
 * dead and everything else in its cgroup too, and the cgroup is removed, or as new.
 */
#include "base/list.h"
#include "os/cgroup.h"
#include "os/source.h"

#include <stdbool.h>
#include <stdint.h>

struct cell;
/* Its end. `context` is that of source_wait(), or of cells_tick(). */
typedef void cell_fn(void *context, struct cell *cell);

/* What all cells of a process share; there is no state of it beside the list. */
struct cells {
	int epoll;
	struct cgroups *cgroups;
	struct list busy; /* dead, but their cgroup does not go away yet */
};

struct cell {
	struct source process; /* pidfd; -1: not running */
	char name[CGROUP_NAME_MAX];
	struct cells *cells;
	cell_fn *gone;
	struct list link; /* in cells->busy */

	bool is_kept;	 /* see struct cell_how */
	bool is_marked;	 /* by whose it is: its cgroup must not be used again */
	bool has_cgroup; /* nothing lives in it, and the next one takes it */
	bool has_limits; /* these: */
	struct cgroup_limits limits;

	/* Of its end, valid in gone(). */
	int status; /* of its process, as of wait(2) */
	bool was_oom;
	uint64_t memory_peak;

	int memory_fd; /* its memory peak, while it runs; or -1 */
	/* What others need to enter its cgroup; all -1 but with `is_entered_later`. */
	struct cgroup_leaf leaf;
};

struct cell_how {
	const char *cgroup;
	const struct cgroup_limits *limits; /* NULL: none, for now */
	bool is_entered_later;		    /* keep `leaf`; it can have limits */
	/*
	 * Its cgroup is used again by the next start of this cell, under the same name, if it is as new
	 * then (cgroup_clean()): making and removing one is a good part of a start. With
	 * is_entered_later; and its process has to be the first of a pid namespace that nobody in the
	 * cgroup is outside of, whose end is the end of all.
	 */
	bool is_kept;
	uint64_t namespaces;  /* CLONE_NEW… */
	const char *process;  /* its name for ps */
	unsigned files_below; /* see struct child_how */
	cell_fn *gone;
};

/* An unused cell. */
void cell_init(struct cell *cell);

/*
 * The first half of cell_start(): the leaf. 0 or a fault, with nothing left. The second half, with
 * the same `how`, must follow.
 */
[[nodiscard]] int cell_make(struct cells *cells, struct cell *cell, const struct cell_how *how);

/* The second half, what cell_start() answers. */
[[nodiscard]] int cell_bear(struct cell *cell, const struct cell_how *how);

/*
 * Start a process in a new leaf. 0 in the child, which has yet to enter the other trees (leaf.joins);
 * positive in the parent; negative a fault, in the parent, with nothing left.
 */
[[nodiscard]] int cell_start(struct cells *cells, struct cell *cell, const struct cell_how *how);

/* Limit one that is_entered_later, if these are not the limits that it has. 0 or a fault. */
[[nodiscard]] int cell_limit(struct cell *cell, const struct cgroup_limits *limits);

/* SIGKILL all of it; gone() follows. Nothing when it is not running. */
void cell_kill(struct cell *cell);

/* Try to remove the busy leaves again. When to call next: ms, or UINT64_MAX. */
uint64_t cells_tick(struct cells *cells, void *context, uint64_t now_ms);
