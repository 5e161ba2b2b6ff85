#pragma once
/*
 * The router's process: started unprivileged, watched, killed with everything it asked for
 * when it does what it may not, and started again.
 */
#include "warden/source.h"

#include <stdbool.h>
#include <stdint.h>

struct warden;

/* What the router is doing; bits, because the gate's rows name sets of them. */
enum router_phase {
	ROUTER_DOWN = 1,
	ROUTER_STARTING = 2, /* until FRAME_READY */
	ROUTER_SERVING = 4,
	ROUTER_DRAINING = 8, /* after FRAME_DRAIN */
};

struct router {
	enum router_phase phase;
	struct source socket;
	struct source process;
	uint64_t started_ms, ready_ms, restart_ms;
	uint32_t backoff_ms;
	bool was_ready; /* once in our life: Ready has been printed */
};

/* Start it: on a fault it is tried again later, as after a death. */
void router_start(struct warden *w);

/* Start it again if it is time. */
void router_tick(struct warden *w, uint64_t now_ms);

/* When router_tick() has something to do: ms of the monotonic clock, UINT64_MAX for never. */
uint64_t router_deadline(const struct warden *w);

/* FRAME_READY came. */
void router_became_ready(struct warden *w);

/* Tell it to finish. */
void router_drain(struct warden *w);

/* It asked for something impossible: kill it and its sandboxes, say why, start it again. */
void router_condemn(struct warden *w, const char *reason);
