#pragma once
/*
 * The code directory: ZIPs are unpacked into it, under their digest, by throwaway jailed
 * processes; digests nobody needs are removed from it. Nothing in it ever changes.
 */
#include "warden/places.h"
#include "warden/source.h"
#include "wire/frames.h"

#include <stdbool.h>

struct warden;

enum {
	JOBS_RUNNING_MAX = 8, /* at a time: they are bound by disk and CPU, not by us */
	JOBS_MAX = 128,	      /* with those that wait; one more is refused with EAGAIN */
	UNPACK_SECONDS_MAX = 120,
};

enum job_state {
	JOB_FREE,
	JOB_WAITING, /* for one of the running to end */
	JOB_RUNNING,
	JOB_REAPING, /* its keeper is dead, its cgroup not yet removable */
	JOB_STATES
};

/* One ZIP being unpacked. */
struct job {
	struct source process; /* of its keeper */
	enum job_state state;
	uint32_t number;   /* of arrival; names its cgroup and its directory */
	bool is_forgotten; /* whoever asked is gone: tell nobody */
	struct unpack_frame ask;
	int zip;
	int report; /* what the keeper says at its end */
};

struct jobs {
	struct job slots[JOBS_MAX];
	uint32_t number;  /* the last one given, to jobs and to trash */
	uint32_t running; /* running or reaping */

	struct source remover; /* the process that removes what was forgotten */
	bool has_trash;
};

/* Once, before anything else. */
void code_init(struct jobs *jobs);

/* Handlers of the gate: see there. */
const char *code_unpack(struct warden *w, const union frame *frame, int fds[]);
const char *code_forget(struct warden *w, const union frame *frame, int fds[]);

/* End all jobs, and tell nobody. */
void code_forget_router(struct warden *w);

/* What is due: cgroups to remove. */
void code_tick(struct warden *w);

/* When code_tick() has something to do: ms of the monotonic clock, UINT64_MAX for never. */
uint64_t code_deadline(const struct warden *w);
