#pragma once
/* The process that looks after one unpacking: a throwaway child of the warden, still root. */
#include "warden/cgroup.h"
#include "warden/unpack.h"

struct warden;
struct job;

/* The name of a job's directory in tmp. */
void keeper_name(uint32_t number, char to[static CGROUP_NAME_MAX]);

/*
 * Unpack in a jail, check what came out, make it root's, put it in its place. Blocks; runs
 * in the child; what it answers is the whole result of the job.
 */
struct unpack_report keeper_run(
	const struct warden *w, const struct job *job, const struct cgroup_leaf *leaf);
