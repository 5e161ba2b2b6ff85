/*
 * Patterns come from AWS, texts from anybody: a match has a budget of steps, of depth and of heap,
 * so that no text can make one run for long. What exceeds it does not match.
 *
 * Each pattern is compiled when it is first needed. Two threads may do so at once; one of them
 * wins the slot and the other throws its copy away.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "aws/pattern.h"

#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <pcre2.h>
#include <stdatomic.h>

enum {
	PATTERN_STEPS_MAX = 500'000,
	PATTERN_DEPTH_MAX = 50'000,
	PATTERN_HEAP_KIB_MAX = 4096,
};

static int pattern_compile(const struct aws_shape *shape, pcre2_code **ret_code)
{
	str text = shape->regex.len ? shape->regex : shape->pattern;
	int error;
	PCRE2_SIZE offset;

	pcre2_code *code = pcre2_compile((PCRE2_SPTR)text.at, text.len,
		PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NO_UTF_CHECK, &error,
		&offset, NULL);
	if (!code) {
		log_error("pattern_not_compiled", LOG_STR("shape", shape->name),
			LOG_I64("error", error), LOG_U64("offset", offset));
		return err_raise(-EINVAL);
	}
	void *none = NULL;
	if (!atomic_compare_exchange_strong(shape->compiled, &none, code)) {
		pcre2_code_free(code);
		code = none;
	}
	*ret_code = code;
	return 0;
}

static int pattern_run(const pcre2_code *code, str text)
{
	pcre2_match_context *context = pcre2_match_context_create(NULL);
	pcre2_match_data *match = pcre2_match_data_create(1, NULL);
	int r = PCRE2_ERROR_NOMEMORY;

	if (context && match) {
		(void)pcre2_set_match_limit(context, PATTERN_STEPS_MAX);
		(void)pcre2_set_depth_limit(context, PATTERN_DEPTH_MAX);
		(void)pcre2_set_heap_limit(context, PATTERN_HEAP_KIB_MAX);
		r = pcre2_match(
			code, (PCRE2_SPTR)(text.at ? text.at : ""), text.len, 0, 0, match, context);
	}
	pcre2_match_data_free(match);
	pcre2_match_context_free(context);
	return r;
}

int pattern_match(const struct aws_shape *shape, str text)
{
	pcre2_code *code = atomic_load(shape->compiled);

	if (!code) {
		int r = pattern_compile(shape, &code);
		if (r < 0)
			return err_pass(r);
	}
	int r = pattern_run(code, text);
	if (r == PCRE2_ERROR_NOMEMORY)
		return err_raise(-ENOMEM);
	return r < 0 ? PATTERN_DIFFERS : PATTERN_MATCHES;
}
