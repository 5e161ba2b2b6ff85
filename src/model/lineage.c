/*
 * The hash is FNV-1a of the ARN: it has to be the same in every process and says nothing that is secret. A chain through more
 * functions than there are entries forgets the one that it has met least.
 */
#include "model/lineage.h"

#include "base/attr.h"

#include <stdio.h>

enum { HASH_LEN = 8, COUNT_MAX = 1'000'000 };

struct lineage_entry {
	str hash;
	uint64_t count;
};

struct lineage {
	struct lineage_entry entries[LINEAGE_ENTRIES_MAX];
	size_t count;
};

static void hash_arn(str arn, char to[static HASH_LEN + 1])
{
	uint32_t value = 0x811c9dc5;

	for (size_t i = 0; i < arn.len; i++)
		value = (value ^ (unsigned char)arn.at[i]) * 0x01000193;
	(void)snprintf(to, HASH_LEN + 1, "%08x", value);
}

static bool is_hash(str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
	}
	return text.len == HASH_LEN;
}

static void lineage_read(str text, struct lineage *lineage)
{
	str item, hash;
	uint64_t count;

	while (lineage->count < LINEAGE_ENTRIES_MAX && str_next(&text, '|', &item))
		if (str_cut(&item, ':', &hash) && is_hash(hash) &&
			str_to_u64(item, COUNT_MAX, &count) == 0)
			lineage->entries[lineage->count++] = (struct lineage_entry){ hash, count };
}

/* Where the function is counted; made when it was not met, in the place of the least when there is no other. */
static unsigned lineage_count(struct lineage *lineage, str hash)
{
	size_t least = 0;

	for (size_t i = 0; i < lineage->count; i++) {
		struct lineage_entry *entry = &lineage->entries[i];
		if (str_eq(entry->hash, hash)) {
			entry->count = MIN(entry->count + 1, (uint64_t)COUNT_MAX);
			return (unsigned)entry->count;
		}
		if (entry->count < lineage->entries[least].count)
			least = i;
	}
	if (lineage->count < LINEAGE_ENTRIES_MAX)
		least = lineage->count++;
	lineage->entries[least] = (struct lineage_entry){ hash, 0 };
	return 0;
}

unsigned lineage_step(str received, str arn, struct buf *out)
{
	struct lineage lineage = {};
	char hash[HASH_LEN + 1];
	str item;

	while (received.len && str_next(&received, ';', &item)) {
		if (str_starts(item, S("Lineage="))) {
			lineage_read(str_from(item, 8), &lineage);
			continue;
		}
		buf_put(out, item);
		buf_put_char(out, ';');
	}
	hash_arn(arn, hash);
	unsigned before = lineage_count(&lineage, str_of(hash));
	for (size_t i = 0; i < lineage.count; i++)
		buf_putf(out, "%s" STR_FMT ":%u",
			i ? "|" : "Lineage=", STR_ARG(lineage.entries[i].hash),
			(unsigned)lineage.entries[i].count);
	return before;
}
