/*
 * The platform's lines, as pure functions: numbers in, one event out.
 *
 * Text is what Lambda has always written. JSON are the events of the Telemetry API; which of them
 * reach the log is decided by SystemLogLevel and the table "Lambda system log level event mapping":
 * start, initStart and a successful report are INFO, the "done" events are DEBUG, and all that
 * failed is WARN.
 */
#include "engine/log_lines.h"

#include "base/attr.h"
#include "engine/runtimes.h"
#include "model/arn.h"
#include "wire/timestamp.h"

#include <inttypes.h>

bool log_lines_want(const struct function_version *version, enum log_weight weight)
{
	if (!version->log_is_json)
		return true;
	if (str_eq(version->log_level_system, S("WARN")))
		return weight >= LOG_WEIGHT_WARN;
	return weight >= LOG_WEIGHT_INFO || str_eq(version->log_level_system, S("DEBUG"));
}

/* Milliseconds with two decimals, as AWS prints them. */
static void put_ms(struct buf *out, uint64_t us)
{
	uint64_t hundredths = (us + 5) / 10;

	buf_putf(out, "%" PRIu64 ".%02" PRIu64, hundredths / 100, hundredths % 100);
}

/* {"time":"…","type":"platform.start","record":{ */
static void open_event(struct buf *out, const char *type, uint64_t now_ms)
{
	buf_put(out, S("{\"time\":\""));
	timestamp_put_iso8601(out, now_ms, true);
	buf_putf(out, "\",\"type\":\"platform.%s\",\"record\":{", type);
}

/* --- initialisation --- */

/* "python3.12" → "python:3.12", "nodejs20.x" → "nodejs:20", "provided.al2" → "provided:al2". */
static void put_runtime(struct buf *out, str runtime)
{
	size_t len = 0;

	while (len < runtime.len && runtime.at[len] != '.' &&
		(runtime.at[len] < '0' || runtime.at[len] > '9'))
		len++;
	str version = str_from(runtime, len);
	if (str_starts(version, S(".")))
		version = str_from(version, 1);
	if (str_ends(version, S(".x")))
		version.len -= 2;
	buf_put(out, str_slice(runtime, 0, len));
	buf_put_char(out, ':');
	buf_put(out, version);
}

/* The version that AWS gives to its build of a runtime is here the interpreter's own. */
static void put_runtime_version(struct buf *out, str runtime, const struct runtime_pack *pack)
{
	put_runtime(out, runtime);
	if (pack->version.len) {
		buf_put(out, S(".v"));
		buf_put(out, pack->version);
	}
}

/* As AWS_LAMBDA_INITIALIZATION_TYPE has it. */
static const char *init_type(const struct log_init *init)
{
	return init->is_provisioned ? "provisioned-concurrency" : "on-demand";
}

static const char *init_phase(const struct log_init *init)
{
	return init->is_second ? "invoke" : "init";
}

/* What both kinds of starts say after their names. */
static void put_start_text(
	struct buf *out, const struct function_version *version, const struct runtime_pack *pack)
{
	buf_put(out, S(" Runtime Version: "));
	put_runtime_version(out, version->runtime, pack);
	buf_put(out, S("\tRuntime Version ARN: "));
	runtime_put_arn(out, version->region, version->runtime, pack->name, pack->version);
	buf_put_char(out, '\n');
}

static void put_start_members(struct buf *out, const struct function_version *version,
	const struct runtime_pack *pack, str instance)
{
	buf_put(out, S("\"runtimeVersion\":\""));
	put_runtime_version(out, version->runtime, pack);
	buf_put(out, S("\",\"runtimeVersionArn\":\""));
	runtime_put_arn(out, version->region, version->runtime, pack->name, pack->version);
	buf_put(out, S("\",\"functionName\":"));
	buf_put_json(out, version->name);
	buf_put(out, S(",\"functionVersion\":"));
	buf_put_json(out, version->version);
	buf_put(out, S(",\"instanceId\":"));
	buf_put_json(out, instance);
	buf_put(out, S(",\"instanceMaxMemory\":"));
	buf_put_u64(out, (uint64_t)version->memory_mb * MIB);
	buf_put(out, S("}}\n"));
}

