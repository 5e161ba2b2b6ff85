/*
 * Finding runtime packs.
 *
 * Only files of root's that nobody else can write are run or trusted: this is the one place where something
 * outside of mayfly's own programs is executed by root, and only its version is asked for.
 */
#include "bin/packs.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "bin/probe.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VALUE_MAX = 1024 };

/* One pack.ini as it stands. */
struct manifest {
	char folder[PACK_PATH_MAX];
	char name[32];
	char language[64];
	char runtimes[VALUE_MAX];
	char start[16];
	char interpreter[VALUE_MAX];
	char version[VALUE_MAX]; /* the command that prints it */
	char oldest[32];
	char bind[64];
	char argv[VALUE_MAX];
	char env[VALUE_MAX];
};

/* What the placeholders of a manifest stand for. */
struct places {
	const char *interpreter;
	const char *bin; /* its folder */
	const char *version;
};

struct finder {
	struct packs *packs;
	struct buf *problems;
	struct probe_cache *cache;
};

/* --- reading a manifest --- */

static int manifest_line(void *context, const char *section, const char *name, const char *value)
{
	struct manifest *m = context;
	const struct {
		const char *name;
		char *to;
		size_t size;
	} keys[] = {
		{ "name", m->name, sizeof(m->name) },
		{ "language", m->language, sizeof(m->language) },
		{ "runtimes", m->runtimes, sizeof(m->runtimes) },
		{ "start", m->start, sizeof(m->start) },
		{ "interpreter", m->interpreter, sizeof(m->interpreter) },
		{ "version", m->version, sizeof(m->version) },
		{ "oldest", m->oldest, sizeof(m->oldest) },
		{ "bind", m->bind, sizeof(m->bind) },
		{ "argv", m->argv, sizeof(m->argv) },
		{ "env", m->env, sizeof(m->env) },
	};

	if (strcmp(section, "pack") != 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].name, name) != 0)
			continue;
		/* An indented line goes on with the value: inih gives the name again. */
		size_t len = strlen(keys[i].to);
		if (len && len + 1 < keys[i].size)
			keys[i].to[len++] = ' ';
		return str_to_array(str_of(value), keys[i].to + len, keys[i].size - len) == 0;
	}
	return 0;
}

static bool manifest_read(const char *folder, struct manifest *m, struct buf *problems)
{
	char path[PATH_MAX + 16];

	*m = (struct manifest){};
	snprintf(path, sizeof(path), "%s/pack.ini", folder);
	int line = ini_parse(path, manifest_line, m);
	if (str_to_array(str_of(folder), m->folder, sizeof(m->folder)) < 0)
		line = -1;
	if (line != 0) {
		buf_putf(problems, "%s: line %d is wrong\n", path, line);
		return false;
	}
	if (!m->name[0] || !m->runtimes[0] || !m->argv[0]) {
		buf_putf(problems, "%s: name, runtimes and argv are needed\n", path);
		return false;
	}
	if (strcmp(m->start, "exec") != 0) {
		buf_putf(problems, "%s: the start mode '%s' is not available, use exec\n", path,
			m->start);
		return false;
	}
	return true;
}

/* --- from a manifest to a spec --- */

/* The next word of a template: separated by spaces, a "quoted word" keeps its own. False at the end. */
static bool word_next(str *rest, str *ret_word)
{
	while (rest->len && rest->at[0] == ' ')
		*rest = str_from(*rest, 1);
	if (!rest->len)
		return false;
	if (rest->at[0] == '"') {
		*rest = str_from(*rest, 1);
		return str_cut(rest, '"', ret_word);
	}
	if (!str_cut(rest, ' ', ret_word)) {
		*ret_word = *rest;
		*rest = (str){};
	}
	return true;
}

/* Text with its placeholders filled in; {wanted} stays, the engine knows it. */
static bool text_expand(str text, const struct places *places, char *to, size_t size)
{
	const struct {
		str name;
		const char *value;
	} known[] = {
		{ S("interpreter}"), places->interpreter },
		{ S("bin}"), places->bin },
		{ S("version}"), places->version },
		{ S("pack}"), "/var/runtime" },
	};
	struct buf out;
	str head;

	buf_init(&out, size);
	while (str_cut(&text, '{', &head)) {
		buf_put(&out, head);
		size_t i = 0;
		while (i < ARRAY_LEN(known) && !str_starts(text, known[i].name))
			i++;
		if (i < ARRAY_LEN(known)) {
			buf_put(&out, str_of(known[i].value));
			text = str_from(text, known[i].name.len);
		} else {
			buf_put_char(&out, '{');
		}
	}
	buf_put(&out, text);
	bool is_right = !out.err && str_to_array(buf_str(&out), to, size) == 0;
	buf_done(&out);
	return is_right;
}

