/*
 * Filter patterns of CloudWatch Logs: the first line is a pattern, the rest a message. Whatever
 * they are, the pattern is understood or refused with a reason, twice the same, and running it ends.
 */
#include "fuzz.h"

#include "services/logs/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str rest = { (const char *)data, size };
	str text = rest;
	str message = S("");
	if (str_cut(&rest, '\n', &text))
		message = rest;

	bool is_hit[2] = {};
	int answers[2];
	for (int i = 0; i < 2; i++) {
		struct arena arena;
		struct pattern *pattern = NULL;
		str reason = {};

		arena_init(&arena, 16 * 1024 * 1024);
		answers[i] = pattern_parse(&arena, text, &pattern, &reason);
		HOLDS(answers[i] == PATTERN_DONE || answers[i] == PATTERN_BAD);
		HOLDS((answers[i] == PATTERN_BAD) == (reason.len > 0));
		HOLDS((answers[i] == PATTERN_DONE) == (pattern != NULL));
		if (pattern)
			is_hit[i] = pattern_matches(pattern, message);
		pattern_free(pattern);
		arena_done(&arena);
	}
	HOLDS(answers[0] == answers[1] && is_hit[0] == is_hit[1]);
	return 0;
}
