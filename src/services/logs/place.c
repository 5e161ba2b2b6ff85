/* 28 digits of milliseconds, 28 of the id. */
#include "services/logs/place.h"

#include <assert.h>
#include <stdio.h>

void place_print(struct place place, char to[static PLACE_LEN + 1])
{
	int len = snprintf(to, PLACE_LEN + 1, "%028llu%028llu", (unsigned long long)place.ms,
		(unsigned long long)place.id);
	assert(len == PLACE_LEN);
	(void)len;
}

bool place_parse(str text, struct place *ret_place)
{
	struct place place;

	if (text.len != PLACE_LEN)
		return false;
	if (str_to_u64(str_slice(text, 0, PLACE_LEN / 2), INT64_MAX, &place.ms) < 0 ||
		str_to_u64(str_from(text, PLACE_LEN / 2), INT64_MAX, &place.id) < 0)
		return false;
	*ret_place = place;
	return true;
}
