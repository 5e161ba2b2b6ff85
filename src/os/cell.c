/*
 * A cgroup may say EBUSY for some microseconds after its last process was collected: such
 * leaves wait in a list and are tried again every other millisecond.
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

/* True when its cgroup is no more, and so is the cell. */
static bool cell_finish(void *context, struct cell *cell)
{
	int r = cgroup_remove(cell->cells->cgroups, cell->name);
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
	cgroup_kill(cells->cgroups, cell->name); /* children that outlived it */
	if (!cell_finish(context, cell))
		list_push_back(&cells->busy, &cell->link);
}

int cell_start(struct cells *cells, struct cell *cell, const struct cell_how *how)
{
	struct cgroup_leaf *leaf = &cell->leaf;
	int pidfd;

	assert(cell->process.fd < 0 && !list_linked(&cell->link));
	cell_init(cell);
	cell->cells = cells;
	cell->gone = how->gone;
	(void)snprintf(cell->name, sizeof(cell->name), "%s", how->cgroup);
	int r = cgroup_make(cells->cgroups, cell->name, how->limits || how->is_entered_later, leaf);
	if (r < 0)
		return err_pass(r);
	if (how->limits)
		r = cgroup_limit(cells->cgroups, cell->name, how->limits);
	if (r == 0)
		r = child_start(&(struct child_how){ how->namespaces, leaf->unified, how->process },
			&pidfd);
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

void cell_kill(const struct cell *cell)
{
	if (cell->process.fd >= 0 || list_linked(&cell->link))
		cgroup_kill(cell->cells->cgroups, cell->name);
}

uint64_t cells_tick(struct cells *cells, void *context, uint64_t now_ms)
{
	list_each(link, &cells->busy)
		(void)cell_finish(context, list_entry(link, struct cell, link));
	return list_empty(&cells->busy) ? UINT64_MAX : now_ms + AGAIN_MS;
}
