#pragma once
/* Is an invocation's payload JSON, and how Lambda says that it is not. */
#include "base/buf.h"

/* True when it is; otherwise the message of InvalidRequestContentException is appended to `message`. */
bool payload_check(str payload, struct buf *message);