void log_put_init_start(struct buf *out, const struct log_init *init,
	const struct runtime_pack *pack, uint64_t now_ms)
{
	if (!init->version->log_is_json && init->is_second)
		return;
	if (!init->version->log_is_json) {
		buf_put(out, S("INIT_START"));
		put_start_text(out, init->version, pack);
		return;
	}
	open_event(out, "initStart", now_ms);
	buf_putf(out, "\"initializationType\":\"%s\",\"phase\":\"%s\",", init_type(init),
		init_phase(init));
	put_start_members(out, init->version, pack, init->instance);
}

void log_put_restore_start(struct buf *out, const struct log_init *init,
	const struct runtime_pack *pack, uint64_t now_ms)
{
	if (!init->version->log_is_json) {
		buf_put(out, S("RESTORE_START"));
		put_start_text(out, init->version, pack);
		return;
	}
	open_event(out, "restoreStart", now_ms);
	put_start_members(out, init->version, pack, init->instance);
}

void log_put_restore_report(struct buf *out, const struct function_version *version,
	uint64_t duration_us, uint64_t now_ms)
{
	if (!version->log_is_json) {
		buf_put(out, S("RESTORE_REPORT Restore Duration: "));
		put_ms(out, duration_us);
		buf_put(out, S(" ms\n"));
		return;
	}
	open_event(out, "restoreReport", now_ms);
	buf_put(out, S("\"status\":\"success\",\"metrics\":{\"durationMs\":"));
	put_ms(out, duration_us);
	buf_put(out, S("}}}\n"));
}

void log_put_init_report(struct buf *out, const struct log_init *init)
{
	buf_put(out, S("INIT_REPORT Init Duration: "));
	put_ms(out, init->duration_us);
	buf_put(out, S(" ms"));
	if (init->status)
		buf_putf(out, "\tPhase: %s\tStatus: %s", init_phase(init), init->status);
	if (init->error_type)
		buf_putf(out, "\tError Type: %s", init->error_type);
	buf_put_char(out, '\n');
}

void log_put_init_event(
	struct buf *out, const struct log_init *init, bool with_metrics, uint64_t now_ms)
{
	open_event(out, with_metrics ? "initReport" : "initRuntimeDone", now_ms);
	buf_putf(out, "\"initializationType\":\"%s\",\"phase\":\"%s\",\"status\":\"%s\"",
		init_type(init), init_phase(init), init->status ? init->status : "success");
	if (init->error_type) {
		buf_put(out, S(",\"errorType\":"));
		buf_put_json(out, str_of(init->error_type));
	}
	if (with_metrics) {
		buf_put(out, S(",\"metrics\":{\"durationMs\":"));
		put_ms(out, init->duration_us);
		buf_put_char(out, '}');
	}
	buf_put(out, S("}}\n"));
}

/* --- extensions --- */

static void put_extension_events(
	struct buf *out, const struct log_extension *extension, const char *quote)
{
	buf_put_char(out, '[');
	if (extension->is_invoked)
		buf_putf(out, "%sINVOKE%s", quote, quote);
	if (extension->is_invoked && extension->is_shut)
		buf_put(out, quote[0] ? S(",") : S(", "));
	if (extension->is_shut)
		buf_putf(out, "%sSHUTDOWN%s", quote, quote);
	buf_put_char(out, ']');
}

void log_put_extension(struct buf *out, const struct function_version *version,
	const struct log_extension *extension, uint64_t now_ms)
{
	if (!version->log_is_json) {
		buf_put(out, S("EXTENSION\tName: "));
		buf_put(out, str_of(extension->name));
		buf_putf(out, "\tState: %s\tEvents: ", extension->state);
		put_extension_events(out, extension, "");
		if (extension->error_type[0])
			buf_putf(out, "\tError Type: %s", extension->error_type);
		buf_put_char(out, '\n');
		return;
	}
	open_event(out, "extension", now_ms);
	buf_put(out, S("\"name\":"));
	buf_put_json(out, str_of(extension->name));
	buf_putf(out, ",\"state\":\"%s\",\"events\":", extension->state);
	put_extension_events(out, extension, "\"");
	if (extension->error_type[0]) {
		buf_put(out, S(",\"errorType\":"));
		buf_put_json(out, str_of(extension->error_type));
	}
	buf_put(out, S("}}\n"));
}

static void put_subscription_types(
	struct buf *out, const struct log_subscription *subscription, bool is_json)
{
	const struct {
		bool is_there;
		const char *text, *json;
	} types[] = { { subscription->is_platform, "Platform", "\"platform\"" },
		{ subscription->is_function, "Function", "\"function\"" },
		{ subscription->is_extension, "Extension", "\"extension\"" } };
	bool is_first = true;

