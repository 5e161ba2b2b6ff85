/*
 * Running a pattern over a message. A condition's program runs over a stack of bits; a message
 * of JSON is parsed once, and a message of words cut into fields once, before.
 */
#include "services/logs/pattern_tree.h"

#include "base/attr.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERN_FIELDS_MAX = 512, PATTERN_STACK_MAX = PATTERN_LEN_MAX };

static bool regex_matches(const struct pattern *pattern, const pcre2_code *regex, str text)
{
	pcre2_match_data *match = pcre2_match_data_create(1, NULL);
	if (!match)
		return false;
	int r = pcre2_match(regex, (PCRE2_SPTR)(text.len ? text.at : ""), text.len, 0, 0, match,
		pattern->match);
	pcre2_match_data_free(match);
	return r >= 0; /* an exceeded limit is no match */
}

/* Is `text` the value's, with its stars? */
static bool value_is_text(
	const struct pattern *pattern, const struct pattern_value *value, str text)
{
	if (value->regex)
		return regex_matches(pattern, value->regex, text);
	if (value->has_star_before && value->has_star_after)
		return str_find_str(text, value->text) >= 0;
	if (value->has_star_before)
		return str_ends(text, value->text);
	if (value->has_star_after)
		return str_starts(text, value->text);
	return str_eq(text, value->text);
}

static bool number_relates(double left, enum pattern_relation relation, double right)
{
	switch (relation) {
	case RELATION_EQUAL:
		return left == right;
	case RELATION_UNEQUAL:
		return left != right;
	case RELATION_LESS:
		return left < right;
	case RELATION_LESS_EQUAL:
		return left <= right;
	case RELATION_GREATER:
		return left > right;
	case RELATION_GREATER_EQUAL:
		return left >= right;
	default:
		return false;
	}
}

/* A text beside a value: only equality makes sense. */
static bool text_relates(const struct pattern *pattern, const struct pattern_test *test, str text)
{
	if (test->relation == RELATION_EQUAL)
		return value_is_text(pattern, &test->value, text);
	if (test->relation == RELATION_UNEQUAL)
		return !value_is_text(pattern, &test->value, text);
	return false;
}

/* A number of a message beside a value: as numbers if both are, else by its text (4*). */
static bool json_number_relates(
	const struct pattern *pattern, const struct pattern_test *test, const json_t *number)
{
	char text[64];

	if (test->value.is_number)
		return number_relates(
			json_number_value(number), test->relation, test->value.number);
	if (json_is_integer(number))
		(void)snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(number));
	else
		(void)snprintf(text, sizeof(text), "%.17g", json_real_value(number));
	return text_relates(pattern, test, str_of(text));
}

/* Does the test hold of the node that its selector points at (NULL: at nothing)? */
static bool node_relates(
	const struct pattern *pattern, const struct pattern_test *test, const json_t *node)
{
	switch (test->relation) {
	case RELATION_NOT_EXISTS:
		return !node;
	case RELATION_IS_NULL:
		return json_is_null(node);
	case RELATION_IS_TRUE:
		return json_is_true(node);
	case RELATION_IS_FALSE:
		return json_is_false(node);
	default:
		break;
	}
	/* "Value nodes can be strings or numbers. … array or object: … won't match the log format" */
	if (json_is_string(node))
		return text_relates(
			pattern, test, (str){ json_string_value(node), json_string_length(node) });
	return json_is_number(node) && json_number_relates(pattern, test, node);
}

static json_t *node_step(json_t *node, const struct pattern_step *step)
{
	if (step->kind == STEP_KEY)
		return json_object_getn(node, step->key.at, step->key.len);
	return json_array_get(node, step->index);
}

/* Follow the steps from `from` on, up to a wildcard or the end. */
static json_t *node_walk(json_t *node, const struct pattern_test *test, size_t from, size_t *ret_at)
{
	size_t at = from;
	while (node && at < test->step_count && test->steps[at].kind != STEP_ANY)
		node = node_step(node, &test->steps[at++]);
	*ret_at = at;
	return node;
}

static bool child_relates(
	const struct pattern *pattern, const struct pattern_test *test, json_t *child, size_t at)
{
	size_t end;
	json_t *node = node_walk(
		child, test, at + 1, &end); /* one wildcard a selector: to its end */
	return node_relates(pattern, test, node);
}

static bool json_test_holds(
	const struct pattern *pattern, const struct pattern_test *test, json_t *root)
{
	size_t at;
	json_t *node = node_walk(root, test, 0, &at);
	const char *key;
	json_t *child;
	size_t index;

	if (!node || at == test->step_count)
		return node_relates(pattern, test, node);
	json_object_foreach(node, key, child)
	{
		if (child_relates(pattern, test, child, at))
			return true;
	}
	json_array_foreach(node, index, child)
	{
		if (child_relates(pattern, test, child, at))
			return true;
	}
	bool is_empty = json_object_size(node) == 0 && json_array_size(node) == 0;
	return is_empty && node_relates(pattern, test, NULL);
}

/* A message cut into words: views into it. */
struct fields {
	str at[PATTERN_FIELDS_MAX];
	size_t count;
};

