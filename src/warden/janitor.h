#pragma once
/*
 * A process that does nothing but wait for the warden's death, and then removes what the
 * warden could not: by SIGKILL nobody cleans up after himself.
 */
#include <stdint.h>

struct warden;

/* Start it, and start it again whenever it dies; failures are logged and tried again. */
void janitor_start(struct warden *w);

/* Start it again if it is missing and time. */
void janitor_tick(struct warden *w, uint64_t now_ms);

/* When janitor_tick() has something to do: ms of the monotonic clock, UINT64_MAX for never. */
uint64_t janitor_deadline(const struct warden *w);

/* End it, when the warden has cleaned up itself. */
void janitor_stop(struct warden *w);