	buf_put_char(out, '[');
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (!types[i].is_there)
			continue;
		if (!is_first)
			buf_put(out, is_json ? S(",") : S(", "));
		buf_put(out, str_of(is_json ? types[i].json : types[i].text));
		is_first = false;
	}
	buf_put_char(out, ']');
}

void log_put_subscription(struct buf *out, const struct function_version *version,
	const struct log_subscription *subscription, uint64_t now_ms)
{
	if (!version->log_is_json) {
		buf_put(out, subscription->is_logs_api ? S("LOGS") : S("TELEMETRY"));
		buf_put(out, S("\tName: "));
		buf_put(out, str_of(subscription->name));
		buf_put(out, S("\tState: Subscribed\tTypes: "));
		put_subscription_types(out, subscription, false);
		buf_put_char(out, '\n');
		return;
	}
	open_event(out, subscription->is_logs_api ? "logsSubscription" : "telemetrySubscription",
		now_ms);
	buf_put(out, S("\"name\":"));
	buf_put_json(out, str_of(subscription->name));
	buf_put(out, S(",\"state\":\"Subscribed\",\"types\":"));
	put_subscription_types(out, subscription, true);
	buf_put(out, S("}}\n"));
}

/* --- floods --- */

/* The Telemetry API's platform.logsDropped; text has no form of Lambda's own for it. */
void log_put_dropped(struct buf *out, const struct function_version *version, uint64_t lines,
	uint64_t bytes, uint64_t now_ms)
{
	static const char reason[] = "The function logs faster than its log is written.";

	if (!version->log_is_json) {
		buf_putf(out,
			"LOGS_DROPPED Reason: %s\tDropped Records: %" PRIu64
			"\tDropped Bytes: %" PRIu64 "\n",
			reason, lines, bytes);
		return;
	}
	open_event(out, "logsDropped", now_ms);
	buf_putf(out,
		"\"reason\":\"%s\",\"droppedRecords\":%" PRIu64 ",\"droppedBytes\":%" PRIu64 "}}\n",
		reason, lines, bytes);
}

/* --- invocations --- */

static void put_tenant(struct buf *out, str tenant)
{
	if (!tenant.len)
		return;
	buf_put(out, S(",\"tenantId\":"));
	buf_put_json(out, tenant);
}

/* The trace context of the Telemetry API: of what is sampled. */
static void put_tracing(struct buf *out, const char *root, const char *segment)
{
	if (!root[0])
		return;
	buf_putf(out,
		",\"tracing\":{\"spanId\":\"%s\",\"type\":\"X-Amzn-Trace-Id\","
		"\"value\":\"Root=%s;Parent=%s;Sampled=1\"}",
		segment, root, segment);
}

void log_put_start(struct buf *out, const struct function_version *version,
	const struct log_start *start, uint64_t now_ms)
{
	char root[TRACE_ROOT_MAX], segment[TRACE_SEGMENT_MAX];

	if (!version->log_is_json) {
		buf_putf(out, "START RequestId: %s Version: ", start->request_id);
		buf_put(out, version->version);
		buf_put_char(out, '\n');
		return;
	}
	open_event(out, "start", now_ms);
	buf_putf(out, "\"requestId\":\"%s\",", start->request_id);
	if (start->tenant.len) { /* AWS documents it so, for functions with tenants */
		buf_put(out, S("\"functionArn\":"));
		buf_put_json(out, version->arn);
		buf_put_char(out, ',');
	}
	buf_put(out, S("\"version\":"));
	buf_put_json(out, version->version);
	put_tenant(out, start->tenant);
	if (trace_is_sampled(start->trace, root, segment))
		put_tracing(out, root, segment);
	buf_put(out, S("}}\n"));
}

static void put_status(struct buf *out, const struct log_report *report)
{
	buf_putf(out, ",\"status\":\"%s\"", report->status ? report->status : "success");
	if (report->error_type[0]) {
		buf_put(out, S(",\"errorType\":"));
		buf_put_json(out, str_of(report->error_type));
	}
}

