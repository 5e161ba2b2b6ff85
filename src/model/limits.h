#pragma once
/*
 * AWS Lambda's quotas as published ("Lambda quotas" in the developer guide); the few that
 * are settings of the node live in bin/settings.h.
 */
#include "base/attr.h"

enum {
	LIMIT_ZIP_BYTES = 52'428'800,	    /* "50 MB (zipped, for direct upload)" */
	LIMIT_UNZIPPED_BYTES = 262'144'000, /* "250 MB", as the error message prints it */
	LIMIT_UNZIPPED_ENTRIES = 200'000,   /* ours: bounds the inodes of one ZIP */
	LIMIT_ENVIRONMENT_BYTES = 4096,	    /* "4 KB, in aggregate" */
	LIMIT_PAYLOAD_BYTES = 6'291'456,    /* "6 MB each for request and response (synchronous)" */
	LIMIT_PAYLOAD_SLACK_BYTES = 100, /* that much more is let through, and printed in errors */
	LIMIT_STREAM_BYTES = 200 * 1024 * 1024, /* "200 MB" of a response that is streamed */
	LIMIT_PAYLOAD_ERROR_BYTES = LIMIT_PAYLOAD_BYTES + LIMIT_PAYLOAD_SLACK_BYTES,
	LIMIT_EVENT_BYTES = 1024 * 1024, /* asynchronous: 1 MB */
	LIMIT_TOPIC_BYTES = 256 *
		1024, /* "Amazon SNS destinations have a message size limit of 256 KB" */
	LIMIT_REQUEST_BYTES = 70'167'211, /* the largest request that create and update accept */
	LIMIT_LAYERS = 5,
	LIMIT_MEMORY_MB_MIN = 128,
	LIMIT_MEMORY_MB_MAX = 10'240,
	LIMIT_TIMEOUT_S_MAX = 900,
	LIMIT_TMP_MB_MIN = 512,
	LIMIT_TMP_MB_MAX = 10'240,
	LIMIT_FUNCTION_NAME = 64,
	LIMIT_TAGS = 50,
	LIMIT_TAG_KEY = 128,   /* characters */
	LIMIT_TAG_VALUE = 256, /* characters */
	LIMIT_POLICY_BYTES = 20'480,
	LIMIT_ROUTED_VERSIONS = 1,		/* beside the version that an alias points to */
	LIMIT_LIST_PAGE = 50,			/* "a maximum of 50 items in each response" */
	LIMIT_ALIAS_PAGE = 10'000,		/* MaxItems of ListAliases */
	LIMIT_CONCURRENCY_UNRESERVED_MIN = 100, /* left for functions without a reservation */
	LIMIT_SNAPSHOT_INIT_MS =
		130'000, /* "the initialization code can run for up to 130 seconds" */
	LIMIT_PROVISIONED_INIT_MS =
		130'000,	     /* "130 seconds" at least, when concurrency is provisioned */
	LIMIT_LOG_TAIL_BYTES = 4096, /* "the last 4 KB of the execution log" */
	LIMIT_CLIENT_CONTEXT_BYTES = 3583,
	LIMIT_TENANT_ID = 256, /* characters */
};

/* "75 GB" of function and layer storage, as GetAccountSettings prints it. Not held against anything: disks do that. */
#define LIMIT_TOTAL_CODE_BYTES 80'530'636'800LL
