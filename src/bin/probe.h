#pragma once
/*
 * Asking a program of the host for one line, and remembering what it said as long as its file is the same.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROBE_ARGV_MAX = 8, PROBE_MS_MAX = 10'000 };

/* A regular, executable file of root's, that nobody else can write? */
bool probe_is_trusted(const char *path);

/*
 * Run argv (NULL-terminated) with an empty environment and no input; its first output line, without the
 * newline, goes to `to`. 0, or -ETIMEDOUT, -EPROTO (no line, too long, or it failed), or a fault.
 */
[[nodiscard]] int probe_run(const char *const *argv, char *to, size_t size);

/* The same in two steps, so that several programs run at a time. */
struct probe {
	pid_t pid;
	int output;
	uint64_t until_ms;
};
/* Start it: 0 or a fault. Ended by probe_end() or probe_cancel(). */
[[nodiscard]] int probe_begin(const char *const *argv, struct probe *ret_probe);
/* Wait for its line: as probe_run(). */
[[nodiscard]] int probe_end(struct probe *probe, char *to, size_t size);
/* Nobody wants to know any more. */
void probe_cancel(struct probe *probe);

/* The answers of earlier starts. A path of NULL or a file that cannot be read is an empty cache. */
struct probe_cache;
struct probe_cache *probe_cache_open(const char *path);
/* Writes it back when something was added. NULL is fine. */
void probe_cache_close(struct probe_cache *cache);
bool probe_cache_get(
	struct probe_cache *cache, const char *program, const char *what, char *to, size_t size);
void probe_cache_put(
	struct probe_cache *cache, const char *program, const char *what, const char *answer);
