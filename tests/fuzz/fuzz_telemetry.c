/*
 * Subscriptions to telemetry: what is understood leads to a port of the sandbox's own, and stands in the head of a request
 * without ending it; what is not is refused with a reason.
 */
#include "fuzz.h"

#include "engine/telemetry_request.h"

#include <string.h>

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text >= 0x7f)
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char room[TELEMETRY_FAULTS_MAX];
	struct telemetry_wish wish;
	struct buf faults;

	if (!size)
		return 0;
	buf_init_over(&faults, room, sizeof(room));
	str body = { (const char *)data + 1, size - 1 };
	if (!telemetry_parse(body, data[0] & 1, &wish, &faults)) {
		HOLDS(faults.len > 0);
		return 0;
	}
	HOLDS(wish.types > 0 && wish.types < 8);
	HOLDS(wish.port != 0 && wish.port != 9001 && wish.port != 4566);
	HOLDS(wish.bytes_max >= 262144 && wish.bytes_max <= TELEMETRY_BYTES_MAX);
	HOLDS(wish.timeout_ms >= 25 && wish.timeout_ms <= 30000);
	HOLDS(wish.items_max > 0 && wish.items_max <= 10000);
	HOLDS(wish.path[0] == '/' && is_plain(wish.path) && is_plain(wish.host));
	return 0;
}
