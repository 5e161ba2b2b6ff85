#pragma once
/*
 * Recursive loops are found by the trace header: each function that an invocation passes through is counted in its item
 * "Lineage=HASH:COUNT|HASH:COUNT…", which clients inside functions send on with what they invoke. "If your function is
 * invoked approximately 16 times in the same chain of requests, then Lambda automatically stops the next."
 */
#include "base/buf.h"

enum { LINEAGE_LOOP_MAX = 16, LINEAGE_ENTRIES_MAX = 20 };

/*
 * Append the header X-Amzn-Trace-Id as the function with this ARN gets it: everything else of `received` as it is, and its
 * own count. Returns how often the chain has passed through the function before; what is no lineage counts as none.
 */
unsigned lineage_step(str received, str arn, struct buf *out);
