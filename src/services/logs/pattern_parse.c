/*
 * Reading patterns. The first character tells which of the four languages it is. Terms are read
 * in one loop; conditions by operator precedence with a stack of operators ("shunting yard"),
 * which JSON and fields share: they differ in what an operand looks like.
 *
 * A reading function returns PATTERN_DONE, PATTERN_BAD with parse->reason set, or a fault.
 */
#include "services/logs/pattern_tree.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parse {
	struct arena *arena;
	struct pattern *pattern;
	str rest;
	str reason;
	size_t regexes;
	size_t wildcards;
	str field_name;			   /* the field that is being read */
	uint16_t stack[PATTERN_DEPTH_MAX]; /* pending operators */
	size_t depth;
};

enum { PATTERN_OPEN = 0xfffd }; /* an open parenthesis on the stack */

/* Matching costs what the message costs, not what its combinations do. */
enum { PATTERN_MATCH_LIMIT = 50'000, PATTERN_HEAP_KIB = 256 };

static int parse_bad(struct parse *parse, str reason)
{
	parse->reason = reason;
	return PATTERN_BAD;
}

static int parse_invalid(struct parse *parse)
{
	return parse_bad(parse, S("Invalid filter pattern"));
}

/* The character that parse->rest begins with has no business here. */
static int parse_bad_character(struct parse *parse)
{
	size_t len = utf8_sequence(parse->rest);
	str character = str_slice(parse->rest, 0, len ? len : 1);
	str reason = arena_strf(
		parse->arena, "Invalid character(s) in term '" STR_FMT "'", STR_ARG(character));
	if (!reason.at)
		return err_raise(-ENOMEM);
	return parse->rest.len ? parse_bad(parse, reason) : parse_invalid(parse);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_';
}

/* Unquoted values: words, numbers, addresses, and stars. */
static bool is_bare(char c)
{
	return is_word(c) || c == '.' || c == '*' || c == '+' || c == '-';
}

static bool is_selector(char c)
{
	return is_word(c) || c == '-';
}

static void parse_spaces(struct parse *parse)
{
	while (parse->rest.len && is_space(*parse->rest.at))
		parse->rest = str_from(parse->rest, 1);
}

static bool parse_at(const struct parse *parse, char c)
{
	return parse->rest.len && *parse->rest.at == c;
}

/* Skip `token` if it comes next. */
static bool parse_take(struct parse *parse, str token)
{
	if (!str_starts(parse->rest, token))
		return false;
	parse->rest = str_from(parse->rest, token.len);
	return true;
}

/* The longest run of such characters, maybe none. */
static str parse_run(struct parse *parse, bool (*belongs)(char c))
{
	size_t len = 0;
	while (len < parse->rest.len && belongs(parse->rest.at[len]))
		len++;
	str run = str_slice(parse->rest, 0, len);
	parse->rest = str_from(parse->rest, len);
	return run;
}

/* "…" with \" and \\ in it; the quote was not taken yet. */
static int parse_quoted(struct parse *parse, str *ret_text)
{
	char *text = arena_new(parse->arena, parse->rest.len);
	size_t len = 0;

	if (!text)
		return err_raise(-ENOMEM);
	for (size_t i = 1; i < parse->rest.len; i++) {
		char c = parse->rest.at[i];
		if (c == '"') {
			parse->rest = str_from(parse->rest, i + 1);
			*ret_text = (str){ text, len };
			return PATTERN_DONE;
		}
		bool is_escape = c == '\\' && i + 1 < parse->rest.len &&
			(parse->rest.at[i + 1] == '"' || parse->rest.at[i + 1] == '\\');
		text[len++] = is_escape ? parse->rest.at[++i] : c;
	}
	return parse_invalid(parse); /* no closing quote */
}

static bool is_regex(char c)
{
	/* User guide: alphanumeric, these symbols and these operators; "( and ) … not supported". */
	return c != '\0' && (is_word(c) || strchr(":#=@/;,- ^$?[]{}|\\*+.", c));
}

static int parse_compile(struct parse *parse, str text, pcre2_code **ret_regex)
{
	struct pattern *pattern = parse->pattern;
	int error;
	PCRE2_SIZE at;

	if (!pattern->match) {
		pattern->match = pcre2_match_context_create(NULL);
		if (!pattern->match)
			return err_raise(-ENOMEM);
		pcre2_set_match_limit(pattern->match, PATTERN_MATCH_LIMIT);
		pcre2_set_heap_limit(pattern->match, PATTERN_HEAP_KIB);
	}
	pcre2_code *regex = pcre2_compile((PCRE2_SPTR)text.at, text.len,
		PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, NULL);
	if (!regex)
		return error == PCRE2_ERROR_HEAP_FAILED ? err_raise(-ENOMEM) : parse_invalid(parse);
	*ret_regex = regex;
	return PATTERN_DONE;
}

/* %…%; the first % was not taken yet. */
static int parse_regex(struct parse *parse, pcre2_code **ret_regex)
{
	parse->rest = str_from(parse->rest, 1);
	str text = parse_run(parse, is_regex);
	if (!parse_at(parse, '%'))
		return parse_bad_character(parse);
	if (text.len == 0)
		return parse_invalid(parse);
	if (++parse->regexes > PATTERN_REGEXES_MAX)
		return parse_bad(parse, S("Invalid filter pattern: too many regular expressions"));
	parse->rest = str_from(parse->rest, 1);
	return err_pass(parse_compile(parse, text, ret_regex));
}

/* Is all of it a number: sign, digits, fraction, exponent? */
static bool parse_number(str text, double *ret_number)
{
	char copy[64];
	char *end;

	if (text.len == 0 || str_to_array(text, copy, sizeof(copy)) < 0)
		return false;
	if (strspn(copy, "0123456789+-.eE") != text.len || strpbrk(copy, "0123456789") == NULL)
		return false;
	double number = strtod(copy, &end);
	if (*end != '\0')
		return false;
	*ret_number = number;
	return true;
}

/*
 * User guide: "You can use the asterisk '*' wildcard character to match any text at, before, or
 * after a search term … Ev*ent will only match the actual string Ev*ent."
 */
static void value_trim_stars(struct pattern_value *value)
{
	if (str_starts(value->text, S("*"))) {
		value->has_star_before = true;
		value->text = str_from(value->text, 1);
	}
	if (str_ends(value->text, S("*"))) {
		value->has_star_after = true;
		value->text = str_slice(value->text, 0, value->text.len - 1);
	}
}

/* The right side of a comparison. */
static int parse_value(struct parse *parse, struct pattern_value *value)
{
	parse_spaces(parse);
	if (parse_at(parse, '%'))
		return err_pass(parse_regex(parse, &value->regex));
	if (parse_at(parse, '"')) {
		int r = parse_quoted(parse, &value->text);
		if (r != PATTERN_DONE)
			return err_pass(r);
	} else {
		value->text = parse_run(parse, is_bare);
		if (value->text.len == 0)
			return parse_bad_character(parse);
		value->is_number = parse_number(value->text, &value->number);
	}
	value_trim_stars(value);
	return PATTERN_DONE;
}

static struct pattern_test *parse_new_test(struct parse *parse)
{
	/* Every test takes at least one character: the arrays were made for as many. */
	assert(parse->pattern->test_count < PATTERN_LEN_MAX);
	return &parse->pattern->tests[parse->pattern->test_count++];
}

static int parse_relation(struct parse *parse, enum pattern_relation *ret_relation)
{
	static const struct {
		str sign;
		enum pattern_relation relation;
	} signs[] = {
		{ S_INIT("!="), RELATION_UNEQUAL },
		{ S_INIT(">="), RELATION_GREATER_EQUAL },
		{ S_INIT("<="), RELATION_LESS_EQUAL },
		{ S_INIT("="), RELATION_EQUAL },
		{ S_INIT(">"), RELATION_GREATER },
		{ S_INIT("<"), RELATION_LESS },
	};

	parse_spaces(parse);
	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		if (parse_take(parse, signs[i].sign)) {
			*ret_relation = signs[i].relation;
			return PATTERN_DONE;
		}
	}
	return parse_bad_character(parse);
}

