/* One piece of memory: the set, its table, and then the texts that the table views. */
#include "aws/keys.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

static str text_take(char **at, str text)
{
	str copy = { *at, text.len };

	if (text.len)
		memcpy(*at, text.at, text.len);
	*at += text.len;
	return copy;
}

struct front_keys *front_keys_new(const struct front_key *keys, size_t count)
{
	size_t size = sizeof(struct front_keys) + count * sizeof(*keys);
	size_t texts = size;

	for (size_t i = 0; i < count; i++)
		size += keys[i].access_key.len + keys[i].secret.len;
	struct front_keys *set = mem_new(1, size);
	if (!set)
		return NULL;
	set->references = 1;
	set->count = count;
	set->keys = (struct front_key *)(set + 1);
	char *at = (char *)set + texts;
	for (size_t i = 0; i < count; i++) {
		set->keys[i].access_key = text_take(&at, keys[i].access_key);
		set->keys[i].secret = text_take(&at, keys[i].secret);
	}
	return set;
}

struct front_keys *front_keys_ref(struct front_keys *keys)
{
	keys->references++;
	return keys;
}

void front_keys_unref(struct front_keys *keys)
{
	if (!keys)
		return;
	assert(keys->references > 0);
	if (--keys->references == 0)
		mem_free(keys);
}
