/*
 * The trace of the last fault, one per thread: where it was raised and who passed it on.
 * Fixed size and never freed, so that a fault for want of memory is traced like any other.
 * When a chain is deeper than the trace, the lines next to the cause are kept.
 */
#include "base/err.h"

#include "base/buf.h"
#include "base/log.h"

#include <assert.h>
#include <string.h>

enum { ERR_LINES_MAX = 12, ERR_TEXT_MAX = 1024 };

struct err_line {
	const char *file;
	const char *function;
	int line;
};

static _Thread_local struct err_trace {
	struct err_line lines[ERR_LINES_MAX];
	size_t count;
	int fault; /* 0: none */
} err_trace;

static void err_put_line(const char *file, int line, const char *function)
{
	if (err_trace.count < ERR_LINES_MAX)
		err_trace.lines[err_trace.count++] = (struct err_line){ file, function, line };
}

void err_trace_start(int fault, const char *file, int line, const char *function)
{
	assert(fault < 0);
	err_trace.fault = fault;
	err_trace.count = 0;
	err_put_line(file, line, function);
}

void err_trace_add(int fault, const char *file, int line, const char *function)
{
	/* Somebody returned a fault that he had not raised: what is here is older. */
	if (fault != err_trace.fault)
		err_trace_start(fault, file, line, function);
	else
		err_put_line(file, line, function);
}

/* The compiler knows files by the way from the build folder: show them from src/ on. */
static const char *err_file(const char *file)
{
	const char *hit = strstr(file, "src/");
	return hit ? hit + strlen("src/") : file;
}

static void err_put_trace(struct buf *out)
{
	for (size_t i = 0; i < err_trace.count; i++) {
		const struct err_line *line = &err_trace.lines[i];
		buf_putf(out, "%s%s:%d %s", i ? " < " : "", err_file(line->file), line->line,
			line->function);
	}
}

void err_log(int fault, const char *what)
{
	char text[ERR_TEXT_MAX];
	struct buf out = { .at = text, .size = sizeof(text) - 1, .ceiling = sizeof(text) - 1 };

	if (fault == err_trace.fault)
		err_put_trace(&out);
	log_error("fault", LOG_TEXT("what", what), LOG_ERRNO("error", fault),
		LOG_STR("trace", buf_str(&out)));
	err_trace.fault = 0;
	err_trace.count = 0;
}
