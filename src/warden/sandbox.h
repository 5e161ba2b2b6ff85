#pragma once
/*
 * The sandboxes: a fixed table of slots, each with its own identity on the host. A slot is
 * used again only when nothing of the one before is left.
 */
#include "warden/cell.h"
#include "wire/frames.h"

enum sandbox_state {
	SANDBOX_FREE,
	SANDBOX_BOOTING, /* between clone and exec */
	SANDBOX_LIVE,	 /* the router knows it */
	SANDBOX_ENDING,	 /* killed, not yet gone */
	SANDBOX_STATES
};

enum { SANDBOX_BOOT_MS_MAX = 10'000, SANDBOX_LISTENERS = 2 };

struct sandbox {
	enum sandbox_state state;
	uint32_t slot;
	uint32_t generation;
	struct list link;     /* in free or booting of the table */
	struct cell cell;     /* its process is init, whose end is the end of all */
	struct source report; /* what its init says */
	int listeners[SANDBOX_LISTENERS];
	uint64_t since_ms; /* in this state */

	struct spawn_frame ask;

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
	struct list booting; /* the oldest first */
};

/* Once, before anything else. */
void sandboxes_init(struct sandboxes *sandboxes, uint32_t count);

/* Handlers of the gate: see there. sandbox_ask: kill, freeze, thaw. */
const char *sandbox_spawn(struct warden *w, const union frame *frame, int fds[]);
const char *sandbox_ask(struct warden *w, const union frame *frame, int fds[]);

/* Is this code in use by any sandbox? */
[[nodiscard]] bool sandbox_uses(const struct warden *w, const uint8_t digest[static DIGEST_LEN]);

/* Kill all of them, and tell nobody. */
void sandboxes_forget_router(struct warden *w);

/* End the boots that take too long. When to call next: ms, or UINT64_MAX. */
uint64_t sandboxes_tick(struct warden *w, uint64_t now_ms);
