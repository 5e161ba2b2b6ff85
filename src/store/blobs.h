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

/* Contents that have no name yet; nothing of them is left after blobs_draft_done(). */
struct blob_draft {
	struct blobs *blobs; /* NULL: there is none */
	int fd;		     /* readable */
	uint8_t digest[32];
	uint64_t size;
	char name[48]; /* below blobs->dir */
	bool is_synced;
	int err; /* of the sync: the kernel tells it once, and a second try would seem to succeed */
};

/*
 * Copy the contents of `fd` (read with pread from its start), and say what they are. The disk has begun to write them when
 * it returns 0. Then they are kept, or not; blobs_draft_done() in any case.
 */
[[nodiscard]] int blobs_draft(struct blobs *blobs, int fd, struct blob_draft *ret_draft);
/*
 * Have its contents on the disk, still without a name: the longer part of blobs_keep(), for who has something to wait for
 * meanwhile. A fault is also told by blobs_keep().
 */
[[nodiscard]] int blobs_sync(struct blob_draft *draft);
/* Give a draft its name. Durable when it returns 0; keeping what is there already is done. */
[[nodiscard]] int blobs_keep(struct blob_draft *draft);
void blobs_draft_done(struct blob_draft *draft);

/* All at once: draft, keep, done. */
[[nodiscard]] int blobs_put(
	struct blobs *blobs, int fd, uint8_t ret_digest[static 32], uint64_t *ret_size);

enum blobs_answer { BLOBS_DONE = 0, BLOBS_ABSENT };

/* Open for reading: BLOBS_DONE and *ret_fd (the caller's), BLOBS_ABSENT, or a fault. */
[[nodiscard]] int blobs_get(
	struct blobs *blobs, const uint8_t digest[static 32], int *ret_fd, uint64_t *ret_size);
[[nodiscard]] int blobs_drop(struct blobs *blobs, const uint8_t digest[static 32]);
[[nodiscard]] int blobs_wipe(struct blobs *blobs);
