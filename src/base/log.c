/*
 * One line is built in a fixed buffer on the stack and leaves in one write(2): no lock, no
 * allocation, and lines of several processes on one pipe do not mix (they stay within
 * PIPE_BUF). A value that is too long is cut, a field that has no room left is dropped, and
 * the line says so; a line is never half a JSON object.
 *
 * The date is computed here: gmtime_r() takes libc's time-zone lock.
 */
#include "base/log.h"

#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 4096, LOG_VALUE_MAX = 1024, LOG_TAIL_MAX = 32 };

static const char *const log_levels[LOG_LEVELS] = {
	[LOG_DEBUG] = "debug",
	[LOG_INFO] = "info",
	[LOG_WARN] = "warn",
	[LOG_ERROR] = "error",
};

static struct {
	enum log_level least;
	bool as_json;
	const char *process;
} log_form = { .least = LOG_INFO };

void log_setup(enum log_level least, bool as_json, const char *process)
{
	assert(least < LOG_LEVELS);
	log_form.least = least;
	log_form.as_json = as_json;
	log_form.process = process;
}

/* Year, month and day of a day counted from 1970-01-01 (years that start in March). */
static void log_put_date(struct buf *out, uint64_t days)
{
	uint64_t shifted = days + 719468; /* from 0000-03-01 */
	uint64_t era = shifted / 146097, day = shifted % 146097;
	uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	uint64_t of_year = day - (365 * year + year / 4 - year / 100);
	uint64_t march = (5 * of_year + 2) / 153;
	uint64_t month = march < 10 ? march + 3 : march - 9;

	buf_putf(out, "%04u-%02u-%02u", (unsigned)(era * 400 + year + (month <= 2)),
		(unsigned)month, (unsigned)(of_year - (153 * march + 2) / 5 + 1));
}

static void log_put_time(struct buf *out)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seconds = (uint64_t)now.tv_sec;
	unsigned of_day = (unsigned)(seconds % 86400);
	log_put_date(out, seconds / 86400);
	buf_putf(out, "T%02u:%02u:%02u.%03uZ", of_day / 3600, of_day / 60 % 60, of_day % 60,
		(unsigned)(now.tv_nsec / 1'000'000));
}

static bool log_is_plain(str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];
		bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9');
		if (!is_word && !memchr("._:/@$-", c, 7))
			return false;
	}
	return s.len > 0;
}

/* As it is when it is one harmless word, else in quotes with everything odd escaped. */
static void log_put_text(struct buf *out, str s)
{
	if (log_is_plain(s)) {
		buf_put(out, s);
		return;
	}
	buf_put_char(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];
		if (c == '\n')
			buf_put(out, S("\\n"));
		else if (c < 0x20 || c > 0x7e)
			buf_putf(out, "\\x%02x", c);
		else if (c == '"' || c == '\\')
			buf_putf(out, "\\%c", c);
		else
			buf_put_char(out, (char)c);
	}
	buf_put_char(out, '"');
}

static void log_put_str(struct buf *out, str s)
{
	bool is_cut = s.len > LOG_VALUE_MAX;
	char cut[LOG_VALUE_MAX + 3];

	if (is_cut) {
		memcpy(cut, s.at, LOG_VALUE_MAX);
		memcpy(cut + LOG_VALUE_MAX, "...", 3);
		s = (str){ cut, sizeof(cut) };
	}
	if (log_form.as_json)
		buf_put_json(out, s);
	else
		log_put_text(out, s);
}

static void log_put_errno(struct buf *out, int64_t number)
{
	int code = (int)(number < 0 ? -number : number);
	const char *name = strerrorname_np(code);

	if (name)
		log_put_str(out, str_of(name));
	else
		buf_putf(out, "%d", code);
}

static void log_put_key(struct buf *out, const char *key)
{
	if (!log_form.as_json) {
		buf_putf(out, " %s=", key);
		return;
	}
	buf_put_char(out, ',');
	buf_put_json(out, str_of(key));
	buf_put_char(out, ':');
}

static void log_put_field(struct buf *out, const struct log_field *field)
{
	log_put_key(out, field->key);
	switch (field->kind) {
	case LOG_KIND_STR:
		log_put_str(out, field->text);
		break;
	case LOG_KIND_U64:
		buf_put_u64(out, field->number);
		break;
	case LOG_KIND_I64:
		buf_putf(out, "%lld", (long long)field->number);
		break;
	case LOG_KIND_ERRNO:
		log_put_errno(out, (int64_t)field->number);
		break;
	}
}

static void log_put_head(struct buf *out, enum log_level level, const char *event)
{
	if (log_form.as_json)
		buf_put(out, S("{\"time\":\""));
	log_put_time(out);
	if (log_form.as_json)
		buf_putf(out, "\",\"level\":\"%s\",\"event\":\"%s\"", log_levels[level], event);
	else
		buf_putf(out, " %s %s", log_levels[level], event);
	if (log_form.process)
		log_put_field(out, &LOG_TEXT("process", log_form.process));
}

void log_write(
	enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
	assert(level < LOG_LEVELS && event);
	if (level < log_form.least)
		return;
	char line[LOG_LINE_MAX];
	struct buf out = {
		.at = line, .size = sizeof(line) - 1, .ceiling = sizeof(line) - LOG_TAIL_MAX
	};
	bool is_short = false;

	log_put_head(&out, level, event);
	for (size_t i = 0; i < count; i++) {
		size_t before = out.len;
		log_put_field(&out, &fields[i]);
		if (!out.err)
			continue;
		out.err = 0;
		out.len = before;
		is_short = true;
	}
	out.ceiling = sizeof(line) - 1;
	if (is_short) {
		log_put_key(&out, "truncated");
		buf_put(&out, S("true"));
	}
	buf_put(&out, log_form.as_json ? S("}\n") : S("\n"));

	int kept = errno;
	(void)!write(STDERR_FILENO, out.at, out.len);
	errno = kept;
}
