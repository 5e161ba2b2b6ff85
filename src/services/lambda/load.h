#pragma once
/* Functions as the engine runs them, read from the store. */
#include "engine/platform.h"

struct function_record;

/* What a version or alias of the function leads to: as below. */
[[nodiscard]] int lambda_load_qualifier(
	const struct function_record *function, str qualifier, struct function_target **ret_target);

/*
 * See load_target_fn: what a name and a qualifier lead to. LOAD_DONE and *ret_target (the caller's), another load_answer,
 * or a fault. Worker; blocks. A state whose follow-up was lost is finished first.
 */
[[nodiscard]] int lambda_load_target(struct platform *platform, str account, str region, str name,
	str qualifier, struct function_target **ret_target);
