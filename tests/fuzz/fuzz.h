#pragma once
/*
 * What the fuzz targets share. A target feeds foreign bytes to one parser and holds what must be
 * true whatever they are; the sanitizers see to the rest.
 */
#include "base/buf.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

/* libFuzzer calls it with each input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* End the run when what must hold does not. */
#define HOLDS(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

/* Does this view lie in those bytes (or is it empty)? */
static inline bool fuzz_is_inside(str view, str bytes)
{
	return view.len == 0 || (view.at >= bytes.at && view.at + view.len <= bytes.at + bytes.len);
}
