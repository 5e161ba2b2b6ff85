#pragma once
/* Tags of functions. */
#include "services/lambda/names.h"

/*
 * May these tags be added to those that are there (NULL: none)? 0, or CALL_ERROR: a key or value of the wrong form, or
 * more than 50 in all.
 */
[[nodiscard]] int lambda_check_tags(struct call *call, const json_t *there, const json_t *tags);