/* A sign and a value. */
static int parse_comparison(struct parse *parse, struct pattern_test *test)
{
	int r = parse_relation(parse, &test->relation);
	if (r == PATTERN_DONE)
		r = parse_value(parse, &test->value);
	if (r != PATTERN_DONE)
		return err_pass(r);
	bool is_order = test->relation >= RELATION_LESS && test->relation <= RELATION_GREATER_EQUAL;
	return is_order && !test->value.is_number ? parse_invalid(parse) : PATTERN_DONE;
}

/* [7], [*] or ['key']; the bracket was taken. */
static int parse_bracket(struct parse *parse, struct pattern_step *step)
{
	uint64_t index;
	str inside;

	if (parse_take(parse, S("'"))) {
		if (!str_cut(&parse->rest, '\'', &inside) || inside.len == 0 ||
			!parse_take(parse, S("]")))
			return parse_invalid(parse);
		*step = (struct pattern_step){ STEP_KEY, inside, 0 };
		return PATTERN_DONE;
	}
	if (!str_cut(&parse->rest, ']', &inside))
		return parse_invalid(parse);
	if (str_eq(inside, S("*"))) {
		*step = (struct pattern_step){ .kind = STEP_ANY };
		return PATTERN_DONE;
	}
	if (str_to_u64(inside, UINT32_MAX, &index) < 0)
		return parse_invalid(parse);
	*step = (struct pattern_step){ STEP_INDEX, {}, (size_t)index };
	return PATTERN_DONE;
}

