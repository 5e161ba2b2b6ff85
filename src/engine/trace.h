#pragma once
/* The trace header of X-Ray. */

enum { TRACE_SIZE = 96 };

/* A new one, for what nobody has traced so far: "Root=…;Parent=…;Sampled=0", NUL-terminated. */
void trace_new(char to[static TRACE_SIZE]);