/* User guide: "Characters between brackets and double quotation marks are considered single fields." */
static str field_cut(str *rest)
{
	char end = ' ';
	size_t from = 0;

	if (*rest->at == '"' || *rest->at == '[') {
		char closing = *rest->at == '"' ? '"' : ']';
		if (str_find(str_from(*rest, 1), closing) >= 0) {
			end = closing;
			from = 1;
		}
	}
	size_t to = from;
	while (to < rest->len && rest->at[to] != end && (end != ' ' || rest->at[to] != '\t'))
		to++;
	str field = str_slice(*rest, from, to);
	*rest = str_from(*rest, to + from); /* the closing one too */
	return field;
}

/* Cut into at most `max` fields; the last one of them then holds all the rest. */
static void fields_cut(struct fields *fields, str message, size_t max)
{
	str rest = message;

	while (rest.len && (rest.at[rest.len - 1] == '\n' || rest.at[rest.len - 1] == '\r'))
		rest.len--;
	for (rest = str_trim(rest); rest.len; rest = str_trim(rest)) {
		str whole = rest;
		str field = field_cut(&rest);
		bool is_last = fields->count + 1 == max && str_trim(rest).len;
		fields->at[fields->count++] = is_last ? whole : field;
		if (fields->count == max)
			break;
	}
}

static bool field_test_holds(
	const struct pattern *pattern, const struct pattern_test *test, const struct fields *fields)
{
	size_t index = test->field;
	char copy[64];
	char *end;

	if (pattern->has_ellipsis && index >= pattern->fields_before)
		index += fields->count - pattern->field_count;
	assert(index < fields->count);
	str text = fields->at[index];
	if (test->value.is_number && text.len && str_to_array(text, copy, sizeof(copy)) == 0) {
		double number = strtod(copy, &end);
		if (*end == '\0')
			return number_relates(number, test->relation, test->value.number);
	}
	return text_relates(pattern, test, text);
}

/* What tests look at. */
struct subject {
	json_t *root;
	const struct fields *fields;
};

static bool test_holds(const struct pattern *pattern, const struct pattern_test *test,
	const struct subject *subject)
{
	if (pattern->kind == PATTERN_JSON)
		return json_test_holds(pattern, test, subject->root);
	return field_test_holds(pattern, test, subject->fields);
}

static bool program_run(const struct pattern *pattern, const struct subject *subject)
{
	bool stack[PATTERN_STACK_MAX];
	size_t depth = 0;

	for (size_t i = 0; i < pattern->program_len; i++) {
		uint16_t instruction = pattern->program[i];
		if (instruction == PATTERN_AND || instruction == PATTERN_OR) {
			assert(depth >= 2);
			depth--;
			stack[depth - 1] = instruction == PATTERN_AND
				? stack[depth - 1] && stack[depth]
				: stack[depth - 1] || stack[depth];
			continue;
		}
		assert(instruction < pattern->test_count && depth < ARRAY_LEN(stack));
		stack[depth++] = test_holds(pattern, &pattern->tests[instruction], subject);
	}
	assert(depth <= 1);
	return depth == 0 || stack[0]; /* fields without a condition */
}

static json_t *json_of(str message)
{
	json_error_t error;

	str rest = message;
	while (rest.len &&
		(*rest.at == ' ' || *rest.at == '\t' || *rest.at == '\n' || *rest.at == '\r'))
		rest = str_from(rest, 1);
	if (rest.len == 0 || (*rest.at != '{' && *rest.at != '['))
		return NULL;
	json_t *root = json_loadb(rest.at, rest.len, JSON_ALLOW_NUL, &error);
	if (!root && json_error_code(&error) == json_error_numeric_overflow)
		root = json_loadb(
			rest.at, rest.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
	return root;
}

static bool json_matches(const struct pattern *pattern, str message)
{
	json_t *root = json_of(message);
	if (!root)
		return false;
	bool does = program_run(pattern, &(struct subject){ .root = root });
	json_decref(root);
	return does;
}

static bool fields_match(const struct pattern *pattern, str message)
{
	struct fields fields;

	fields.count = 0;
	size_t max = pattern->has_ellipsis ? PATTERN_FIELDS_MAX : pattern->field_count;
	if (pattern->field_count > PATTERN_FIELDS_MAX)
		return false;
	fields_cut(&fields, message, max);
	if (fields.count < pattern->field_count)
		return false;
	return program_run(pattern, &(struct subject){ .fields = &fields });
}

/* A term of white space alone stands for everything: `" "`. */
static bool term_is_in(const struct pattern *pattern, const struct pattern_test *test, str message)
{
	if (test->value.regex)
		return regex_matches(pattern, test->value.regex, message);
	return str_trim(test->value.text).len == 0 || str_find_str(message, test->value.text) >= 0;
}

/* "If you combine '?' with other filter patterns, all question mark terms will be ignored." */
static bool terms_match(const struct pattern *pattern, str message)
{
	bool has_others = false;
	bool has_optional_hit = false;

	for (size_t i = 0; i < pattern->test_count; i++) {
		const struct pattern_test *test = &pattern->tests[i];
		bool is_in = term_is_in(pattern, test, message);
		if (test->term == TERM_OPTIONAL) {
			has_optional_hit |= is_in;
			continue;
		}
		has_others = true;
		if (is_in != (test->term == TERM_INCLUDED))
			return false;
	}
	return has_others || has_optional_hit;
}

bool pattern_matches(const struct pattern *pattern, str message)
{
	assert(pattern);
	switch (pattern->kind) {
	case PATTERN_TERMS:
		return terms_match(pattern, message);
	case PATTERN_JSON:
		return json_matches(pattern, message);
	case PATTERN_FIELDS:
		return fields_match(pattern, message);
	default:
		return true;
	}
}
