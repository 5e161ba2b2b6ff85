#pragma once
/*
 * The whole state of the warden. There is one, static: all tables have their full size from
 * the start, and nothing is allocated afterwards.
 */
#include "os/cell.h"
#include "os/cgroup.h"
#include "os/cradles.h"
#include "os/outbox.h"
#include "warden/code.h"
#include "warden/gate.h"
#include "warden/places.h"
#include "warden/router.h"
#include "warden/sandbox.h"
#include "warden/zygotes.h"
#include "wire/frames.h"

struct janitor {
	struct source process;
	uint64_t started_ms;
};

struct warden {
	const struct warden_boot *boot;
	struct places places;
	struct cgroups cgroups;
	struct filter filters[FILTER_KINDS];

	int epoll;
	int self;	    /* pidfd of this process, for children to see it die */
	int null;	    /* /dev/null */
	int mould;	    /* the mount namespace that sandboxes begin with */
	int listener;	    /* the public socket: outlives every router */
	int start_dir;	    /* where we were started */
	int settings;	    /* the router's */
	int tls[TLS_FILES]; /* as the router has last taken them; null where there is no TLS */
	int router_program, unpack_program, restore_program;

	struct source signals;
	struct janitor janitor;
	struct router router;
	struct outbox outbox; /* for the router */
	struct sandboxes sandboxes;
	struct zygotes zygotes;
	struct jobs jobs;
	struct cells cells;
	struct cradles cradles;

	bool is_draining;
	bool is_replaced; /* at the end become the next version */
	bool is_over;	  /* leave the loop */
	uint64_t drain_until_ms;
};

/* Call off everything that serves the router: it is gone. Nothing more is told to it. */
void warden_forget_router(struct warden *w);

/*
 * janitor.c: a process that does nothing but wait for our death, and then removes what we could
 * not: after SIGKILL nobody cleans up after himself. Started if there is none, at most once a
 * second. When to call next: ms, or UINT64_MAX.
 */
uint64_t janitor_tick(struct warden *w, uint64_t now_ms);

/* End it, when the warden has cleaned up itself. */
void janitor_stop(struct warden *w);

/*
 * boot.c: map the boot struct of a sealed memfd, for the life of the process. 0; or -EINVAL (with
 * the reason in *ret_reason) when it is not one; or a fault.
 */
[[nodiscard]] int boot_open(int fd, const struct warden_boot **ret_boot, const char **ret_reason);

/* NULL when the contents make sense, else what does not. */
[[nodiscard]] const char *boot_check(const struct warden_boot *boot);
