/* The lineage of a trace: a step always fits, and the next one counts one more. */
#include "fuzz.h"

#include "model/lineage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str header = { (const char *)data, size };
	struct buf once, twice;

	buf_init(&once, size + 1024);
	buf_init(&twice, size + 2048);
	unsigned before = lineage_step(header, S("arn"), &once);
	HOLDS(!once.err);
	unsigned after = lineage_step(buf_str(&once), S("arn"), &twice);
	HOLDS(!twice.err);
	HOLDS(after == before + 1 || after == 1'000'000);
	buf_done(&once);
	buf_done(&twice);
	return 0;
}
