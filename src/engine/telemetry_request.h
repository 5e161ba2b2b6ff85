#pragma once
/* The body of a subscription to telemetry: see telemetry_request.c. */
#include "base/buf.h"

enum { TELEMETRY_PATH_MAX = 256, TELEMETRY_FAULTS_MAX = 768, TELEMETRY_BYTES_MAX = 1'048'576 };

/* What one may subscribe to; bits. */
enum telemetry_type { TELEMETRY_PLATFORM = 1, TELEMETRY_FUNCTION = 2, TELEMETRY_EXTENSION = 4 };

struct telemetry_wish {
	unsigned types;
	bool is_logs_api;
	bool is_tcp; /* lines of JSON over a connection, without an answer; else HTTP */
	bool is_put; /* the method: PUT, else POST */
	uint32_t items_max, bytes_max, timeout_ms; /* of a batch */
	uint16_t port;
	char host[64], path[TELEMETRY_PATH_MAX]; /* as they stand in a request's head */
};

/*
 * Parse it. True, and *ret_wish is whole; or false, and `faults` (empty before, of TELEMETRY_FAULTS_MAX bytes) says what
 * is wrong.
 */
[[nodiscard]] bool telemetry_parse(
	str bytes, bool is_logs_api, struct telemetry_wish *ret_wish, struct buf *faults);
