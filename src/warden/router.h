#pragma once
/*
 * The router's process: started unprivileged, watched, killed with everything it asked for
 * when it does what it may not, and started again.
 */
#include "os/cell.h"
#include "wire/frames.h"

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
	struct cell cell;
	uint64_t started_ms;
	uint64_t ready_ms; /* 0: not yet */
	uint64_t restart_ms;
	uint32_t backoff_ms;
	bool was_ready;	   /* once in our life: Ready has been printed */
	bool was_reread;   /* the file counts more than what serve said: each new router gets it */
	bool is_rereading; /* FRAME_REREAD_DONE is still to come */
	bool is_reread_due;
	int offered[TLS_FILES]; /* until FRAME_RENEWED tells if they are taken; -1: nothing is */
	bool is_renew_due;
};

/* Start it if it is down and it is time. When to call next: ms, or UINT64_MAX. */
uint64_t router_tick(struct warden *w, uint64_t now_ms);

/* Tell it to finish. */
void router_drain(struct warden *w);

/* SIGHUP: hand it the settings file, to read again, and what the files of TLS have now. */
void router_reread(struct warden *w);
void router_renew(struct warden *w);

/* It asked for something impossible: kill it and its sandboxes, say why, start it again. */
void router_condemn(struct warden *w, const char *reason);

/* Handlers of the gate: see there. */
const char *router_on_ready(struct warden *w, const union frame *frame, int fds[]);
const char *router_on_reread_done(struct warden *w, const union frame *frame, int fds[]);
const char *router_on_renewed(struct warden *w, const union frame *frame, int fds[]);
const char *router_on_drained(struct warden *w, const union frame *frame, int fds[]);
