#pragma once
/*
 * Documents with revisions: the one way that services keep state. Written for an
 * embedded engine (SQLite, here) and a distributed one alike: get, put if the revision is
 * still this one, delete, list by prefix, and small atomic batches.
 *
 * Thread-safe: call from worker threads only (they block on the disk). What a call has
 * acknowledged survives a power cut.
 */
#include "base/buf.h"

struct docs;

/* Open or create `path` (relative to the working directory). */
[[nodiscard]] int docs_open(const char *path, struct docs **ret_docs);
void docs_close(struct docs *docs);

enum docs_answer {
	DOCS_DONE = 0,
	DOCS_ABSENT,   /* no such document */
	DOCS_CONFLICT, /* the revision is another by now: nothing was written */
};

/* Revisions to expect in a put or delete. A stored document's revision is at least 1. */
#define DOCS_NEW ((uint64_t)0) /* it must not exist */
#define DOCS_ANY UINT64_MAX    /* whatever there is */

enum { DOCS_KEY_MAX = 1024, DOCS_VALUE_MAX = 16 * 1024 * 1024, DOCS_BATCH_MAX = 64 };

/* Append the value to `value` (may be NULL) and set *ret_revision (may be NULL). DOCS_DONE, DOCS_ABSENT or a fault. */
[[nodiscard]] int docs_get(
	struct docs *docs, str kind, str key, struct buf *value, uint64_t *ret_revision);

struct docs_write {
	str kind;
	str key;
	str value;	 /* at == NULL: delete */
	uint64_t expect; /* DOCS_NEW, DOCS_ANY or a revision */
};

/*
 * Do all the writes or none. DOCS_DONE; DOCS_CONFLICT (an expectation of a put or delete failed; deleting what is
 * absent with DOCS_ANY is done); or a fault. *ret_revision (may be NULL): the new revision, the same for all.
 */
[[nodiscard]] int docs_write(
	struct docs *docs, const struct docs_write *writes, size_t count, uint64_t *ret_revision);

/*
 * The same, but on the disk only with the next docs_write(): a power cut may undo it, as if it had not been. For what can be
 * done again.
 */
[[nodiscard]] int docs_write_soon(
	struct docs *docs, const struct docs_write *writes, size_t count, uint64_t *ret_revision);

/* Called for each document in key order; return non-zero to stop. The views die on return. */
typedef int docs_each_fn(void *context, str key, str value, uint64_t revision);

/*
 * List documents whose key begins with `prefix` and sorts after `after` (empty = from the
 * start), at most `limit` (0 = no limit). 0, or a fault.
 */
[[nodiscard]] int docs_list(struct docs *docs, str kind, str prefix, str after, size_t limit,
	docs_each_fn *each, void *context);

/* Remove everything of every kind (test controls). */
[[nodiscard]] int docs_wipe(struct docs *docs);
