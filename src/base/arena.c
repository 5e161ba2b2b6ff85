/*
 * A chain of zeroed blocks, the newest first; the newest is the one that is filled. Blocks
 * double from 4 KiB to 64 KiB: a small exchange costs one allocation, a large one few. What
 * would fill most of a block gets one of its own, put *behind* the newest, so that the room
 * left there is still used.
 */
#include "base/arena.h"

#include "base/attr.h"
#include "base/mem.h"

#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ARENA_ALIGN = 16, ARENA_BLOCK_MIN = 4096, ARENA_BLOCK_MAX = 65536 };

struct arena_block {
	struct arena_block *next;
	size_t size; /* of bytes[] */
	size_t used;
	alignas(ARENA_ALIGN) char bytes[];
};

void arena_init(struct arena *arena, size_t ceiling)
{
	*arena = (struct arena){ .ceiling = ceiling };
}

void arena_done(struct arena *arena)
{
	for (struct arena_block *next, *block = arena->blocks; block; block = next) {
		next = block->next;
		mem_free(block);
	}
	arena->blocks = NULL;
	arena->total = 0;
}

/* A new block with at least `size` bytes, in the chain where it belongs, or NULL. */
static struct arena_block *arena_block_new(struct arena *arena, size_t size)
{
	struct arena_block *newest = arena->blocks;
	size_t usual = newest ? MIN(newest->size * 2, ARENA_BLOCK_MAX) : ARENA_BLOCK_MIN;
	bool is_own = newest && size > usual / 2;

	size_t room = is_own || size > usual ? size : usual;
	struct arena_block *block = mem_new(1, sizeof(*block) + room);
	if (!block)
		return NULL;
	block->size = room;
	if (is_own) {
		block->next = newest->next;
		newest->next = block;
	} else {
		block->next = newest;
		arena->blocks = block;
	}
	return block;
}

void *arena_new(struct arena *arena, size_t size)
{
	assert(arena->total <= arena->ceiling);
	if (size > arena->ceiling - arena->total)
		return NULL;
	size_t room = (MAX(size, 1) + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (room < size || room > PTRDIFF_MAX)
		return NULL;

	struct arena_block *block = arena->blocks;
	if (!block || block->size - block->used < room) {
		block = arena_block_new(arena, room);
		if (!block)
			return NULL;
	}
	void *at = block->bytes + block->used;
	block->used += room;
	arena->total += size;
	return at;
}

str arena_str(struct arena *arena, str s)
{
	char *copy = s.len < SIZE_MAX ? arena_new(arena, s.len + 1) : NULL;
	if (!copy)
		return (str){};
	if (s.len)
		memcpy(copy, s.at, s.len);
	return (str){ copy, s.len };
}

str arena_strf(struct arena *arena, const char *format, ...)
{
	va_list args, again;

	va_start(args, format);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *text = len >= 0 ? arena_new(arena, (size_t)len + 1) : NULL;
	if (text)
		(void)vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	return text ? (str){ text, (size_t)len } : (str){};
}
