/*
 * "TracingConfig: If PassThrough, Lambda will only trace the request from an upstream service if it contains a tracing header
 * with 'sampled=1'. If Active, Lambda will respect any tracing header it receives from an upstream service. If no tracing
 * header is received, Lambda will call X-Ray for a tracing decision." Whom Lambda asks says yes to one request a second and
 * to 5% of the others; here it is always yes.
 *
 * The ids are held to their form, so that they may stand in a log; what else the header has must be printable and small.
 */
#include "model/trace.h"

#include "base/buf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum { TRACE_REST_MAX = 512 };

/* A header's parts; at == NULL: it has none. */
struct trace_parts {
	str root, parent, sampled;
	char rest[TRACE_REST_MAX]; /* ";Lineage=…", or empty */
};

static bool is_hex(str text, size_t len)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
			return false;
	}
	return text.len == len;
}

/* "1-6922fd41-0123456789abcdef01234567" */
static bool is_root(str text)
{
	return str_starts(text, S("1-")) && text.len == TRACE_ROOT_MAX - 1 && text.at[10] == '-' &&
		is_hex(str_slice(text, 2, 10), 8) && is_hex(str_from(text, 11), 24);
}

static bool is_printable(str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] <= ' ' || text.at[i] > '~')
			return false;
	}
	return true;
}

static void trace_read(str header, struct trace_parts *ret_parts)
{
	struct trace_parts parts = {};
	struct buf rest;
	str item;

	buf_init_over(&rest, parts.rest, sizeof(parts.rest));
	while (str_next(&header, ';', &item)) {
		item = str_trim(item);
		if (str_starts_fold(item, S("Root=")) && is_root(str_from(item, 5)))
			parts.root = str_from(item, 5);
		else if (str_starts_fold(item, S("Parent=")) && is_hex(str_from(item, 7), 16))
			parts.parent = str_from(item, 7);
		else if (str_eq_fold(item, S("Sampled=0")) || str_eq_fold(item, S("Sampled=1")))
			parts.sampled = str_from(item, 8);
		else if (item.len && !str_starts_fold(item, S("Sampled=")) && is_printable(item) &&
			rest.len + 1 + item.len < sizeof(parts.rest)) {
			buf_put_char(&rest, ';');
			buf_put(&rest, item);
		}
	}
	parts.rest[rest.len] = '\0';
	*ret_parts = parts;
}

/* The views may be of `to` itself: it is put together elsewhere. */
static void trace_write(const struct trace_parts *parts, char to[static TRACE_MAX])
{
	char text[TRACE_MAX];

	int len = snprintf(text, sizeof(text), "Root=" STR_FMT "%s" STR_FMT "%s" STR_FMT "%s",
		STR_ARG(parts->root), parts->parent.len ? ";Parent=" : "", STR_ARG(parts->parent),
		parts->sampled.len ? ";Sampled=" : "", STR_ARG(parts->sampled), parts->rest);
	assert(len > 0 && len < TRACE_MAX);
	int r = str_to_array((str){ text, (size_t)len }, to, TRACE_MAX);
	assert(r == 0);
	(void)r;
}

void trace_begin(str received, const struct trace_seed *seed, char to[static TRACE_MAX])
{
	char root[TRACE_ROOT_MAX], segment[TRACE_SEGMENT_MAX];
	struct trace_parts parts;

	trace_read(received, &parts);
	if (!parts.root.at) {
		(void)snprintf(root, sizeof(root), "1-%08x-%08x%016" PRIx64, (unsigned)seed->now_s,
			(unsigned)seed->random[0], seed->random[1]);
		(void)snprintf(segment, sizeof(segment), "%016" PRIx64, seed->random[2]);
		parts = (struct trace_parts){ .root = str_of(root), .parent = str_of(segment) };
	}
	trace_write(&parts, to);
}

void trace_decide(bool is_active, uint64_t segment, char trace[static TRACE_MAX])
{
	char text[TRACE_SEGMENT_MAX];
	struct trace_parts parts;

	trace_read(str_of(trace), &parts);
	if (!parts.sampled.len)
		parts.sampled = is_active ? S("1") : S("0");
	(void)snprintf(text, sizeof(text), "%016" PRIx64, segment);
	if (!parts.parent.len || str_eq(parts.sampled, S("1")))
		parts.parent = str_of(text);
	trace_write(&parts, trace);
}

bool trace_is_sampled(
	str trace, char ret_root[static TRACE_ROOT_MAX], char ret_segment[static TRACE_SEGMENT_MAX])
{
	struct trace_parts parts;

	trace_read(trace, &parts);
	return str_eq(parts.sampled, S("1")) && parts.root.len && parts.parent.len &&
		str_to_array(parts.root, ret_root, TRACE_ROOT_MAX) == 0 &&
		str_to_array(parts.parent, ret_segment, TRACE_SEGMENT_MAX) == 0;
}