/* One step if one comes: false in *ret_is_end. */
static int parse_step(struct parse *parse, struct pattern_step *step, bool *ret_is_end)
{
	*ret_is_end = false;
	bool has_dot = parse_take(parse, S("."));
	if (parse_take(parse, S("[")))
		return err_pass(parse_bracket(parse, step));
	if (!has_dot) {
		*ret_is_end = true;
		return PATTERN_DONE;
	}
	if (parse_take(parse, S("*"))) {
		*step = (struct pattern_step){ .kind = STEP_ANY };
		return PATTERN_DONE;
	}
	*step = (struct pattern_step){ STEP_KEY, parse_run(parse, is_selector), 0 };
	return step->key.len ? PATTERN_DONE : parse_bad_character(parse);
}

/* $.a.b[0]['c'].* */
static int parse_selector(struct parse *parse, struct pattern_test *test)
{
	struct pattern_step steps[PATTERN_STEPS_MAX];
	size_t count = 0;
	size_t wildcards = 0;
	bool is_end = false;

	if (!parse_take(parse, S("$")))
		return parse_bad_character(parse);
	while (!is_end) {
		if (count == ARRAY_LEN(steps))
			return parse_invalid(parse);
		int r = parse_step(parse, &steps[count], &is_end);
		if (r != PATTERN_DONE)
			return err_pass(r);
		if (is_end)
			break;
		wildcards += steps[count++].kind == STEP_ANY;
	}
	parse->wildcards += wildcards;
	if (count == 0 || wildcards > 1 || parse->wildcards > PATTERN_WILDCARDS_MAX)
		return parse_invalid(parse);

	struct pattern_step *kept = arena_new(parse->arena, count * sizeof(*kept));
	if (!kept)
		return err_raise(-ENOMEM);
	memcpy(kept, steps, count * sizeof(*kept));
	test->steps = kept;
	test->step_count = count;
	return PATTERN_DONE;
}

/* A word that stands alone. */
static bool parse_keyword(struct parse *parse, str keyword)
{
	struct parse before = { .rest = parse->rest };

	parse_spaces(parse);
	if (parse_take(parse, keyword) && !(parse->rest.len && is_word(*parse->rest.at)))
		return true;
	parse->rest = before.rest;
	return false;
}

/* One condition of a JSON pattern. */
static int parse_json_test(struct parse *parse)
{
	struct pattern_test *test = parse_new_test(parse);
	int r = parse_selector(parse, test);
	if (r != PATTERN_DONE)
		return err_pass(r);

	if (parse_keyword(parse, S("IS"))) {
		if (parse_keyword(parse, S("NULL")))
			test->relation = RELATION_IS_NULL;
		else if (parse_keyword(parse, S("TRUE")))
			test->relation = RELATION_IS_TRUE;
		else if (parse_keyword(parse, S("FALSE")))
			test->relation = RELATION_IS_FALSE;
		else
			return parse_invalid(parse);
		return PATTERN_DONE;
	}
	if (parse_keyword(parse, S("NOT"))) {
		test->relation = RELATION_NOT_EXISTS;
		return parse_keyword(parse, S("EXISTS")) ? PATTERN_DONE : parse_invalid(parse);
	}
	return err_pass(parse_comparison(parse, test));
}

