/* Times: what was read is written and read again as the same; any number of ms can be written. */
#include "fuzz.h"

#include "base/attr.h"
#include "wire/timestamp.h"

#include <errno.h>
#include <string.h>

#define LAST_MS 253402300799999ULL /* 9999-12-31T23:59:59.999Z */

static void hold_reading_back(const struct buf *text, uint64_t want_ms)
{
	uint64_t ms = 0;

	HOLDS(!text->err && timestamp_parse(buf_str(text), &ms) == 0 && ms == want_ms);
}

static void hold_writing(uint64_t ms)
{
	struct buf text;
	uint64_t kept = MIN(ms, LAST_MS);

	buf_init(&text, 100);
	timestamp_put_iso8601(&text, ms, true);
	hold_reading_back(&text, kept);
	buf_clear(&text);
	timestamp_put_lambda(&text, ms);
	hold_reading_back(&text, kept);
	buf_clear(&text);
	timestamp_put_iso8601(&text, ms, false);
	hold_reading_back(&text, kept - kept % 1000);
	buf_clear(&text);
	timestamp_put_http(&text, ms);
	hold_reading_back(&text, kept - kept % 1000);
	buf_clear(&text);
	timestamp_put_date_path(&text, ms);
	HOLDS(text.len == strlen("yyyy/mm/dd"));
	buf_done(&text);
}

/* The basic form is the other one without its punctuation. */
static void hold_basic(str text, uint64_t ms)
{
	struct buf iso, basic;

	buf_init(&iso, 100);
	buf_init(&basic, 100);
	timestamp_put_iso8601(&iso, ms, false);
	for (size_t i = 0; i < iso.len; i++) {
		if (iso.at[i] != '-' && iso.at[i] != ':')
			buf_put_char(&basic, iso.at[i]);
	}
	HOLDS(str_eq(buf_str(&basic), text));
	buf_done(&iso);
	buf_done(&basic);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str text = { (const char *)data, size };
	uint64_t ms = 0;

	int r = timestamp_parse(text, &ms);
	HOLDS(r == 0 || r == -EINVAL);
	if (r == 0) {
		HOLDS(ms <= LAST_MS + 24 * 3'600'000); /* a zone may lead beyond the year */
		hold_writing(ms);
	}
	r = timestamp_parse_basic(text, &ms);
	HOLDS(r == 0 || r == -EINVAL);
	if (r == 0)
		hold_basic(text, ms);
	if (size >= sizeof(ms)) {
		memcpy(&ms, data, sizeof(ms));
		hold_writing(ms >> data[0] % 64);
	}
	return 0;
}
