#pragma once
/*
 * Content by SHA-256: write-once files under a directory, verified when read back whole.
 * The ZIPs of code and layers. Thread-safe; blocks.
 */
#include "base/str.h"

struct blobs;

/* `path` is made if missing. */
[[nodiscard]] int blobs_open(const char *path, struct blobs **ret_blobs);
void blobs_close(struct blobs *blobs);

/*
 * Keep the contents of `fd` (read with pread from its start). *ret_digest and *ret_size say what
 * it is. Durable when it returns 0; keeping what is there already is done. */
[[nodiscard]] int blobs_put(
	struct blobs *blobs, int fd, uint8_t ret_digest[static 32], uint64_t *ret_size);

enum blobs_answer { BLOBS_DONE = 0, BLOBS_ABSENT };

/* Open for reading: BLOBS_DONE and *ret_fd (the caller's), BLOBS_ABSENT, or a fault. */
[[nodiscard]] int blobs_get(
	struct blobs *blobs, const uint8_t digest[static 32], int *ret_fd, uint64_t *ret_size);
[[nodiscard]] int blobs_drop(struct blobs *blobs, const uint8_t digest[static 32]);
[[nodiscard]] int blobs_wipe(struct blobs *blobs);