/* One condition of a field: its own name, a sign and a value. */
static int parse_field_test(struct parse *parse)
{
	struct pattern_test *test = parse_new_test(parse);
	str name = parse_run(parse, is_selector);

	if (name.len == 0)
		return parse_bad_character(parse);
	if (parse->field_name.at && !str_eq(parse->field_name, name))
		return parse_invalid(parse); /* another field's name */
	parse->field_name = name;
	test->field = parse->pattern->field_count;
	return err_pass(parse_comparison(parse, test));
}

static void parse_emit(struct parse *parse, uint16_t instruction)
{
	assert(parse->pattern->program_len < 2 * PATTERN_LEN_MAX);
	parse->pattern->program[parse->pattern->program_len++] = instruction;
}

static bool parse_push(struct parse *parse, uint16_t operator)
{
	if (parse->depth == ARRAY_LEN(parse->stack))
		return false;
	parse->stack[parse->depth++] = operator;
	return true;
}

/* Emit pending operators that bind at least as strongly: all ANDs, and ORs if `all`. */
static void parse_settle(struct parse *parse, bool all)
{
	while (parse->depth && parse->stack[parse->depth - 1] != PATTERN_OPEN) {
		if (!all && parse->stack[parse->depth - 1] == PATTERN_OR)
			break;
		parse_emit(parse, parse->stack[--parse->depth]);
	}
}

typedef int parse_test_fn(struct parse *parse);

/* Open parentheses and then one test. */
static int parse_operand(struct parse *parse, parse_test_fn *parse_test)
{
	for (;;) {
		parse_spaces(parse);
		if (!parse_take(parse, S("(")))
			break;
		if (!parse_push(parse, PATTERN_OPEN))
			return parse_invalid(parse);
	}
	int r = parse_test(parse);
	if (r == PATTERN_DONE)
		parse_emit(parse, (uint16_t)(parse->pattern->test_count - 1));
	return err_pass(r);
}

/* Close parentheses; each must have been opened. */
static int parse_closings(struct parse *parse)
{
	for (;;) {
		parse_spaces(parse);
		if (!parse_take(parse, S(")")))
			return PATTERN_DONE;
		parse_settle(parse, true);
		if (parse->depth == 0)
			return parse_invalid(parse);
		parse->depth--; /* the parenthesis */
	}
}

/* "Order of operations: () > && > ||"; stops before what is no operator. */
static int parse_condition(struct parse *parse, parse_test_fn *parse_test)
{
	assert(parse->depth == 0);
	for (;;) {
		int r = parse_operand(parse, parse_test);
		if (r == PATTERN_DONE)
			r = parse_closings(parse);
		if (r != PATTERN_DONE)
			return err_pass(r);

		bool is_and = parse_take(parse, S("&&"));
		if (!is_and && !parse_take(parse, S("||")))
			break;
		parse_settle(parse, !is_and);
		if (!parse_push(parse, is_and ? PATTERN_AND : PATTERN_OR))
			return parse_invalid(parse);
	}
	parse_settle(parse, true);
	return parse->depth == 0 ? PATTERN_DONE : parse_invalid(parse);
}

static int parse_json(struct parse *parse)
{
	if (!str_ends(parse->rest, S("}")))
		return parse_bad(
			parse, S("If a filter pattern starts with '{' it must end with '}'"));
	parse->rest = str_slice(parse->rest, 1, parse->rest.len - 1);
	parse->pattern->kind = PATTERN_JSON;
	int r = parse_condition(parse, parse_json_test);
	if (r == PATTERN_DONE && parse->rest.len)
		return parse_bad_character(parse);
	return err_pass(r);
}

