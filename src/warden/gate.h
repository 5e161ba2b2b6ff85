#pragma once
/* What may be asked of root. */

struct warden;
struct source;

/* Read one request of the router and obey it, or condemn the router for it. */
void gate_ready(struct warden *w, struct source *socket);
