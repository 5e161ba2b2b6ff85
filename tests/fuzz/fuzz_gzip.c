/* Gzip: it comes out whole, or not at all, and never more than may. */
#include "fuzz.h"

#include "wire/gzip.h"

enum { CEILING = 64 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str packed = { (const char *)data, size };
	struct buf plain;

	buf_init(&plain, CEILING);
	int r = gzip_unpack(packed, &plain);
	HOLDS(r == GZIP_DONE || r == GZIP_BAD || r == GZIP_LARGE);
	HOLDS(plain.len <= CEILING && !plain.err);
	buf_done(&plain);
	return 0;
}