/* One alternative of argv. */
static bool argv_fill(struct pack_spec *spec, int which, str template, const struct places *places)
{
	str word;

	while (word_next(&template, &word)) {
		uint32_t at = spec->argc[which];
		if (at == PACK_ARGV_MAX ||
			!text_expand(word, places, spec->argv[which][at], PACK_PATH_MAX))
			return false;
		spec->argc[which]++;
	}
	return spec->argc[which] > 0 && spec->argv[which][0][0] == '/';
}

static bool spec_fill(struct pack_spec *spec, const struct manifest *m, const struct places *places)
{
	str rest = str_of(m->argv), alternative;

	while (str_next(&rest, '|', &alternative)) {
		if (spec->argv_alternatives == ARRAY_LEN(spec->argv) ||
			!argv_fill(spec, (int)spec->argv_alternatives, alternative, places))
			return false;
		spec->argv_alternatives++;
	}
	return str_to_array(str_of(m->name), spec->name, sizeof(spec->name)) == 0 &&
		str_to_array(str_of(m->folder), spec->folder, sizeof(spec->folder)) == 0 &&
		str_to_array(str_of(places->version), spec->version, sizeof(spec->version)) == 0;
}

/* What of the host the interpreter needs beyond the base root: a path relative to its folder. */
static bool spec_bind(struct pack_spec *spec, const char *relative, const char *bin)
{
	char path[PATH_MAX], real[PATH_MAX];

	if (!relative[0])
		return true;
	snprintf(path, sizeof(path), "%s/%s", bin, relative);
	if (!realpath(path, real) || strcmp(real, "/") == 0)
		return false;
	if (strcmp(real, "/usr") == 0 || strncmp(real, "/usr/", 5) == 0)
		return true;
	return str_to_array(str_of(real), spec->binds[spec->bind_count++], PACK_PATH_MAX) == 0;
}

static struct pack_found *finder_add(struct finder *finder)
{
	struct packs *packs = finder->packs;

	if (packs->count == PACKS_MAX) {
		buf_putf(finder->problems, "more than %d runtimes: the others are left out\n",
			PACKS_MAX);
		return NULL;
	}
	struct pack_found *found = &packs->found[packs->count];
	*found = (struct pack_found){};
	return found;
}

static bool found_fill(
	struct pack_found *found, const struct manifest *m, const struct places *places)
{
	return str_to_array(str_of(m->language), found->language, sizeof(found->language)) == 0 &&
		str_to_array(str_of(m->runtimes), found->runtimes, sizeof(found->runtimes)) == 0 &&
		text_expand(str_of(m->env), places, found->env, sizeof(found->env)) &&
		spec_fill(&found->spec, m, places) && spec_bind(&found->spec, m->bind, places->bin);
}

/* --- interpreters --- */

static bool has_version(const struct packs *packs, const char *name, const char *version)
{
	for (size_t i = 0; i < packs->count; i++) {
		if (strcmp(packs->found[i].spec.name, name) == 0 &&
			strcmp(packs->found[i].spec.version, version) == 0)
			return true;
	}
	return false;
}

/* "Python 3.11.2" and "v20.20.2" → the digits and dots. */
static bool version_cut(const char *line, char *to, size_t size)
{
	const char *from = line + strcspn(line, "0123456789");

	return from[0] && str_to_array((str){ from, strspn(from, "0123456789.") }, to, size) == 0;
}

static bool version_is_older(const char *version, const char *oldest)
{
	unsigned a[2] = {}, b[2] = {};

	sscanf(version, "%4u.%4u", &a[0], &a[1]);
	sscanf(oldest, "%4u.%4u", &b[0], &b[1]);
	return a[0] < b[0] || (a[0] == b[0] && a[1] < b[1]);
}

