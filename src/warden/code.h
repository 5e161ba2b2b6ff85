#pragma once
/*
 * The code directory: ZIPs are unpacked into it, under their digest, by throwaway jailed
 * processes; digests nobody needs are removed from it. Nothing in it ever changes.
 */
#include "os/cell.h"
#include "warden/gate.h"

enum {
	JOBS_RUNNING_MAX = 8, /* at a time; more wait; more than JOBS_MAX are refused with EAGAIN */
	UNPACK_SECONDS_MAX = 120,
};

enum job_state {
	JOB_FREE,
	JOB_WAITING, /* for one of the running to end */
	JOB_RUNNING,
	JOB_STATES
};

/* One ZIP being unpacked, or, without a ZIP, one directory of tmp being removed. */
struct job {
	struct cell cell; /* of its keeper */
	enum job_state state;
	uint32_t number;   /* of arrival; names its cgroup and its directory */
	bool is_forgotten; /* whoever asked is gone: tell nobody */
	struct unpack_frame ask;
	int zip;
	int report; /* what the keeper says at its end */
};

struct jobs {
	struct job slots[JOBS_MAX];
	uint32_t number; /* the last one given */
	uint32_t running;
};

/* Once, before anything else. */
void code_init(struct jobs *jobs);

/* Handlers of the gate: see there. */
const char *code_unpack(struct warden *w, const union frame *frame, int fds[]);
const char *code_forget(struct warden *w, const union frame *frame, int fds[]);

/* End all jobs, and tell nobody. */
void code_forget_router(struct warden *w);
