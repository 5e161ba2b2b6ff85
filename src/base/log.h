#pragma once
/*
 * Structured log lines on standard error: `time level event key=value …`, or one JSON
 * object a line. Foreign bytes are always quoted and escaped; one write(2) a line.
 */
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVELS };

enum log_kind { LOG_KIND_STR, LOG_KIND_U64, LOG_KIND_I64, LOG_KIND_ERRNO };

/* One key=value of a line; made with the LOG_… macros below. */
struct log_field {
	const char *key;
	enum log_kind kind;
	str text;
	uint64_t number;
};

#define LOG_STR(k, v)  ((struct log_field){ .key = (k), .kind = LOG_KIND_STR, .text = (v) })
#define LOG_TEXT(k, v) LOG_STR((k), str_of(v))
#define LOG_U64(k, v)  ((struct log_field){ .key = (k), .kind = LOG_KIND_U64, .number = (v) })
#define LOG_I64(k, v) \
	((struct log_field){ .key = (k), .kind = LOG_KIND_I64, .number = (uint64_t)(int64_t)(v) })
/* An errno value, positive or negative, printed by name. */
#define LOG_ERRNO(k, v) \
	((struct log_field){ .key = (k), .kind = LOG_KIND_ERRNO, .number = (uint64_t)(int64_t)(v) })

/* log_info("environment_started", LOG_STR("function", name), LOG_U64("ms", ms)); */
#define log_line(level, event, ...)                                            \
	log_write((level), (event), (const struct log_field[]){ __VA_ARGS__ }, \
		sizeof((const struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field))
#define log_debug(event, ...) log_line(LOG_DEBUG, (event), ##__VA_ARGS__)
#define log_info(event, ...)  log_line(LOG_INFO, (event), ##__VA_ARGS__)
#define log_warn(event, ...)  log_line(LOG_WARN, (event), ##__VA_ARGS__)
#define log_error(event, ...) log_line(LOG_ERROR, (event), ##__VA_ARGS__)

/* Set once at start, before threads: what is written, in which form, and who speaks ("warden"). */
void log_setup(enum log_level least, bool as_json, const char *process);

/* Write one line if `level` is wanted. Never fails visibly, never blocks on a lock. */
void log_write(
	enum log_level level, const char *event, const struct log_field *fields, size_t count);