void log_put_runtime_done(struct buf *out, const struct log_report *report, uint64_t now_ms)
{
	open_event(out, "runtimeDone", now_ms);
	buf_putf(out, "\"requestId\":\"%s\"", report->request_id);
	put_status(out, report);
	put_tenant(out, str_of(report->tenant));
	put_tracing(out, report->trace, report->segment);
	buf_put(out, S(",\"metrics\":{\"durationMs\":"));
	put_ms(out, report->duration_us - MIN(report->extensions_us, report->duration_us));
	buf_putf(out, ",\"producedBytes\":%" PRIu64 "}}}\n", report->produced_bytes);
}

/* Lambda's announcement of August 2025: "the INIT phase will be billed for all" configurations. */
uint64_t log_report_billed_ms(const struct log_report *report)
{
	/* "Duration: 45054.87 ms Billed Duration: 45000 ms": what a timeout takes too long is free. */
	uint64_t us = MIN(report->duration_us, report->timeout_us) + report->init_us;

	return us ? (us + 999) / 1000 : 1;
}

/* "extensionOverhead": from the runtime's end to the last extension's. */
static void put_report_spans(struct buf *out, const struct log_report *report, uint64_t now_ms)
{
	if (!report->extensions_us)
		return;
	buf_put(out, S(",\"spans\":[{\"name\":\"extensionOverhead\",\"start\":\""));
	timestamp_put_iso8601(out, now_ms - report->extensions_us / 1000, true);
	buf_put(out, S("\",\"durationMs\":"));
	put_ms(out, report->extensions_us);
	buf_put(out, S("}]"));
}

static void put_report_json(
	struct buf *out, const struct log_report *report, uint64_t now_ms, uint64_t memory_mb)
{
	open_event(out, "report", now_ms);
	buf_putf(out, "\"requestId\":\"%s\",\"metrics\":{\"durationMs\":", report->request_id);
	put_ms(out, report->duration_us);
	buf_putf(out,
		",\"billedDurationMs\":%" PRIu64
		",\"memorySizeMB\":%u,\"maxMemoryUsedMB\":%" PRIu64,
		log_report_billed_ms(report), report->memory_mb, memory_mb);
	if (report->init_us) {
		buf_put(out, S(",\"initDurationMs\":"));
		put_ms(out, report->init_us);
	}
	if (report->restore_us) {
		buf_put(out, S(",\"restoreDurationMs\":"));
		put_ms(out, report->restore_us);
	}
	buf_put_char(out, '}');
	put_report_spans(out, report, now_ms);
	put_status(out, report);
	put_tenant(out, str_of(report->tenant));
	put_tracing(out, report->trace, report->segment);
	buf_put(out, S("}}\n"));
}

static void put_report_text(struct buf *out, const struct log_report *report, uint64_t memory_mb)
{
	buf_putf(out, "REPORT RequestId: %s\tDuration: ", report->request_id);
	put_ms(out, report->duration_us);
	buf_putf(out,
		" ms\tBilled Duration: %" PRIu64
		" ms\tMemory Size: %u MB\tMax Memory Used: %" PRIu64 " MB\t",
		log_report_billed_ms(report), report->memory_mb, memory_mb);
	if (report->init_us) {
		buf_put(out, S("Init Duration: "));
		put_ms(out, report->init_us);
		buf_put(out, S(" ms\t"));
	}
	if (report->restore_us) {
		buf_put(out, S("Restore Duration: "));
		put_ms(out, report->restore_us);
		buf_putf(out, " ms\tBilled Restore Duration: %" PRIu64 " ms\t",
			(report->restore_us + 999) / 1000);
	}
	if (report->trace[0])
		buf_putf(out, "XRAY TraceId: %s\t", report->trace);
	if (report->segment[0])
		buf_putf(out, "SegmentId: %s\t", report->segment);
	if (report->trace[0])
		buf_put(out, S("Sampled: true\t"));
	if (report->status)
		buf_putf(out, "Status: %s\t", report->status);
	if (report->error_type[0])
		buf_putf(out, "Error Type: %s\t", report->error_type);
	buf_put_char(out, '\n');
}

void log_put_report(
	struct buf *out, const struct log_report *report, uint64_t now_ms, uint64_t memory_peak)
{
	/* The cgroup's figure counts what the kernel holds for the function, too. */
	uint64_t memory_mb = MIN((memory_peak + MIB - 1) / MIB, report->memory_mb);

	if (report->is_json)
		put_report_json(out, report, now_ms, memory_mb);
	else
		put_report_text(out, report, memory_mb);
}
