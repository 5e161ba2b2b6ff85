/*
 * Settings: one table, three ways to set a row, one place that checks a value.
 */
#include "bin/settings.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

struct row {
	const char *name;
	enum setting_kind kind;
	const char *value;
	uint64_t min, max;
	enum setting_when when;
	const char *unit;
	const char *prose;
};

static const struct row rows[SETTINGS_COUNT] = {
#define X(id, name_, kind_, default_, min_, max_, when_, unit_, prose_) \
	[SET_##id] = { name_, kind_, default_, min_, max_, when_, unit_, prose_ },
	SETTINGS(X)
#undef X
};

/* log_level, log-level and LOG_LEVEL are one name. */
static bool name_same(str a, str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		char x = a.at[i] == '_' ? '-' : a.at[i], y = b.at[i] == '_' ? '-' : b.at[i];
		if (!str_eq_fold((str){ &x, 1 }, (str){ &y, 1 }))
			return false;
	}
	return true;
}

static int row_find(str name)
{
	for (int i = 0; i < SETTINGS_COUNT; i++) {
		if (name_same(str_of(rows[i].name), name))
			return i;
	}
	return -1;
}

bool settings_has(str name)
{
	return row_find(name) >= 0;
}

int settings_init(struct settings *settings)
{
	*settings = (struct settings){};
	for (int i = 0; i < SETTINGS_COUNT; i++) {
		settings->values[i] = str_dup(str_of(rows[i].value));
		if (!settings->values[i]) {
			settings_done(settings);
			return err_raise(-ENOMEM);
		}
	}
	return 0;
}

void settings_done(struct settings *settings)
{
	for (int i = 0; i < SETTINGS_COUNT; i++)
		mem_free(settings->values[i]);
	*settings = (struct settings){};
}

static bool choice_has(const char *choices, str value)
{
	str rest = str_of(choices), choice;

	while (str_next(&rest, '|', &choice)) {
		if (str_eq(choice, value))
			return true;
	}
	return false;
}

/* Is the value right for its row? If not, say what would be. */
static bool row_accepts(const struct row *row, str value, struct buf *error)
{
	uint64_t number;

	switch (row->kind) {
	case SETTING_TEXT:
		if (str_find(value, '\n') < 0 && str_find(value, '\0') < 0)
			return true;
		buf_putf(error, "%s must be one line of text", row->name);
		return false;
	case SETTING_NUMBER:
		if (str_to_u64(value, row->max, &number) == 0 && number >= row->min)
			return true;
		buf_putf(error, "%s must be a whole number of %s from %llu to %llu", row->name,
			row->unit, (unsigned long long)row->min, (unsigned long long)row->max);
		break;
	case SETTING_SWITCH:
		if (str_eq(value, S("true")) || str_eq(value, S("false")))
			return true;
		buf_putf(error, "%s must be true or false", row->name);
		break;
	case SETTING_CHOICE:
		if (choice_has(row->unit, value))
			return true;
		buf_putf(error, "%s must be one of %s", row->name, row->unit);
		break;
	}
	buf_put(error, S(", not "));
	buf_put_json(error, value);
	return false;
}

/* The two texts whose form matters to more than one reader. */
static bool value_is_well_formed(int i, str value, struct buf *error)
{
	uint64_t number;

	if (i == SET_ACCOUNT && (value.len != 12 || str_to_u64(value, UINT64_MAX, &number) < 0)) {
		buf_put(error, S("account must be 12 digits, not "));
		buf_put_json(error, value);
		return false;
	}
	if (i == SET_LISTEN && str_find(value, ':') < 0) {
		buf_put(error, S("listen must be address:port, as 127.0.0.1:4566, not "));
		buf_put_json(error, value);
		return false;
	}
	return true;
}

int settings_set(
	struct settings *settings, str name, str value, const char *source, struct buf *error)
{
	int i = row_find(name);

	if (i < 0) {
		buf_put(error, S("there is no setting "));
		buf_put_json(error, name);
		buf_put(error, S("; 'mayfly serve --help' lists them"));
		return SETTINGS_BAD;
	}
	if (!row_accepts(&rows[i], value, error) || !value_is_well_formed(i, value, error))
		return SETTINGS_BAD;
	char *copy = str_dup(value);
	if (!copy)
		return err_raise(-ENOMEM);
	mem_free(settings->values[i]);
	settings->values[i] = copy;
	settings->is_pinned[i] = strcmp(source, "flag") == 0 || strcmp(source, "environment") == 0;
	return SETTINGS_DONE;
}

int settings_from_environment(struct settings *settings, struct buf *error)
{
	for (int i = 0; i < SETTINGS_COUNT; i++) {
		char name[64];
		int len = snprintf(name, sizeof(name), "MAYFLY_%s", rows[i].name);
		for (int at = 0; at < len; at++) {
			if (name[at] == '-')
				name[at] = '_';
			else if (name[at] >= 'a' && name[at] <= 'z')
				name[at] -= 'a' - 'A';
		}
		const char *value = getenv(name);
		if (!value)
			continue;
		int r = settings_set(
			settings, str_of(rows[i].name), str_of(value), "environment", error);
		if (r)
			return r;
	}
	return 0;
}

struct file_reader {
	struct settings *settings;
	struct buf *error;
	int result;
};

