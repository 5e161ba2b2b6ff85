#pragma once
/*
 * Memory that lives as long as one exchange: allocated in blocks, freed all at once,
 * nothing in it has a destructor.
 */
#include "base/str.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t total;	/* bytes handed out */
	size_t ceiling; /* of total; beyond it arena_new() answers NULL */
};

/* Make an empty arena that hands out at most `ceiling` bytes. Allocates nothing yet. */
void arena_init(struct arena *arena, size_t ceiling);

/* Free everything; usable again. */
void arena_done(struct arena *arena);

/* Zeroed, 16-byte aligned memory, or NULL (out of memory, or above the ceiling). */
[[nodiscard]] void *arena_new(struct arena *arena, size_t size);

/* A copy of `s`, NUL-terminated too; on failure a view with at == NULL. */
[[nodiscard]] str arena_str(struct arena *arena, str s);

/* Formatted text, as arena_str(). */
[[nodiscard, gnu::format(printf, 2, 3)]] str arena_strf(
	struct arena *arena, const char *format, ...);
