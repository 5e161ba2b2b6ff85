#pragma once
/*
 * A filter pattern taken apart: what pattern_parse.c makes and pattern_match.c runs.
 *
 * A condition is a postfix program over tests, so that neither reading nor running it recurses:
 * `(a && b) || c` is TEST a, TEST b, AND, TEST c, OR.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "services/logs/pattern.h"

#include <pcre2.h>

enum pattern_kind {
	PATTERN_EVERYTHING,
	PATTERN_TERMS,	/* tests are terms; no program */
	PATTERN_JSON,	/* the program over tests of selectors */
	PATTERN_FIELDS, /* the program over tests of fields */
};

/* What a value, a term or a field is compared with. */
struct pattern_value {
	str text; /* without quotes and outer stars */
	pcre2_code *regex;
	double number;
	bool is_number; /* unquoted, and a number */
	bool has_star_before;
	bool has_star_after;
};

enum pattern_relation {
	RELATION_EQUAL,
	RELATION_UNEQUAL,
	RELATION_LESS,
	RELATION_LESS_EQUAL,
	RELATION_GREATER,
	RELATION_GREATER_EQUAL,
	RELATION_IS_NULL,
	RELATION_IS_TRUE,
	RELATION_IS_FALSE,
	RELATION_NOT_EXISTS,
};

enum pattern_step_kind { STEP_KEY, STEP_INDEX, STEP_ANY };

/* One step of a selector: .key, ['key'], [7], .* or [*] */
struct pattern_step {
	enum pattern_step_kind kind;
	str key;
	size_t index;
};

enum pattern_term { TERM_INCLUDED, TERM_EXCLUDED, TERM_OPTIONAL };

struct pattern_test {
	enum pattern_term term;		  /* terms */
	const struct pattern_step *steps; /* JSON: the selector */
	size_t step_count;
	size_t field; /* fields: which */
	enum pattern_relation relation;
	struct pattern_value value;
};

/* Instructions of a program: an index into tests, or one of these. */
enum { PATTERN_AND = 0xffff, PATTERN_OR = 0xfffe };

struct pattern {
	enum pattern_kind kind;
	struct pattern_test *tests;
	size_t test_count;
	uint16_t *program;
	size_t program_len;
	size_t field_count;   /* fields: how many the pattern names, without the ellipsis */
	size_t fields_before; /* how many stand before the ellipsis */
	bool has_ellipsis;
	pcre2_match_context *match; /* the limits of matching; NULL without regexes */
};

/* FilterLogEvents: "filterPattern … Maximum length of 1024". Everything in a pattern is bounded by it. */
enum {
	PATTERN_LEN_MAX = 1024,
	PATTERN_REGEXES_MAX = 2,   /* "a limit of 2 regex for each filter pattern" */
	PATTERN_WILDCARDS_MAX = 3, /* "up to three wildcard selectors in a filter pattern" */
	PATTERN_STEPS_MAX = 64,
	PATTERN_DEPTH_MAX = 128, /* open parentheses and pending operators */
};
