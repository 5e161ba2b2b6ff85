/*
 * A cgroup may say EBUSY for some microseconds after its last process was collected: such
 * leaves wait in a list and are tried again every other millisecond.
 *
 * One that is kept waits for the next start of the same cell. The kernel takes longer to make and to
 * remove a cgroup, in four trees perhaps, than for most of what else a start is.
 */
#include "os/cell.h"

#include "base/err.h"
#include "os/child.h"
#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

enum { AGAIN_MS = 2 };

void cell_init(struct cell *cell)
{
	*cell = (struct cell){
		.process.fd = -1, .memory_fd = -1, .leaf = { -1, { -1, -1, -1, -1 }, -1, -1 }
	};
	list_init(&cell->link);
}

/* 0 when its cgroup is removed, or as new; -EBUSY while anything lives in it; or a fault. */
static int cell_leave_cgroup(struct cell *cell)
{
	int r = CGROUP_USED;

	if (cell->is_kept && !cell->is_marked && !cell->was_oom)
		r = cgroup_clean(cell->cells->cgroups, cell->name);
	cell->has_cgroup = r == CGROUP_CLEAN;
	if (r == CGROUP_CLEAN || r == -EBUSY)
		return r;
	return cgroup_remove(cell->cells->cgroups, cell->name);
}

/* True when nothing lives in its cgroup any more: then the cell is no more. */
static bool cell_finish(void *context, struct cell *cell)
{
	int r = cell_leave_cgroup(cell);
	if (r == -EBUSY)
		return false;
	if (r < 0)
		err_log(r, "removing a cgroup");
	list_remove(&cell->link);
	cgroup_leaf_close(&cell->leaf);
	int memory_fd = cell->memory_fd; /* gone() may start another in this cell */
	cell->gone(context, cell);
	fd_close(&memory_fd);
	return true;
}

/*
 * Kernels from 6.14 on take who is born into a cgroup that was ever killed as a whole for one that
 * escaped its killing, and kill it: it cannot be used again.
 */
static void cell_kill_cgroup(struct cell *cell)
{
	cell->is_marked = true;
	cgroup_kill(cell->cells->cgroups, cell->name);
}

static void cell_on_death(void *context, struct source *process)
{
	struct cell *cell = list_entry(process, struct cell, process);
	struct cells *cells = cell->cells;

	int r = child_reap(process->fd, &cell->status);
	if (r == -EAGAIN)
		return;
	if (r < 0)
		err_log(r, "collecting a process");
	source_close(cells->epoll, process);
	cell->memory_peak = cgroup_read_u64(cell->memory_fd);
	cell->was_oom = cgroup_was_oom(cells->cgroups, cell->name);
	if (cell_finish(context, cell))
		return;
	cell_kill_cgroup(cell); /* children that outlived it */
	list_push_back(&cells->busy, &cell->link);
}

/* A new one, or the one that it had. */
static int cell_enter_cgroup(struct cell *cell, bool can_have_limits)
{
	const struct cgroups *cgroups = cell->cells->cgroups;

	if (cell->has_cgroup) {
		cell->has_cgroup = false;
		if (cgroup_reopen(cgroups, cell->name, &cell->leaf) == 0)
			return 0;
		(void)cgroup_remove(cgroups, cell->name); /* somebody on the host was at it */
	}
	cell->has_limits = false;
	return err_pass(cgroup_make(cgroups, cell->name, can_have_limits, &cell->leaf));
}

int cell_make(struct cells *cells, struct cell *cell, const struct cell_how *how)
{
	const struct cell before = *cell;

	assert(cell->process.fd < 0 && !list_linked(&cell->link));
	assert(!how->is_kept || (how->is_entered_later && !how->limits));
	cell_init(cell);
	cell->has_cgroup = before.has_cgroup;
	cell->has_limits = before.has_cgroup && before.has_limits;
	cell->limits = before.limits;
	cell->is_kept = how->is_kept;
	cell->cells = cells;
	cell->gone = how->gone;
	(void)snprintf(cell->name, sizeof(cell->name), "%s", how->cgroup);
	return err_pass(cell_enter_cgroup(cell, how->limits || how->is_entered_later));
}

int cell_bear(struct cell *cell, const struct cell_how *how)
{
	struct cells *cells = cell->cells;
	struct cgroup_leaf *leaf = &cell->leaf;
	const struct child_how child = { .namespaces = how->namespaces,
		.cgroup = leaf->unified,
		.name = how->process,
		.files_below = how->files_below };
	int pidfd, r = 0;

	if (how->limits)
		r = cgroup_limit(cells->cgroups, cell->name, how->limits);
	if (r == 0)
		r = child_start(&child, &pidfd);
	if (r == 0)
		return 0;
	cell->memory_fd = fd_take(&leaf->memory_peak);
	if (!how->is_entered_later)
		cgroup_leaf_close(leaf);
	if (r > 0)
		r = source_open(cells->epoll, &cell->process, pidfd, cell_on_death);
	if (r < 0) {
		fd_close(&cell->memory_fd);
		cgroup_leaf_close(leaf);
		cgroup_kill(cells->cgroups, cell->name);
		(void)cgroup_remove(cells->cgroups, cell->name);
		return err_pass(r);
	}
	return 1;
}

int cell_start(struct cells *cells, struct cell *cell, const struct cell_how *how)
{
	int r = cell_make(cells, cell, how);

	return r < 0 ? err_pass(r) : cell_bear(cell, how);
}

/* Half a dozen files, and most functions are alike. */
int cell_limit(struct cell *cell, const struct cgroup_limits *limits)
{
	const struct cgroup_limits *has = &cell->limits;

	if (cell->has_limits && has->memory_bytes == limits->memory_bytes &&
		has->pids_max == limits->pids_max && has->cpu_mb == limits->cpu_mb &&
		has->is_cpu_strict == limits->is_cpu_strict)
		return 0;
	cell->has_limits = false;
	int r = cgroup_limit(cell->cells->cgroups, cell->name, limits);
	cell->has_limits = r == 0;
	cell->limits = *limits;
	return err_pass(r);
}

void cell_kill(struct cell *cell)
{
	if (cell->is_kept && cell->process.fd >= 0) /* it is process 1 of all that lives there */
		child_kill(cell->process.fd);
	else if (cell->process.fd >= 0 || list_linked(&cell->link))
		cell_kill_cgroup(cell);
}

uint64_t cells_tick(struct cells *cells, void *context, uint64_t now_ms)
{
	list_each(link, &cells->busy)
		(void)cell_finish(context, list_entry(link, struct cell, link));
	return list_empty(&cells->busy) ? UINT64_MAX : now_ms + AGAIN_MS;
}
