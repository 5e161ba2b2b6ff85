#pragma once
/* Which runtime and which architecture a version asks for. */
#include "services/lambda/names.h"
#include "services/lambda/tree.h"

/*
 * The Runtime parameter, if given, into a configuration, with the version that it will run on here: 0, CALL_ERROR
 * (unknown, retired, or not installed on a strict node), or a fault in config->err.
 */
[[nodiscard]] int lambda_runtime_set(struct call *call, struct tree *config);

/* The same for Architectures: only this machine's can run. */
[[nodiscard]] int lambda_architecture_set(struct call *call, struct tree *config);

/* What this machine runs, in AWS's words. */
str lambda_architecture_host(void);
