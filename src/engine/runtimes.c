/*
 * Installed runtimes.
 *
 * AWS names a runtime by language and version ("python3.12", "nodejs20.x", "provided.al2023"). The
 * version here is the name's digits and dots; a pack serves it exactly when its own version begins
 * with them at a dot. Otherwise the nearest version stands in: same language, smallest step of the
 * major version, then of the minor, the newer one of two equally near.
 */
#include "engine/runtimes.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION_PARTS = 2, MAJOR_WEIGHT = 1000 };

struct runtimes {
	struct runtime_pack packs[PACKS_MAX];
	char *texts[PACKS_MAX];
	size_t count;
};

int runtimes_new(struct runtimes **ret_runtimes)
{
	struct runtimes *runtimes = mem_one(struct runtimes);
	if (!runtimes)
		return err_raise(-ENOMEM);

	*ret_runtimes = runtimes;
	return 0;
}

void runtimes_free(struct runtimes *runtimes)
{
	for (size_t i = 0; runtimes && i < runtimes->count; i++)
		mem_free(runtimes->texts[i]);
	mem_free(runtimes);
}

/* Copy one view into the block and move on. */
static str text_put(char **at, str s)
{
	str copy = { *at, s.len };

	if (s.len)
		memcpy(*at, s.at, s.len);
	*at += s.len;
	return copy;
}

int runtimes_add(struct runtimes *runtimes, const struct runtime_pack *pack)
{
	size_t len = 1 + pack->name.len + pack->language.len + pack->version.len + pack->names.len +
		pack->start_env.len;

	if (runtimes->count == PACKS_MAX || pack->env_count > RUNTIME_ENV_MAX)
		return err_raise(-E2BIG);
	for (uint32_t i = 0; i < pack->env_count; i++)
		len += pack->env[i].len;
	char *text = mem_new(1, len), *at = text;
	if (!text)
		return err_raise(-ENOMEM);

	struct runtime_pack *copy = &runtimes->packs[runtimes->count];
	*copy = *pack;
	copy->name = text_put(&at, pack->name);
	copy->language = text_put(&at, pack->language);
	copy->version = text_put(&at, pack->version);
	copy->names = text_put(&at, pack->names);
	copy->start_env = text_put(&at, pack->start_env);
	for (uint32_t i = 0; i < pack->env_count; i++)
		copy->env[i] = text_put(&at, pack->env[i]);
	runtimes->texts[runtimes->count++] = text;
	return 0;
}

const struct runtime_pack *runtimes_at(const struct runtimes *runtimes, size_t i)
{
	return i < runtimes->count ? &runtimes->packs[i] : NULL;
}

static bool pack_serves(const struct runtime_pack *pack, str name)
{
	str rest = pack->names, item;

	while (str_next(&rest, ' ', &item)) {
		if (str_eq(item, name))
			return true;
	}
	return false;
}

str runtime_name_version(str name)
{
	size_t from = 0;

	while (from < name.len && (name.at[from] < '0' || name.at[from] > '9') &&
		name.at[from] != '.')
		from++;
	str version = str_from(name, from);
	size_t len = 0;
	while (len < version.len &&
		((version.at[len] >= '0' && version.at[len] <= '9') || version.at[len] == '.'))
		len++;
	while (len && version.at[len - 1] == '.')
		len--;
	version.len = len;
	return version.len && version.at[0] != '.' ? version : S("");
}

static long version_number(str version)
{
	long number = 0;
	str part;

	for (int i = 0; i < VERSION_PARTS; i++) {
		uint64_t value = 0;
		if (str_next(&version, '.', &part) &&
			str_to_u64(part, MAJOR_WEIGHT - 1, &value) < 0)
			value = 0;
		number = number * MAJOR_WEIGHT + (long)value;
	}
	return number;
}

static bool version_is(str version, str wanted)
{
	return str_starts(version, wanted) &&
		(version.len == wanted.len || !wanted.len || version.at[wanted.len] == '.');
}

enum runtime_match runtimes_find(
	const struct runtimes *runtimes, str name, const struct runtime_pack **ret_pack)
{
	str wanted = runtime_name_version(name);
	const struct runtime_pack *best = NULL;
	long best_step = 0;

	for (size_t i = 0; i < runtimes->count; i++) {
		const struct runtime_pack *pack = &runtimes->packs[i];
		if (pack->is_incomplete || !pack_serves(pack, name))
			continue;
		if (version_is(pack->version, wanted)) {
			*ret_pack = pack;
			return RUNTIME_EXACT;
		}
		long step = labs(version_number(pack->version) - version_number(wanted));
		bool is_newer = best &&
			version_number(pack->version) > version_number(best->version);
		if (!best || step < best_step || (step == best_step && is_newer)) {
			best = pack;
			best_step = step;
		}
	}
	if (!best)
		return RUNTIME_NONE;
	*ret_pack = best;
	return RUNTIME_NEAREST;
}

const struct runtime_pack *runtimes_find_incomplete(const struct runtimes *runtimes, str name)
{
	for (size_t i = 0; i < runtimes->count; i++) {
		if (runtimes->packs[i].is_incomplete && pack_serves(&runtimes->packs[i], name))
			return &runtimes->packs[i];
	}
	return NULL;
}

bool runtime_reads_at_start(const struct runtime_pack *pack, str variable)
{
	str rest = pack->start_env, word;

	while (str_next(&rest, ' ', &word)) {
		if (str_eq(word, variable))
			return true;
		if (str_ends(word, S("*"))) {
			word.len--;
			if (str_starts(variable, word))
				return true;
		}
	}
	return false;
}
