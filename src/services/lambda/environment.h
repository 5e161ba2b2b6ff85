#pragma once
/* The environment variables of a version. */
#include "services/lambda/names.h"
#include "services/lambda/tree.h"

/*
 * The Environment parameter, if given, into a configuration: 0, CALL_ERROR (too large, or names that are reserved),
 * or a fault. Without Variables in it, there is no environment.
 */
[[nodiscard]] int lambda_environment_set(struct call *call, struct tree *config);
