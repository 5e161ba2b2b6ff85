#pragma once
/*
 * The platform's own lines in a function's log, in both of Lambda's formats: text, and JSON
 * ("Working with Lambda function logs", "Lambda Telemetry API Event schema reference").
 */
#include "base/buf.h"
#include "engine/platform.h"
#include "engine/runtime_api.h"
#include "model/limits.h"
#include "model/trace.h"
#include "os/random.h"

struct runtime_pack;

/*
 * How much a line matters; what is below the function's system log level is not written. JSON only.
 */
enum log_weight { LOG_WEIGHT_DEBUG, LOG_WEIGHT_INFO, LOG_WEIGHT_WARN };
[[nodiscard]] bool log_lines_want(const struct function_version *version, enum log_weight weight);

/*
 * How the initialisation went: `status` is NULL (success), "error" or "timeout"; `error_type` with
 * "error".
 */
struct log_init {
	const struct function_version *version;
	bool is_second; /* "Phase: invoke": on the invocation's time */
	uint64_t duration_us;
	const char *status;
	const char *error_type;
	bool is_provisioned;
	str instance; /* "2024/01/31/NAME[VERSION]ID": of initStart and restoreStart only */
};
/* INIT_START: which runtime really runs the function. Text has it of the first one only. */
void log_put_init_start(struct buf *out, const struct log_init *init,
	const struct runtime_pack *pack, uint64_t now_ms);
/* Text: INIT_REPORT. */
void log_put_init_report(struct buf *out, const struct log_init *init);
/* JSON: platform.initRuntimeDone or, with metrics, platform.initReport. */
void log_put_init_event(
	struct buf *out, const struct log_init *init, bool with_metrics, uint64_t now_ms);

/* Lines of the function that are not in its log, because it wrote too many. */
void log_put_dropped(struct buf *out, const struct function_version *version, uint64_t lines,
	uint64_t bytes, uint64_t now_ms);

/* RESTORE_START: what INIT_START says, of one that is restored from a snapshot. */
void log_put_restore_start(struct buf *out, const struct log_init *init,
	const struct runtime_pack *pack, uint64_t now_ms);
/* RESTORE_REPORT: how long that took. */
void log_put_restore_report(struct buf *out, const struct function_version *version,
	uint64_t duration_us, uint64_t now_ms);

/* An extension, and how far it has come. */
struct log_extension {
	const char *name;	  /* of a file, or a header: foreign */
	const char *state;	  /* "Ready" */
	bool is_invoked, is_shut; /* the events that it has registered for */
	const char *error_type;	  /* or empty */
};
/* EXTENSION. */
void log_put_extension(struct buf *out, const struct function_version *version,
	const struct log_extension *extension, uint64_t now_ms);

/* An extension that has subscribed to telemetry. */
struct log_subscription {
	const char *name; /* foreign */
	bool is_logs_api; /* it asked the older API */
	bool is_platform, is_function, is_extension;
};
/* TELEMETRY, or LOGS. */
void log_put_subscription(struct buf *out, const struct function_version *version,
	const struct log_subscription *subscription, uint64_t now_ms);

/* START, with the version that runs. */
struct log_start {
	const char *request_id;
	str trace;  /* X-Ray's header */
	str tenant; /* empty: none */
};
void log_put_start(struct buf *out, const struct function_version *version,
	const struct log_start *start, uint64_t now_ms);

/* The numbers of an invocation that has ended. */
struct log_report {
	char request_id[UUID_LEN + 1];
	uint64_t duration_us;
	uint64_t init_us;	/* 0: a warm invocation */
	uint64_t extensions_us; /* what extensions took after the runtime was done; 0: none did */
	uint64_t restore_us; /* instead of it, when the environment was restored from a snapshot */
	uint64_t timeout_us;
	uint64_t produced_bytes;
	uint32_t memory_mb;
	const char *status;		  /* NULL (success), "timeout" or "error" */
	char error_type[ERROR_TYPE_MAX];  /* with "error" */
	char trace[TRACE_ROOT_MAX];	  /* X-Ray's root id when sampled, else empty */
	char segment[TRACE_SEGMENT_MAX];  /* with `trace`: the segment's id */
	char tenant[LIMIT_TENANT_ID + 1]; /* or empty */
	bool is_json;
};

/* JSON: platform.runtimeDone. */
void log_put_runtime_done(struct buf *out, const struct log_report *report, uint64_t now_ms);
/* REPORT. */
void log_put_report(
	struct buf *out, const struct log_report *report, uint64_t now_ms, uint64_t memory_peak);
/* Milliseconds billed: the whole of initialisation and duration, rounded up. */
[[nodiscard]] uint64_t log_report_billed_ms(const struct log_report *report);
