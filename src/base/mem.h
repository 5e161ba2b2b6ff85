#pragma once
/*
 * The only place that allocates: everything else calls these, so that the torture
 * tests can fail the n-th allocation (see fault_countdown).
 */
#include <stddef.h>

/* Zeroed memory, or NULL. `count * size` is checked for overflow. Free with mem_free(). */
[[nodiscard]] void *mem_new(size_t count, size_t size);

/* Like reallocarray(3): old contents kept, new bytes not zeroed; NULL leaves `old` as it was. */
[[nodiscard]] void *mem_grow(void *old, size_t count, size_t size);

/* free(3); NULL is fine. */
void mem_free(void *at);

/* One zeroed object of a type. */
#define mem_one(type) ((type *)mem_new(1, sizeof(type)))

/*
 * Tests only: when n > 0, the n-th allocation from now fails once and the countdown
 * ends at 0. Thread-local.
 */
extern _Thread_local int fault_countdown;

/* For [[gnu::cleanup]]: frees what the pointer variable points at. */
void mem_free_at(void *pointer_variable);
#define scoped_mem [[gnu::cleanup(mem_free_at)]]
