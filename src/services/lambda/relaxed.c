#include "services/lambda/relaxed.h"

#include "aws/call.h"
#include "base/attr.h"
#include "engine/platform.h"
#include "model/limits.h"

uint64_t lambda_payload_max(const struct platform *platform)
{
	const struct relaxed_limits *node = &platform->relaxed;

	return node->is_on ? MAX(node->payload_bytes, (uint64_t)LIMIT_PAYLOAD_BYTES)
			   : LIMIT_PAYLOAD_BYTES;
}

struct lambda_limits lambda_limits_of(const struct platform *platform, const json_t *tags)
{
	const struct relaxed_limits *node = &platform->relaxed;

	if (node->is_on && str_eq(json_get_str(tags, "mayfly:limits"), S("relaxed")))
		return (struct lambda_limits){
			.is_relaxed = true,
			.timeout_s = node->timeout_s,
			.memory_mb = node->memory_mb,
			.tmp_mb = node->tmp_mb,
			.payload_bytes = node->payload_bytes,
			.event_bytes = node->payload_bytes,
		};
	return (struct lambda_limits){
		.timeout_s = LIMIT_TIMEOUT_S_MAX,
		.memory_mb = LIMIT_MEMORY_MB_MAX,
		.tmp_mb = LIMIT_TMP_MB_MAX,
		.payload_bytes = LIMIT_PAYLOAD_BYTES,
		.event_bytes = LIMIT_EVENT_BYTES,
	};
}
