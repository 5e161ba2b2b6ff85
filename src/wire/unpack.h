#pragma once
/* How unpacking went. Included by wire/frames.h, to which it belongs. */
#include <stdint.h>

enum unpack_answer {
	UNPACK_DONE,
	UNPACK_NOT_A_ZIP, /* or a broken or hostile one (escaping names, devices…) */
	UNPACK_TOO_LARGE, /* above bytes_max or entries_max */
	UNPACK_FAULT,	  /* ours: disk full, no process, … */
};
enum {
	UNPACK_EXTENSIONS = 1
}; /* as `detail` of UNPACK_DONE: there is a directory, or so, of that name */

/* The same, as mayfly-unpack says it at its end to who started it. */
struct unpack_report {
	uint32_t answer, detail;
	uint64_t bytes;
};
