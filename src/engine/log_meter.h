#pragma once
/*
 * How much a function may log: a bucket of bytes that fills with time, one an environment. What finds
 * it empty is dropped and counted, whole lines, until there is room for a second's worth again; so
 * a flood leaves a mark a second and not one a line. Arithmetic only.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_METER_SECONDS = 4, LOG_METER_LINE_COST = 128 /* of a line, beside its text */ };

struct log_meter {
	uint64_t rate; /* bytes a second */
	uint64_t level;
	uint64_t at_ms; /* when it had that level */
	bool is_dropping;
	uint64_t lines, bytes; /* dropped and not told yet */
};

/* A full bucket: LOG_METER_SECONDS of the rate at once. */
void log_meter_init(struct log_meter *meter, uint64_t rate, uint64_t now_ms);
/*
 * May this line be kept? If not, it is counted. When the store is hard pressed, only who has used
 * less than half of his bucket may.
 */
[[nodiscard]] bool log_meter_take(
	struct log_meter *meter, size_t len, uint64_t now_ms, bool is_pressed);
/* The dropped ones were told. */
void log_meter_told(struct log_meter *meter);
