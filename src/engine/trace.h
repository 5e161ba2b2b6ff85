#pragma once
/* Traces of X-Ray that begin here: model/trace.h, with the time and randomness that it asks for. */
#include "model/trace.h"

/* The trace that a request belongs to: the one that it names, or a new one (of which nobody has decided yet). */
void trace_make(str received, char to[static TRACE_MAX]);
/* The function's own, see trace_decide(). */
void trace_sample(bool is_active, char trace[static TRACE_MAX]);
