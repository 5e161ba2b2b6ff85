#pragma once
/*
 * The zygotes (zygote/zygote.h): one that execs, there from the start, and one for each pack whose
 * interpreter can fork, there from its first use. A dead one is started again, with back-off.
 */
#include "os/cell.h"
#include "zygote/zygote.h"

struct warden;

enum { ZYGOTE_EXEC, ZYGOTE_PACKS, ZYGOTES_MAX = ZYGOTE_PACKS + PACKS_MAX };

struct zygote_slot {
	struct cell cell;
	struct source socket;
	uint32_t number; /* ZYGOTE_EXEC, or ZYGOTE_PACKS + the pack's */
	bool is_wanted;	 /* somebody has use for it */
	bool is_ready;	 /* it takes questions */
	uint32_t backoff_ms;
	uint64_t restart_ms; /* not before */
};

struct zygotes {
	struct zygote_slot slots[ZYGOTES_MAX];
	int filter_file; /* the sandboxes' filter, for them to read */
	/* Looking for children that nobody told us of: when next (0: not), how often, who was dead. */
	uint64_t sweep_ms;
	uint32_t sweep_count;
	int orphan;
};

/* Once, before anything else but the filters: 0 or a fault. */
[[nodiscard]] int zygotes_init(struct warden *w);

/* Which zygote starts a runtime of this pack so: ZYGOTE_EXEC if the other is not there (yet). */
uint32_t zygote_choose(struct warden *w, const struct spawn_frame *ask);

/* Ask; the descriptors stay the caller's. 0; -EAGAIN: not now, sandboxes_boot() is called; a fault. */
[[nodiscard]] int zygote_ask(struct warden *w, uint32_t number, const struct zygote_ask *ask,
	const int *fds, size_t fd_count);

/* Handler of the gate: see there. */
const char *zygote_warm(struct warden *w, const union frame *frame, int fds[]);

/* Start those that are wanted, down and due. When to call next: ms, or UINT64_MAX. */
uint64_t zygotes_tick(struct warden *w, uint64_t now_ms);
