#pragma once
/* Published versions: frozen copies of $LATEST. */
#include "services/lambda/names.h"

enum publish_state {
	PUBLISH_READY,	  /* $LATEST is active, and so is the copy */
	PUBLISH_PENDING,  /* published together with a change: its states wait for the follow-up */
	PUBLISH_SNAPSHOT, /* a snapshot is made of it: its states wait for that */
};

/*
 * Freeze $LATEST of a function into its next version, in the batch; the function's document (NextVersion) changes and
 * is put by the caller. `description` replaces that of $LATEST unless at == NULL. 0, *ret_number and *ret_config (the
 * caller's to json_decref()), or a fault.
 */
[[nodiscard]] int lambda_publish(struct batch *batch, struct function_record *function,
	enum publish_state state, str description, uint64_t *ret_number, json_t **ret_config);

/* The newest version, if nothing has changed since it was published: RECORD_FOUND and its document, or RECORD_ABSENT, or a fault. */
[[nodiscard]] int lambda_publish_unchanged(
	const struct function_record *function, json_t **ret_version_doc);
