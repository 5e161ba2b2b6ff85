#pragma once
/*
 * A process that does nothing but wait for the warden's death, and then removes what the
 * warden could not: after SIGKILL nobody cleans up after himself.
 */
#include "warden/cell.h"

struct janitor {
	struct source process;
	uint64_t started_ms;
};

/* Start it if there is none, at most once a second. When to call next: ms, or UINT64_MAX. */
uint64_t janitor_tick(struct warden *w, uint64_t now_ms);

/* End it, when the warden has cleaned up itself. */
void janitor_stop(struct warden *w);
