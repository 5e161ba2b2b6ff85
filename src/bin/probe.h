#pragma once
/*
 * Asking a program of the host for one line, and remembering what it said as long as its file is the same.
 */
#include <stdbool.h>
#include <stddef.h>

enum { PROBE_ARGV_MAX = 8, PROBE_MS_MAX = 10'000 };

/* A regular, executable file of root's, that nobody else can write? */
bool probe_is_trusted(const char *path);

/*
 * Run argv (NULL-terminated) with an empty environment and no input; its first output line, without the
 * newline, goes to `to`. 0, or -ETIMEDOUT, -EPROTO (no line, too long, or it failed), or a fault.
 */
[[nodiscard]] int probe_run(const char *const *argv, char *to, size_t size);

/* The answers of earlier starts. A path of NULL or a file that cannot be read is an empty cache. */
struct probe_cache;
struct probe_cache *probe_cache_open(const char *path);
/* Writes it back when something was added. NULL is fine. */
void probe_cache_close(struct probe_cache *cache);
bool probe_cache_get(
	struct probe_cache *cache, const char *program, const char *what, char *to, size_t size);
void probe_cache_put(
	struct probe_cache *cache, const char *program, const char *what, const char *answer);
