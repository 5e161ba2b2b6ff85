#pragma once
/* What is left below a deleted function. */
#include "services/lambda/records.h"

/* Remove what a crash has left below deleted functions: at the start. Worker; blocks. */
[[nodiscard]] int lambda_delete_leftovers(struct platform *platform);
