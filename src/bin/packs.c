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

enum { VALUE_MAX = 1024, VERSION_MAX = 32, AHEAD_MAX = 64 };

/* One pack.ini as it stands. */
struct manifest {
	char folder[PACK_PATH_MAX];
	char name[32];
	char language[64];
	char runtimes[VALUE_MAX];
	char start[16];
	char interpreter[VALUE_MAX];
	char version[VALUE_MAX]; /* the command that prints it */
	char oldest[16];	 /* the first version that the pack can run */
	char prefix[VALUE_MAX];	 /* the command that prints what to bind */
	char argv[VALUE_MAX];
	char env[VALUE_MAX];
	char start_env[512];
	char needs[VALUE_MAX]; /* files below the folder that are installed later */
	char binds[VALUE_MAX]; /* patterns of paths on the host */
};

/* What the placeholders of a manifest stand for. */
struct places {
	const char *interpreter;
	const char *version;
};

/* A question to an interpreter that was put before its turn: see finder_ask_ahead(). */
struct ahead {
	char interpreter[PACK_PATH_MAX];
	const char *what;
	struct probe probe;
	bool is_answered;
};

struct finder {
	struct packs *packs;
	struct buf *problems;
	struct probe_cache *cache;
	struct ahead *ahead;
	size_t ahead_count;
	bool is_ahead; /* this pass only puts questions */
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
		{ "prefix", m->prefix, sizeof(m->prefix) },
		{ "argv", m->argv, sizeof(m->argv) },
		{ "env", m->env, sizeof(m->env) },
		{ "start_env", m->start_env, sizeof(m->start_env) },
		{ "needs", m->needs, sizeof(m->needs) },
		{ "binds", m->binds, sizeof(m->binds) },
	};

	if (strcmp(section, "pack") != 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].name, name) != 0)
			continue;
		/* Twice is a mistake, and so is an indented line: inih gives its name again. */
		return !keys[i].to[0] && str_to_array(str_of(value), keys[i].to, keys[i].size) == 0;
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
	if (strcmp(m->start, "exec") != 0 && strcmp(m->start, "fork") != 0 &&
		strcmp(m->start, "stem") != 0) {
		buf_putf(problems, "%s: there is no start mode '%s', use exec, fork or stem\n",
			path, m->start);
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

/* Text with its placeholders filled in. */
static bool text_expand(str text, const struct places *places, char *to, size_t size)
{
	const struct {
		str name;
		const char *value;
	} known[] = {
		{ S("interpreter}"), places->interpreter },
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

/* What a zygote is started with: the words of `env`, each ended by a NUL. */
static bool spec_fill_env(struct pack_spec *spec, str words)
{
	str word;
	struct buf out;

	buf_init_over(&out, spec->env, sizeof(spec->env));
	while (word_next(&words, &word)) {
		buf_put(&out, word);
		buf_put_char(&out, '\0');
	}
	spec->env_len = (uint32_t)out.len;
	return !out.err;
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
	spec->start = strcmp(m->start, "fork") == 0 ? START_FORK : START_EXEC;
	return spec_fill_env(spec, str_of(m->env)) &&
		str_to_array(str_of(m->name), spec->name, sizeof(spec->name)) == 0 &&
		str_to_array(str_of(m->folder), spec->folder, sizeof(spec->folder)) == 0 &&
		str_to_array(str_of(places->version), spec->version, sizeof(spec->version)) == 0;
}

/* What of the host the interpreter needs beyond the base root. */
static bool spec_bind(struct pack_spec *spec, const char *path)
{
	if (!path[0] || strcmp(path, "/usr") == 0 || strncmp(path, "/usr/", 5) == 0)
		return true;
	if (path[0] != '/' || path[1] == '\0' || spec->bind_count == PACK_BINDS_MAX)
		return false;
	return str_to_array(str_of(path), spec->binds[spec->bind_count++], PACK_PATH_MAX) == 0;
}

/* Every match of every pattern; what is not there is not needed. */
static bool spec_bind_all(struct pack_spec *spec, const struct manifest *m)
{
	str rest = str_of(m->binds), pattern;
	char text[VALUE_MAX];
	bool is_right = true;

	while (is_right && word_next(&rest, &pattern)) {
		glob_t matches = {};
		is_right = str_to_array(pattern, text, sizeof(text)) == 0;
		if (is_right && glob(text, 0, NULL, &matches) == 0) {
			for (size_t i = 0; is_right && i < matches.gl_pathc; i++)
				is_right = spec_bind(spec, matches.gl_pathv[i]);
		}
		globfree(&matches);
	}
	return is_right;
}

/* Are all files there that the manifest names as needed? */
static bool manifest_is_complete(const struct manifest *m)
{
	str rest = str_of(m->needs), name;
	char path[PATH_MAX + VALUE_MAX];

	while (word_next(&rest, &name)) {
		snprintf(path, sizeof(path), "%s/" STR_FMT, m->folder, STR_ARG(name));
		if (access(path, R_OK) < 0)
			return false;
	}
	return true;
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
	found->is_incomplete = !manifest_is_complete(m);
	return str_to_array(str_of(m->language), found->language, sizeof(found->language)) == 0 &&
		str_to_array(str_of(m->runtimes), found->runtimes, sizeof(found->runtimes)) == 0 &&
		str_to_array(str_of(m->env), found->env, sizeof(found->env)) == 0 &&
		str_to_array(str_of(m->start), found->start, sizeof(found->start)) == 0 &&
		str_to_array(str_of(m->start_env), found->start_env, sizeof(found->start_env)) ==
		0 &&
		spec_fill(&found->spec, m, places) && spec_bind_all(&found->spec, m);
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

/* A command of the manifest, started. */
static bool question_put(const char *command, const char *interpreter, struct probe *ret_probe)
{
	const struct places places = { .interpreter = interpreter, .version = "" };
	char words[PROBE_ARGV_MAX][VALUE_MAX];
	const char *argv[PROBE_ARGV_MAX + 1] = {};
	str rest = str_of(command), word;
	int count = 0;

	while (word_next(&rest, &word)) {
		if (count == PROBE_ARGV_MAX || !text_expand(word, &places, words[count], VALUE_MAX))
			return false;
		argv[count] = words[count];
		count++;
	}
	return count && probe_begin(argv, ret_probe) == 0;
}

static struct ahead *ahead_find(struct finder *finder, const char *what, const char *interpreter)
{
	for (size_t i = 0; i < finder->ahead_count; i++) {
		struct ahead *ahead = &finder->ahead[i];
		if (strcmp(ahead->interpreter, interpreter) == 0 && strcmp(ahead->what, what) == 0)
			return ahead;
	}
	return NULL;
}

/* All are asked at once, so that a first start takes as long as the slowest of them and not as all together. */
static void finder_ask_ahead(
	struct finder *finder, const char *what, const char *command, const char *interpreter)
{
	char known[PACK_PATH_MAX];

	if (!command[0] || finder->ahead_count == AHEAD_MAX ||
		ahead_find(finder, what, interpreter) ||
		probe_cache_get(finder->cache, interpreter, what, known, sizeof(known)))
		return;
	struct ahead *ahead = &finder->ahead[finder->ahead_count];
	*ahead = (struct ahead){ .what = what };
	if (str_to_array(str_of(interpreter), ahead->interpreter, sizeof(ahead->interpreter)) ==
			0 &&
		question_put(command, interpreter, &ahead->probe))
		finder->ahead_count++;
}

static void finder_forget_ahead(struct finder *finder)
{
	for (size_t i = 0; i < finder->ahead_count; i++) {
		if (!finder->ahead[i].is_answered)
			probe_cancel(&finder->ahead[i].probe);
	}
	mem_free(finder->ahead);
}

/* The first line that a command of the manifest prints, from the cache when the interpreter is the same file. */
static bool interpreter_ask(struct finder *finder, const char *what, const char *command,
	const char *interpreter, char *to, size_t size)
{
	struct probe probe;

	if (probe_cache_get(finder->cache, interpreter, what, to, size))
		return true;
	struct ahead *ahead = ahead_find(finder, what, interpreter);
	if (ahead && !ahead->is_answered) {
		ahead->is_answered = true;
		probe = ahead->probe;
	} else if (!question_put(command, interpreter, &probe)) {
		return false;
	}
	if (probe_end(&probe, to, size) < 0)
		return false;
	probe_cache_put(finder->cache, interpreter, what, to);
	return true;
}

/*
 * "Python 3.11.2", "v20.19.5", "ruby 3.1.2p20 (…)": the first number with its dots. What interpreters print
 * for -V costs a fraction of a program that looks into itself, and a start asks all of them.
 */
static bool version_cut(const char *said, char *to, size_t size)
{
	const char *from = said + strcspn(said, "0123456789");
	size_t len = strspn(from, "0123456789.");

	while (len && from[len - 1] == '.')
		len--;
	return len && str_to_array((str){ from, len }, to, size) == 0;
}

/* Is it `oldest` or newer, number by number? */
static bool version_is_enough(str version, str oldest)
{
	str have, want;

	while (oldest.len && str_next(&oldest, '.', &want)) {
		uint64_t a = 0, b = 0;
		if (!str_next(&version, '.', &have) || str_to_u64(have, UINT32_MAX, &a) < 0 ||
			str_to_u64(want, UINT32_MAX, &b) < 0 || a < b)
			return false;
		if (a > b)
			return true;
	}
	return true;
}

/* /opt/node22 for /opt/node22/bin/node: where programs are installed to. */
static bool prefix_of(const char *interpreter, char *to, size_t size)
{
	const char *slash = strrchr(interpreter, '/');
	str folder = { interpreter, slash ? (size_t)(slash - interpreter) : 0 };

	if (str_ends(folder, S("/bin")))
		folder.len -= S("/bin").len;
	return str_to_array(folder, to, size) == 0;
}

static bool interpreter_describe(struct finder *finder, const struct manifest *m,
	const char *interpreter, char version[static VERSION_MAX],
	char prefix[static PACK_PATH_MAX])
{
	char said[256];

	if (!interpreter_ask(finder, "version", m->version, interpreter, said, sizeof(said)) ||
		!version_cut(said, version, VERSION_MAX))
		return false;
	if (!m->prefix[0])
		return prefix_of(interpreter, prefix, PACK_PATH_MAX);
	return interpreter_ask(finder, "prefix", m->prefix, interpreter, prefix, PACK_PATH_MAX);
}

static void finder_try_interpreter(
	struct finder *finder, const struct manifest *m, const char *interpreter)
{
	char version[VERSION_MAX], prefix[PACK_PATH_MAX];

	if (!interpreter_describe(finder, m, interpreter, version, prefix)) {
		buf_putf(finder->problems, "%s: does not say its version: left out\n", interpreter);
		return;
	}
	if (!version_is_enough(str_of(version), str_of(m->oldest))) {
		buf_putf(finder->problems, "%s: is version %s, older than %s: left out\n",
			interpreter, version, m->oldest);
		return;
	}
	if (has_version(finder->packs, m->name, version))
		return;
	struct pack_found *found = finder_add(finder);
	if (!found)
		return;
	if (!found_fill(found, m, &(struct places){ interpreter, version }) ||
		!spec_bind(&found->spec, prefix) ||
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
		if (finder->is_ahead) {
			finder_ask_ahead(finder, "version", m->version, real);
			finder_ask_ahead(finder, "prefix", m->prefix, real);
		} else {
			finder_try_interpreter(finder, m, real);
		}
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
	if (finder->is_ahead)
		return;
	struct pack_found *found = finder_add(finder);
	if (!found)
		return;
	if (found_fill(found, m, &(struct places){ "", "" }))
		finder->packs->count++;
	else
		buf_putf(finder->problems, "%s: its argv does not fit\n", m->folder);
}

/* --- all of them --- */

/* One look at all manifests. */
static void finder_pass(
	struct finder *finder, const char *folder, struct dirent **entries, int count)
{
	for (int i = 0; i < count; i++) {
		char path[PATH_MAX], file[PATH_MAX + 16];
		struct manifest manifest;

		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		snprintf(file, sizeof(file), "%s/pack.ini", path);
		if (entries[i]->d_name[0] != '.' && access(file, R_OK) == 0 &&
			manifest_read(path, &manifest, finder->problems))
			finder_take(finder, &manifest);
	}
}

/* Without memory for it each is asked when it is its turn. */
static void finder_pass_ahead(
	struct finder *finder, const char *folder, struct dirent **entries, int count)
{
	struct buf *problems = finder->problems, again;

	finder->ahead = mem_new(AHEAD_MAX, sizeof(*finder->ahead));
	if (!finder->ahead)
		return;
	buf_init(&again, 1 * MIB); /* the second pass tells them */
	finder->problems = &again;
	finder->is_ahead = true;
	finder_pass(finder, folder, entries, count);
	finder->is_ahead = false;
	finder->problems = problems;
	buf_done(&again);
}

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
	finder_pass_ahead(&finder, folder, entries, count);
	finder_pass(&finder, folder, entries, count);
	finder_forget_ahead(&finder);
	for (int i = 0; i < count; i++)
		mem_free(entries[i]);
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
