/*
 * AWS's ids of zones begin with the region's name, its words cut to initials ("Availability Zone IDs": use1, apse2, usgw1). A
 * word that AWS has not is kept.
 */
#include "model/zone.h"

#include "base/attr.h"

static str zone_initials(str word)
{
	static const struct {
		str word, initials;
	} words[] = {
		{ S_INIT("east"), S_INIT("e") },
		{ S_INIT("west"), S_INIT("w") },
		{ S_INIT("north"), S_INIT("n") },
		{ S_INIT("south"), S_INIT("s") },
		{ S_INIT("central"), S_INIT("c") },
		{ S_INIT("northeast"), S_INIT("ne") },
		{ S_INIT("northwest"), S_INIT("nw") },
		{ S_INIT("southeast"), S_INIT("se") },
		{ S_INIT("southwest"), S_INIT("sw") },
		{ S_INIT("gov"), S_INIT("g") },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq(word, words[i].word))
			return words[i].initials;
	return word;
}

void zone_put_id(struct buf *out, str region)
{
	str rest = region, word;

	while (str_next(&rest, '-', &word))
		buf_put(out, zone_initials(word));
	buf_put(out, S("-az1"));
}
