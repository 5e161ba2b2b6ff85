#pragma once
/*
 * The whole state of the warden. There is one, static: all tables have their full size from
 * the start, and nothing is allocated afterwards.
 */
#include "os/cgroup.h"
#include "warden/cell.h"
#include "warden/code.h"
#include "warden/filter.h"
#include "warden/gate.h"
#include "warden/janitor.h"
#include "warden/places.h"
#include "warden/router.h"
#include "warden/sandbox.h"
#include "wire/frames.h"

struct warden {
	const struct warden_boot *boot;
	struct places places;
	struct cgroups cgroups;
	struct filter filters[FILTER_KINDS];

	int epoll;
	int self;     /* pidfd of this process, for children to see it die */
	int null;     /* /dev/null */
	int listener; /* the public socket: outlives every router */
	int settings; /* the router's */
	int router_program, unpack_program;

	struct source signals;
	struct janitor janitor;
	struct router router;
	struct outbox outbox;
	struct sandboxes sandboxes;
	struct jobs jobs;
	struct list busy_cells; /* cell.c's */

	bool is_draining;
	bool is_over; /* leave the loop */
	uint64_t drain_until_ms;
};

/* Call off everything that serves the router: it is gone. Nothing more is told to it. */
void warden_forget_router(struct warden *w);
