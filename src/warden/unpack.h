#pragma once
/* What mayfly-unpack says at its end, on its standard output, to who started it. */
#include <stdint.h>

struct unpack_report {
	uint32_t answer; /* enum unpack_answer of wire/frames.h */
	uint32_t error;	 /* errno, of UNPACK_FAULT */
	uint64_t bytes;	 /* of all files */
};
