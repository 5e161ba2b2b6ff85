#pragma once
/*
 * What of the host's files a sandbox gets: trees cut out of the warden's mounts, read-only, to be
 * put into a sandbox by somebody who is inside.
 */
#include "zygote/zygote.h"

struct warden;

struct grafts {
	int trees[GRAFTS_MAX];
	char paths[GRAFTS_MAX][PACK_PATH_MAX]; /* relative to the sandbox's root */
	uint32_t count;
	uint32_t bind_count; /* the last of them: see jail.h */
	const char *step;    /* what was being done, as EXIT_NO_START names it */
};

/*
 * The function's code and layers if it has some, and, if not NULL, the pack's. 0 and *ret_grafts (the
 * caller's to close), or a fault.
 */
[[nodiscard]] int grafts_make(const struct warden *w, const struct spawn_function *function,
	const struct pack_spec *pack, struct grafts *ret_grafts);

/* Close the trees: what is not put somewhere by then vanishes. */
void grafts_close(struct grafts *grafts);