static int file_line(void *context, const char *section, const char *name, const char *value)
{
	struct file_reader *reader = context;

	(void)section; /* sections only group lines */
	reader->result = settings_set(reader->settings, str_of(name),
		str_of(value ? value : "true"), "file", reader->error);
	return reader->result == 0;
}

int settings_from_stream(struct settings *settings, FILE *file, const char *path, struct buf *error)
{
	struct file_reader reader = { .settings = settings, .error = error };

	int line = ini_parse_file(file, file_line, &reader);
	if (line == 0)
		return 0;
	if (reader.result < 0)
		return err_pass(reader.result);
	if (line < 0)
		return err_raise(-ENOMEM);
	if (reader.result == 0)
		buf_put(error, S("not a line of name = value"));
	buf_put(error, S(" ("));
	buf_put(error, str_of(path));
	buf_putf(error, " line %d)", line);
	return SETTINGS_BAD;
}

int settings_from_file(struct settings *settings, const char *path, struct buf *error)
{
	FILE *file = fopen(path, "re");

	if (!file) {
		buf_putf(error, "cannot read the configuration file: %s (", strerror(errno));
		buf_put(error, str_of(path));
		buf_put_char(error, ')');
		return SETTINGS_BAD;
	}
	int r = settings_from_stream(settings, file, path, error);
	(void)fclose(file);
	return r < 0 ? err_pass(r) : r;
}

/* One flag at argv[*at]: *at moves past what it used. */
static int flag_take(struct settings *settings, char **argv, int argc, int *at, struct buf *error)
{
	str rest = str_from(str_of(argv[*at]), 2), name;
	str value = {};

	if (str_cut(&rest, '=', &name))
		value = rest;
	else
		name = rest;
	++*at;
	int i = row_find(name);
	if (!value.at && i >= 0 && rows[i].kind == SETTING_SWITCH) {
		value = S("true");
	} else if (!value.at && i >= 0) {
		if (*at == argc) {
			buf_putf(error, "--%s needs a value (%s)", rows[i].name, rows[i].unit);
			return SETTINGS_BAD;
		}
		value = str_of(argv[(*at)++]);
	}
	return settings_set(settings, name, value, "flag", error);
}

int settings_from_flags(struct settings *settings, int *argc, char **argv, struct buf *error)
{
	int kept = 0, at = 0;

	while (at < *argc) {
		if (strcmp(argv[at], "--") == 0) {
			at++;
			break;
		}
		if (strncmp(argv[at], "--", 2) != 0) {
			argv[kept++] = argv[at++];
			continue;
		}
		int r = flag_take(settings, argv, *argc, &at, error);
		if (r)
			return r;
	}
	while (at < *argc)
		argv[kept++] = argv[at++];
	*argc = kept;
	return 0;
}

str settings_text(const struct settings *settings, enum setting setting)
{
	return str_of(settings->values[setting]);
}

uint64_t settings_number(const struct settings *settings, enum setting setting)
{
	uint64_t number = 0;

	/* It was checked when it was set. */
	(void)!str_to_u64(settings_text(settings, setting), UINT64_MAX, &number);
	return number;
}

bool settings_is(const struct settings *settings, enum setting setting, str value)
{
	return str_eq(settings_text(settings, setting), value);
}

void settings_put(const struct settings *settings, struct buf *out)
{
	for (int i = 0; i < SETTINGS_COUNT; i++) {
		buf_put(out, str_of(rows[i].name));
		buf_put_char(out, '=');
		buf_put(out, settings_text(settings, (enum setting)i));
		buf_put_char(out, '\n');
	}
}

void settings_put_pinned(const struct settings *settings, struct buf *out)
{
	for (int i = 0; i < SETTINGS_COUNT; i++) {
		if (settings->is_pinned[i])
			buf_putf(out, "pinned=%s\n", rows[i].name);
	}
}

bool settings_pin(struct settings *settings, str name)
{
	int i = row_find(name);

	if (i >= 0)
		settings->is_pinned[i] = true;
	return i >= 0;
}

void settings_take_live(struct settings *settings, struct settings *fresh,
	settings_changed_fn *changed, void *context)
{
	for (int i = 0; i < SETTINGS_COUNT; i++) {
		if (settings->is_pinned[i] || strcmp(settings->values[i], fresh->values[i]) == 0)
			continue;
		bool is_live = rows[i].when == SETTING_LIVE;
		if (is_live) {
			char *value = fresh->values[i];
			fresh->values[i] = settings->values[i];
			settings->values[i] = value;
		}
		changed(context, str_of(rows[i].name), is_live);
	}
}

void settings_help(FILE *out)
{
	for (int i = 0; i < SETTINGS_COUNT; i++) {
		const struct row *row = &rows[i];
		fprintf(out, "  --%s", row->name);
		if (row->unit[0])
			fprintf(out, " <%s>", row->unit);
		fprintf(out, "\n      %s", row->prose);
		if (row->value[0])
			fprintf(out, " (default %s", row->value);
		if (row->kind == SETTING_NUMBER)
			fprintf(out, "; %llu to %llu", (unsigned long long)row->min,
				(unsigned long long)row->max);
		fprintf(out, row->value[0] ? ")" : "");
		fprintf(out, row->when == SETTING_LIVE ? "; live\n" : "\n");
	}
	fprintf(out,
		"\nSIGHUP reads the file again; rows that say live change at once, the others at the next "
		"start.\n");
}