/* What the version command prints, from the cache when the interpreter is the same file. */
static bool interpreter_ask(struct finder *finder, const struct manifest *m,
	const struct places *places, char *to, size_t size)
{
	char words[PROBE_ARGV_MAX][VALUE_MAX];
	const char *argv[PROBE_ARGV_MAX + 1] = {};
	str rest = str_of(m->version), word;
	int count = 0;

	if (probe_cache_get(finder->cache, places->interpreter, "version", to, size))
		return true;
	while (word_next(&rest, &word)) {
		if (count == PROBE_ARGV_MAX || !text_expand(word, places, words[count], VALUE_MAX))
			return false;
		argv[count] = words[count];
		count++;
	}
	if (!count || probe_run(argv, to, size) < 0)
		return false;
	probe_cache_put(finder->cache, places->interpreter, "version", to);
	return true;
}

static void finder_try_interpreter(
	struct finder *finder, const struct manifest *m, const char *interpreter)
{
	char line[256], version[32], bin[PATH_MAX];
	struct places places = { .interpreter = interpreter, .bin = bin, .version = "" };

	snprintf(bin, sizeof(bin), "%s", interpreter);
	*strrchr(bin, '/') = '\0'; /* it is absolute */
	if (!interpreter_ask(finder, m, &places, line, sizeof(line)) ||
		!version_cut(line, version, sizeof(version))) {
		buf_putf(finder->problems, "%s: does not say its version\n", interpreter);
		return;
	}
	if (version_is_older(version, m->oldest) || has_version(finder->packs, m->name, version))
		return;
	places.version = version;
	struct pack_found *found = finder_add(finder);
	if (!found)
		return;
	if (!found_fill(found, m, &places) ||
		str_to_array(str_of(interpreter), found->interpreter, sizeof(found->interpreter)) <
			0) {
		buf_putf(finder->problems, "%s: its paths do not fit\n", interpreter);
		return;
	}
	finder->packs->count++;
}

static void finder_glob(struct finder *finder, const struct manifest *m, str pattern)
{
	char text[VALUE_MAX], real[PATH_MAX];
	glob_t matches = {};

	if (str_to_array(pattern, text, sizeof(text)) < 0 || glob(text, 0, NULL, &matches) != 0) {
		globfree(&matches);
		return;
	}
	for (size_t i = 0; i < matches.gl_pathc; i++) {
		if (!realpath(matches.gl_pathv[i], real) || strlen(real) >= PACK_PATH_MAX)
			continue;
		if (!probe_is_trusted(real)) {
			buf_putf(finder->problems,
				"%s: is not a program that only root can change: left out\n", real);
			continue;
		}
		finder_try_interpreter(finder, m, real);
	}
	globfree(&matches);
}

static void finder_take(struct finder *finder, const struct manifest *m)
{
	str rest = str_of(m->interpreter), pattern;

	if (m->interpreter[0]) {
		while (word_next(&rest, &pattern))
			finder_glob(finder, m, pattern);
		return;
	}
	struct pack_found *found = finder_add(finder);
	if (!found)
		return;
	if (found_fill(found, m, &(struct places){ "", "", "" }))
		finder->packs->count++;
	else
		buf_putf(finder->problems, "%s: its argv does not fit\n", m->folder);
}

/* --- all of them --- */

int packs_find(const char *folder, const char *cache, struct packs *ret_packs, struct buf *problems)
{
	struct packs packs = { .found = mem_new(PACKS_MAX, sizeof(struct pack_found)) };
	struct finder finder = { .packs = &packs, .problems = problems };
	struct dirent **entries = NULL;

	if (!packs.found)
		return err_raise(-ENOMEM);
	int count = scandir(folder, &entries, NULL, alphasort);
	if (count < 0)
		buf_putf(problems, "%s: %s\n", folder, strerror(errno));
	finder.cache = probe_cache_open(cache);
	for (int i = 0; i < count; i++) {
		char path[PATH_MAX], file[PATH_MAX + 16];
		struct manifest manifest;

		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		snprintf(file, sizeof(file), "%s/pack.ini", path);
		if (entries[i]->d_name[0] != '.' && access(file, R_OK) == 0 &&
			manifest_read(path, &manifest, problems))
			finder_take(&finder, &manifest);
		mem_free(entries[i]);
	}
	mem_free(entries);
	probe_cache_close(finder.cache);
	*ret_packs = packs;
	return 0;
}

void packs_done(struct packs *packs)
{
	mem_free(packs->found);
	*packs = (struct packs){};
}
