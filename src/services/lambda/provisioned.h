#pragma once
/* Provisioned concurrency as the engine has to know it: see provisioned.c. */
#include "services/lambda/records.h"

struct call;
struct lambda_ref;

/*
 * Let the engine know what is provisioned for a function by now: after every change of it, or of what its aliases lead
 * to, was committed. 0 or a fault. Worker; blocks.
 */
[[nodiscard]] int lambda_provision_tell(const struct lambda_scope *scope, str name);

/* The same for all functions: at the start. 0 or a fault. Worker; blocks. */
[[nodiscard]] int lambda_provision_tell_all(struct platform *platform);

/*
 * An alias with provisioned concurrency must not lead to a version that has some of its own: 0, CALL_ERROR or a
 * fault. `alias` is what it would be.
 */
[[nodiscard]] int lambda_provision_check_alias(
	struct call *call, const struct lambda_ref *ref, const json_t *alias);

/* Take what is provisioned for a qualifier (empty: for all of the function) away, with the rest of the batch. */
[[nodiscard]] int lambda_provision_drop(struct batch *batch, str name, str qualifier);
