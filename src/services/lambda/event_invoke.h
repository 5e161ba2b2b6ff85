#pragma once
/* How a function, version or alias is invoked asynchronously: what has been configured for it. */
#include "services/lambda/records.h"

/*
 * The configuration of this qualifier ("$LATEST", a version or an alias), with the members of the model, LastModified in
 * milliseconds and empty destinations left out: RECORD_FOUND and *ret_doc (the caller's), RECORD_ABSENT or a fault.
 */
[[nodiscard]] int event_invoke_record_get(const struct function_record *function, str qualifier,
	json_t **ret_doc, uint64_t *ret_revision);
