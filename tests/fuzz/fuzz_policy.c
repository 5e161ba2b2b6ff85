/*
 * Sources and the patterns that policies have for them: the first line is an ARN, the rest a pattern. Comparing ends, and what
 * is no pattern is like itself only.
 */
#include "fuzz.h"

#include "model/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { ARN_COLONS = 5 };
	str pattern = { (const char *)data, size }, arn = pattern;
	size_t colons = 0;

	if (!str_cut(&pattern, '\n', &arn))
		pattern = arn;
	bool is_like = policy_arn_is_like(arn, pattern);
	bool is_plain = str_find(pattern, '*') < 0 && str_find(pattern, '?') < 0;
	for (size_t i = 0; i < arn.len; i++)
		colons += arn.at[i] == ':';
	HOLDS(!is_like || colons >= ARN_COLONS);
	if (is_plain && colons >= ARN_COLONS)
		HOLDS(is_like == str_eq(arn, pattern));
	HOLDS(policy_arn_is_like(arn, S("*:*:*:*:*:*")) == (colons >= ARN_COLONS));
	return 0;
}