/* One field: an ellipsis, nothing, a name, or conditions on a name. */
static int parse_field(struct parse *parse)
{
	struct pattern *pattern = parse->pattern;

	parse_spaces(parse);
	if (parse_take(parse, S("..."))) {
		if (pattern->has_ellipsis)
			return parse_invalid(parse);
		pattern->has_ellipsis = true;
		pattern->fields_before = pattern->field_count;
		return PATTERN_DONE;
	}

	str start = parse->rest;
	(void)parse_run(parse, is_selector);
	parse_spaces(parse);
	if (parse->rest.len && !parse_at(parse, ',')) { /* more than a name */
		bool is_first = pattern->program_len == 0;
		parse->rest = start;
		parse->field_name = (str){};
		int r = parse_condition(parse, parse_field_test);
		if (r != PATTERN_DONE)
			return err_pass(r);
		if (!is_first)
			parse_emit(parse, PATTERN_AND);
	}
	pattern->field_count++;
	return PATTERN_DONE;
}

static int parse_fields(struct parse *parse)
{
	if (!str_ends(parse->rest, S("]")))
		return parse_bad(
			parse, S("If a filter pattern starts with '[' it must end with ']'"));
	parse->rest = str_slice(parse->rest, 1, parse->rest.len - 1);
	parse->pattern->kind = PATTERN_FIELDS;
	for (;;) {
		int r = parse_field(parse);
		if (r != PATTERN_DONE)
			return err_pass(r);
		parse_spaces(parse);
		if (parse->rest.len == 0)
			return PATTERN_DONE;
		if (!parse_take(parse, S(",")))
			return parse_bad_character(parse);
	}
}

static int parse_term(struct parse *parse)
{
	struct pattern_test *test = parse_new_test(parse);

	if (parse_take(parse, S("-")))
		test->term = TERM_EXCLUDED;
	else if (parse_take(parse, S("?")))
		test->term = TERM_OPTIONAL;
	if (parse_at(parse, '%'))
		return err_pass(parse_regex(parse, &test->value.regex));
	if (parse_at(parse, '"'))
		return err_pass(parse_quoted(parse, &test->value.text));
	test->value.text = parse_run(parse, is_word);
	return test->value.text.len ? PATTERN_DONE : parse_bad_character(parse);
}

static int parse_terms(struct parse *parse)
{
	parse->pattern->kind = PATTERN_TERMS;
	while (parse->rest.len) {
		int r = parse_term(parse);
		if (r != PATTERN_DONE)
			return err_pass(r);
		if (parse->rest.len && !is_space(*parse->rest.at))
			return parse_bad_character(parse);
		parse_spaces(parse);
	}
	return PATTERN_DONE;
}

static int parse_any(struct parse *parse)
{
	parse_spaces(parse);
	while (parse->rest.len && is_space(parse->rest.at[parse->rest.len - 1]))
		parse->rest.len--;
	if (parse->rest.len == 0)
		return PATTERN_DONE; /* everything */
	if (parse_at(parse, '{'))
		return err_pass(parse_json(parse));
	if (parse_at(parse, '['))
		return err_pass(parse_fields(parse));
	return err_pass(parse_terms(parse));
}

int pattern_parse(struct arena *arena, str text, struct pattern **ret_pattern, str *ret_reason)
{
	assert(arena && ret_pattern && ret_reason);
	struct pattern *pattern = arena_new(arena, sizeof(*pattern));
	if (!pattern)
		return err_raise(-ENOMEM);
	struct parse parse = { .arena = arena, .pattern = pattern, .rest = text };
	if (text.len > PATTERN_LEN_MAX) {
		*ret_reason = S("Invalid filter pattern");
		return PATTERN_BAD;
	}
	pattern->tests = arena_new(arena, (text.len + 1) * sizeof(*pattern->tests));
	pattern->program = arena_new(arena, 2 * (text.len + 1) * sizeof(*pattern->program));
	if (!pattern->tests || !pattern->program)
		return err_raise(-ENOMEM);

	int r = parse_any(&parse);
	if (r != PATTERN_DONE) {
		pattern_free(pattern);
		if (r == PATTERN_BAD)
			*ret_reason = parse.reason;
		return err_pass(r);
	}
	*ret_pattern = pattern;
	return PATTERN_DONE;
}

void pattern_free(struct pattern *pattern)
{
	if (!pattern)
		return;
	for (size_t i = 0; i < pattern->test_count; i++)
		pcre2_code_free(pattern->tests[i].value.regex);
	pcre2_match_context_free(pattern->match);
}
