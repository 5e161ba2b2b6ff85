#pragma once
/*
 * Which limits a function has: AWS's, or those of the node, when the node grants that (setting limits =
 * relaxed) and the function asks for it by its tag mayfly:limits = relaxed.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct platform;

struct lambda_limits {
	bool is_relaxed;
	int64_t timeout_s;
	int64_t memory_mb;
	int64_t tmp_mb;
	uint64_t payload_bytes; /* each way, of a synchronous invocation */
	uint64_t event_bytes;	/* of an asynchronous one */
};

/* The largest event that any function of this node may get, in bytes. */
[[nodiscard]] uint64_t lambda_payload_max(const struct platform *platform);
/* The limits of a function with these tags (NULL: none). */
[[nodiscard]] struct lambda_limits lambda_limits_of(
	const struct platform *platform, const json_t *tags);
