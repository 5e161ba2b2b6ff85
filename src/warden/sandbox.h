#pragma once
/*
 * The sandboxes: a fixed table of slots, each with its own identity on the host. Some are prepared
 * ahead for whatever function comes next (sandbox.c). A slot is used again only when nothing of the
 * one before is left.
 */
#include "os/cell.h"
#include "wire/frames.h"
#include "zygote/zygote.h"

struct warden;

enum sandbox_state {
	SANDBOX_FREE,
	SANDBOX_PREPARING, /* its process 1 makes it */
	SANDBOX_READY,	   /* complete, nobody's */
	SANDBOX_BOOTING,   /* a zygote was asked for its runtime */
	SANDBOX_LIVE,	   /* the router knows it */
	SANDBOX_ENDING,	   /* killed, not yet gone */
	SANDBOX_STATES
};

enum { SANDBOX_BOOT_MS_MAX = 10'000, SANDBOX_LISTENERS = 2 };

struct sandbox {
	enum sandbox_state state;
	uint32_t slot;
	uint32_t generation;
	bool is_spare;
	struct list link; /* in the list of its state, see struct sandboxes */
	struct cell cell; /* its process is process 1, whose end is the end of all */
	struct source
		report; /* what process 1 says, then who starts the runtime, then who grafts */
	struct source runtime; /* pidfd of the runtime, our child */
	struct source mounter; /* pidfd of who puts its code there, while it does */
	int listeners[SANDBOX_LISTENERS];
	int network;	   /* its namespace */
	int cradle;	   /* what process 1 needs to be born, until it speaks; -1: none */
	uint64_t since_ms; /* in this state */

	bool has_ask; /* somebody asked for it */
	struct spawn_frame ask;
	int env, log, image; /* of the ask, until it is live; -1: none */
	uint32_t zygote;     /* who was asked for the runtime */
	bool is_started;     /* who was sent is jailed; its exec, if there is one, may still fail */
	bool is_again;	/* when it is gone, begin once more; in a new life: that is what this is */
	uint32_t tries; /* for one ask */
	uint64_t graft_ticket; /* of the FRAME_GRAFT being obeyed */

	/* How it ended. */
	bool was_live;	   /* FRAME_SPAWNED was sent */
	bool was_killed;   /* the router asked for it */
	bool is_forgotten; /* the router that asked for it is gone */
	bool has_status;
	int status; /* of the runtime, as of wait(2) */
	uint32_t error;
	char step[STEP_NAME_MAX]; /* the jail step that failed, or "" */
};

struct sandboxes {
	struct sandbox slots[SANDBOX_SLOTS_MAX];
	struct list free;
	struct list rested;  /* free, and a cgroup waits for the next: these come first */
	struct list spare;   /* for nobody yet: those that are ready, then those that will be */
	struct list booting; /* asked for and not live, the oldest first */
	uint32_t spare_count;
	bool is_queueing;    /* some in `booting` wait for a zygote that takes questions */
	uint64_t prepare_ms; /* when more may be prepared: not while somebody waits for a start */
	int networks[SANDBOX_SLOTS_MAX]; /* namespaces of sandboxes that are gone, for the next */
	uint32_t network_count;
};

/* Once, before anything else. */
void sandboxes_init(struct sandboxes *sandboxes, uint32_t count);

/* Handlers of the gate: see there. sandbox_ask: kill, terminate, freeze, thaw, hold. */
const char *sandbox_spawn(struct warden *w, const union frame *frame, int fds[]);
const char *sandbox_graft(struct warden *w, const union frame *frame, int fds[]);
const char *sandbox_ask(struct warden *w, const union frame *frame, int fds[]);

/* A zygote takes questions (again): ask for the runtimes that wait for it. */
void sandboxes_boot(struct warden *w);

/* Is this code in use by any sandbox? */
[[nodiscard]] bool sandbox_uses(const struct warden *w, const uint8_t digest[static DIGEST_LEN]);

/* Kill all that somebody asked for, and tell nobody. */
void sandboxes_forget_router(struct warden *w);

/* End the boots that take too long, prepare more. When to call next: ms, or UINT64_MAX. */
uint64_t sandboxes_tick(struct warden *w, uint64_t now_ms);
