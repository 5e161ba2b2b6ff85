#pragma once
/*
 * SnapStart: "Lambda takes a snapshot of the memory … of the initialised execution environment" when a
 * version is published, and later environments are restored from it. See snapshot.c.
 */
#include "services/lambda/records.h"

/* Does a configuration ask for snapshots of its published versions? */
[[nodiscard]] bool lambda_snapshot_is_wanted(const json_t *config);

/*
 * A version is being published that wants a snapshot: note it in the batch. Its configuration stays
 * Pending until the snapshot is there, or cannot be.
 */
void lambda_snapshot_note(
	struct batch *batch, const struct function_record *function, uint64_t number);

/* The batch was committed: make the snapshot, soon, on the loop and other workers. */
void lambda_snapshot_later(const struct function_record *function, uint64_t number);

/* Go on with those that an earlier life of the daemon has not finished. Worker; at the start. */
[[nodiscard]] int lambda_snapshot_resume(struct platform *platform);

/* Remove images of versions that are gone. Worker; blocks. */
void lambda_snapshot_sweep(struct platform *platform);
