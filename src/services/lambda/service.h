#pragma once
/* AWS Lambda: the table of its operations, and what it does at the start of a node. */
#include "aws/call.h"

extern const struct call_service lambda_service;

/*
 * Finish what the last process has left unfinished: states of functions, deletions, ZIPs without users. Worker; blocks.
 * Calls may already be served: whatever they meet unfinished, they finish themselves.
 */
[[nodiscard]] int lambda_start(struct platform *platform);
