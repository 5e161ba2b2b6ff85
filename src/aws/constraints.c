/*
 * The order and the words are those that AWS was seen to use:
 *
 *	2 validation errors detected: Value 'a b' at 'name' failed to satisfy constraint: Member must
 *	satisfy regular expression pattern: [a-z]+; Value null at 'role' failed to satisfy
 *	constraint: Member must not be null
 *
 * Members come in the model's order, of one member the pattern before the maximum before the
 * minimum. Elements of a list of scalars and the keys and values of a map are told together, with
 * all that they must be: "Value '[X86]' at 'architectures' failed to satisfy constraint: Member
 * must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not
 * be null]". Structures in lists are told one by one, as 'tags.1.member.key'. Values are printed as
 * Java prints them; sensitive ones are not printed at all.
 */
#include "aws/constraints.h"

#include "aws/call.h"
#include "aws/pattern.h"
#include "aws/value.h"
#include "base/err.h"
#include "base/utf8.h"

#include <errno.h>
#include <math.h>

enum {
	CONSTRAINTS_MAX = 100,	     /* told in one message */
	CONSTRAINTS_PATH_MAX = 1024, /* bytes of a member's path */
	CONSTRAINTS_VALUE_MAX = 16 * 1024,
	CONSTRAINTS_TEXT_MAX = 64 * 1024,
	CONSTRAINTS_DEPTH_MAX = 64,
};

struct check {
	struct buf path;  /* 'vpcConfig.subnetIds' of the member that is looked at */
	struct buf found; /* the errors so far */
	unsigned count;
	unsigned depth;
	const struct aws_member *elsewhere;
};

/* --- words --- */

/* The names of members as Java has them. */
static void check_put_name(struct buf *out, str name)
{
	if (name.len && name.at[0] >= 'A' && name.at[0] <= 'Z') {
		buf_put_char(out, (char)(name.at[0] - 'A' + 'a'));
		name = str_from(name, 1);
	}
	buf_put(out, name);
}

static void check_put_double(struct buf *out, double value)
{
	if (value == trunc(value) && fabs(value) < 1e7)
		buf_putf(out, "%.1f", value);
	else
		value_put_double(out, value);
}

static void check_put_value(
	struct buf *out, const struct aws_shape *shape, const json_t *value, unsigned depth);

/* Shape(memberOne=x, memberTwo=null) */
static void check_put_structure(
	struct buf *out, const struct aws_shape *shape, const json_t *value, unsigned depth)
{
	buf_put(out, shape->name);
	buf_put_char(out, '(');
	for (size_t i = 0; i < shape->member_count; i++) {
		const struct aws_member *member = &shape->members[i];
		if (i > 0)
			buf_put(out, S(", "));
		check_put_name(out, member->name);
		buf_put_char(out, '=');
		check_put_value(
			out, member->shape, json_object_get(value, member->name.at), depth + 1);
	}
	buf_put_char(out, ')');
}

static void check_put_list(
	struct buf *out, const struct aws_shape *shape, const json_t *value, unsigned depth)
{
	size_t i;
	const json_t *item;

	buf_put_char(out, '[');
	json_array_foreach(value, i, item)
	{
		if (i > 0)
			buf_put(out, S(", "));
		check_put_value(out, shape->element, item, depth + 1);
	}
	buf_put_char(out, ']');
}

static void check_put_map(
	struct buf *out, const struct aws_shape *shape, json_t *value, unsigned depth)
{
	bool is_first = true;

	buf_put_char(out, '{');
	for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at)) {
		if (!is_first)
			buf_put(out, S(", "));
		is_first = false;
		buf_put(out, str_of(json_object_iter_key(at)));
		buf_put_char(out, '=');
		check_put_value(out, shape->element, json_object_iter_value(at), depth + 1);
	}
	buf_put_char(out, '}');
}

static void check_put_scalar(struct buf *out, const struct aws_shape *shape, const json_t *value)
{
	if (shape->kind == AWS_DOUBLE || shape->kind == AWS_FLOAT) {
		if (json_is_number(value))
			check_put_double(out, json_number_value(value));
		else
			buf_put(out, json_view(value));
		return;
	}
	if (shape->kind == AWS_BLOB)
		buf_putf(out, "java.nio.HeapByteBuffer[pos=0 lim=%zu cap=%zu]",
			json_string_length(value), json_string_length(value));
	else
		(void)value_put_text(shape, AWS_TIME_ISO8601, value, out);
}

static void check_put_value(
	struct buf *out, const struct aws_shape *shape, const json_t *value, unsigned depth)
{
	if (!value || json_is_null(value) || depth > CONSTRAINTS_DEPTH_MAX)
		buf_put(out, S("null"));
	else if (shape->is_sensitive)
		buf_put(out, S("***"));
	else if (shape->kind == AWS_STRUCTURE)
		check_put_structure(out, shape, value, depth);
	else if (shape->kind == AWS_LIST)
		check_put_list(out, shape, value, depth);
	else if (shape->kind == AWS_MAP)
		check_put_map(out, shape, (json_t *)value, depth);
	else
		check_put_scalar(out, shape, value);
}

/* Does a value of the shape hold something that is not told? */
static bool check_is_secret(const struct aws_shape *shape)
{
	return shape->is_sensitive || (shape->element && shape->element->is_sensitive);
}

/* "Value 'x' at 'path' failed to satisfy constraint: " */
static void check_begin(struct check *check, const struct aws_shape *shape, const json_t *value)
{
	struct buf *out = &check->found;

	if (check->count++ > 0)
		buf_put(out, S("; "));
	if (!value) {
		buf_put(out, S("Value null"));
	} else if (check_is_secret(shape)) {
		buf_put(out, S("Value"));
	} else {
		struct buf text;
		buf_init(&text, CONSTRAINTS_VALUE_MAX);
		check_put_value(&text, shape, value, 0);
		buf_put(out, S("Value '"));
		buf_put(out, buf_str(&text));
		buf_put_char(out, '\'');
		buf_done(&text);
	}
	buf_put(out, S(" at '"));
	buf_put(out, buf_str(&check->path));
	buf_put(out, S("' failed to satisfy constraint: "));
}

/* --- single constraints --- */

enum constraint {
	MUST_BE_OF_SET,
	MUST_FIT_PATTERN,
	MUST_NOT_PASS_MAX,
	MUST_REACH_MIN,
	CONSTRAINTS
};

static bool check_has(const struct aws_shape *shape, enum constraint constraint)
{
	switch (constraint) {
	case MUST_BE_OF_SET:
		return shape->enum_count > 0;
	case MUST_FIT_PATTERN:
		return shape->pattern.len > 0;
	case MUST_NOT_PASS_MAX:
		return shape->has_max;
	default:
		return shape->has_min;
	}
}

static bool check_is_number(const struct aws_shape *shape)
{
	return shape->kind == AWS_INTEGER || shape->kind == AWS_LONG || shape->kind == AWS_DOUBLE ||
		shape->kind == AWS_FLOAT;
}

static void check_put_set(struct buf *out, const struct aws_shape *shape)
{
	buf_put(out, S("Member must satisfy enum value set: ["));
	for (size_t i = 0; i < shape->enum_count; i++) {
		if (i > 0)
			buf_put(out, S(", "));
		buf_put(out, shape->enums[i]);
	}
	buf_put_char(out, ']');
}

static void check_put_bound(struct buf *out, const struct aws_shape *shape, bool is_max)
{
	double bound = is_max ? shape->max : shape->min;

	buf_put(out,
		check_is_number(shape) ? S("Member must have value ")
				       : S("Member must have length "));
	buf_put(out, is_max ? S("less than or equal to ") : S("greater than or equal to "));
	if (shape->kind == AWS_DOUBLE || shape->kind == AWS_FLOAT)
		check_put_double(out, bound);
	else
		buf_putf(out, "%.0f", bound);
}

static void check_put_constraint(
	struct buf *out, const struct aws_shape *shape, enum constraint constraint)
{
	switch (constraint) {
	case MUST_BE_OF_SET:
		check_put_set(out, shape);
		return;
	case MUST_FIT_PATTERN:
		buf_put(out, S("Member must satisfy regular expression pattern: "));
		buf_put(out, shape->pattern);
		return;
	default:
		check_put_bound(out, shape, constraint == MUST_NOT_PASS_MAX);
	}
}

/* Characters of a text, not bytes. */
static size_t check_characters(str text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += ((unsigned char)text.at[i] & 0xc0) != 0x80;
	return count;
}

/* What a minimum and a maximum bound. */
static double check_measure(const struct aws_shape *shape, const json_t *value)
{
	switch (shape->kind) {
	case AWS_STRING:
		return (double)check_characters(json_view(value));
	case AWS_BLOB:
		return (double)json_string_length(value);
	case AWS_LIST:
		return (double)json_array_size(value);
	case AWS_MAP:
		return (double)json_object_size(value);
	default:
		return json_number_value(value);
	}
}

static bool check_is_of_set(const struct aws_shape *shape, str text)
{
	for (size_t i = 0; i < shape->enum_count; i++) {
		if (str_eq(shape->enums[i], text))
			return true;
	}
	return false;
}

/* CONSTRAINTS_MET, CONSTRAINTS_BROKEN or a fault. */
static int check_one(const struct aws_shape *shape, enum constraint constraint, const json_t *value)
{
	bool is_met = true;
	int r;

	switch (constraint) {
	case MUST_BE_OF_SET:
		is_met = check_is_of_set(shape, json_view(value));
		break;
	case MUST_FIT_PATTERN:
		r = pattern_match(shape, json_view(value));
		if (r < 0)
			return err_pass(r);
		is_met = r == PATTERN_MATCHES;
		break;
	case MUST_NOT_PASS_MAX:
		is_met = !(check_measure(shape, value) > shape->max);
		break;
	default:
		is_met = !(check_measure(shape, value) < shape->min);
	}
	return is_met ? CONSTRAINTS_MET : CONSTRAINTS_BROKEN;
}

/* --- elements, told together --- */

/* "[Member must …, Member must not be null]": all that an element must be. */
static void check_put_all(struct buf *out, const struct aws_shape *shape, bool is_null_refused)
{
	static const enum constraint order[] = { MUST_NOT_PASS_MAX, MUST_REACH_MIN,
		MUST_FIT_PATTERN, MUST_BE_OF_SET };
	bool is_first = true;

	buf_put_char(out, '[');
	for (size_t i = 0; i < CONSTRAINTS; i++) {
		if (!check_has(shape, order[i]))
			continue;
		if (!is_first)
			buf_put(out, S(", "));
		is_first = false;
		check_put_constraint(out, shape, order[i]);
	}
	if (is_null_refused)
		buf_put(out,
			is_first ? S("Member must not be null") : S(", Member must not be null"));
	buf_put_char(out, ']');
}

/* Is one element all that it must be? */
static int check_element(const struct aws_shape *shape, const json_t *value, bool is_null_refused)
{
	if (json_is_null(value))
		return is_null_refused ? CONSTRAINTS_BROKEN : CONSTRAINTS_MET;
	if (shape->kind == AWS_STRUCTURE)
		return CONSTRAINTS_MET; /* told one by one */
	for (int i = 0; i < CONSTRAINTS; i++) {
		int r = check_has(shape, (enum constraint)i)
			? check_one(shape, (enum constraint)i, value)
			: CONSTRAINTS_MET;
		if (r != CONSTRAINTS_MET)
			return err_pass(r);
	}
	return CONSTRAINTS_MET;
}

static int check_list_elements(
	struct check *check, const struct aws_shape *shape, const json_t *list)
{
	size_t i;
	const json_t *item;

	json_array_foreach(list, i, item)
	{
		int r = check_element(shape->element, item, !shape->is_sparse);
		if (r < 0)
			return err_pass(r);
		if (r == CONSTRAINTS_MET)
			continue;
		check_begin(check, shape, list);
		buf_put(&check->found, S("Member must satisfy constraint: "));
		check_put_all(&check->found, shape->element, !shape->is_sparse);
		return 0;
	}
	return 0;
}

static int check_map_keys(struct check *check, const struct aws_shape *shape, json_t *map)
{
	for (void *at = json_object_iter(map); at; at = json_object_iter_next(map, at)) {
		json_t *key = value_bytes(str_of(json_object_iter_key(at)));
		if (!key)
			return err_raise(-ENOMEM);
		int r = check_element(shape->key, key, true);
		json_decref(key);
		if (r < 0)
			return err_pass(r);
		if (r == CONSTRAINTS_MET)
			continue;
		check_begin(check, shape, map);
		buf_put(&check->found, S("Map keys must satisfy constraint: "));
		check_put_all(&check->found, shape->key, false);
		return 0;
	}
	return 0;
}

static int check_map_values(struct check *check, const struct aws_shape *shape, json_t *map)
{
	for (void *at = json_object_iter(map); at; at = json_object_iter_next(map, at)) {
		int r = check_element(
			shape->element, json_object_iter_value(at), !shape->is_sparse);
		if (r < 0)
			return err_pass(r);
		if (r == CONSTRAINTS_MET)
			continue;
		check_begin(check, shape, map);
		buf_put(&check->found, S("Map value must satisfy constraint: "));
		check_put_all(&check->found, shape->element, !shape->is_sparse);
		return 0;
	}
	return 0;
}

/* --- walking --- */

static int check_value(struct check *check, const struct aws_shape *shape, const json_t *value);

/* A null in a list is already told of. */
static int check_structures(struct check *check, const struct aws_shape *shape, json_t *value)
{
	size_t len = check->path.len;
	int r = 0;

	if (value_is_scalar(shape->element))
		return 0;
	if (shape->kind == AWS_LIST) {
		for (size_t i = 0; r == 0 && i < json_array_size(value); i++) {
			const json_t *item = json_array_get(value, i);
			buf_putf(&check->path, ".%zu.member", i + 1);
			r = json_is_null(item) ? 0 : check_value(check, shape->element, item);
			check->path.len = len;
		}
		return err_pass(r);
	}
	for (void *at = json_object_iter(value); r == 0 && at;
		at = json_object_iter_next(value, at)) {
		const json_t *item = json_object_iter_value(at);
		buf_put_char(&check->path, '.');
		buf_put(&check->path, str_of(json_object_iter_key(at)));
		buf_put(&check->path, S(".member"));
		r = json_is_null(item) ? 0 : check_value(check, shape->element, item);
		check->path.len = len;
	}
	return err_pass(r);
}

static int check_members(struct check *check, const struct aws_shape *shape, const json_t *object)
{
	size_t len = check->path.len;

	for (size_t i = 0; i < shape->member_count; i++) {
		const struct aws_member *member = &shape->members[i];
		const json_t *value = json_object_get(object, member->name.at);
		if (!value && (!member->required || member == check->elsewhere))
			continue;
		if (len > 0)
			buf_put_char(&check->path, '.');
		check_put_name(&check->path, member->name);
		int r = 0;
		if (value) {
			r = check_value(check, member->shape, value);
		} else {
			check_begin(check, member->shape, NULL);
			buf_put(&check->found, S("Member must not be null"));
		}
		check->path.len = len;
		if (r < 0)
			return err_pass(r);
	}
	return 0;
}

static int check_inside(struct check *check, const struct aws_shape *shape, const json_t *value)
{
	int r = 0;

	switch (shape->kind) {
	case AWS_STRUCTURE:
		return err_pass(check_members(check, shape, value));
	case AWS_LIST:
		r = check_list_elements(check, shape, value);
		break;
	case AWS_MAP:
		r = check_map_keys(check, shape, (json_t *)value);
		if (r == 0)
			r = check_map_values(check, shape, (json_t *)value);
		break;
	default:
		return 0;
	}
	return err_pass(r < 0 ? r : check_structures(check, shape, (json_t *)value));
}

static int check_value(struct check *check, const struct aws_shape *shape, const json_t *value)
{
	if (check->depth == CONSTRAINTS_DEPTH_MAX || check->count >= CONSTRAINTS_MAX ||
		shape->is_document)
		return 0;
	for (int i = 0; i < CONSTRAINTS; i++) {
		if (!check_has(shape, (enum constraint)i))
			continue;
		int r = check_one(shape, (enum constraint)i, value);
		if (r < 0)
			return err_pass(r);
		if (r == CONSTRAINTS_MET)
			continue;
		check_begin(check, shape, value);
		check_put_constraint(&check->found, shape, (enum constraint)i);
	}
	check->depth++;
	int r = check_inside(check, shape, value);
	check->depth--;
	return err_pass(r);
}

int constraints_check(const struct aws_shape *input, const json_t *in,
	const struct aws_member *elsewhere, struct buf *message)
{
	struct check check = { .elsewhere = elsewhere };

	buf_init(&check.path, CONSTRAINTS_PATH_MAX);
	buf_init(&check.found, CONSTRAINTS_TEXT_MAX);
	int r = input ? check_members(&check, input, in) : 0;
	if (r == 0 && (check.path.err == -ENOMEM || check.found.err == -ENOMEM))
		r = err_raise(-ENOMEM);
	if (r == 0 && check.count > 0) {
		/* Above its ceiling the text ends where it was cut. */
		buf_putf(message, "%u validation error%s detected: ", check.count,
			check.count == 1 ? "" : "s");
		buf_put(message, buf_str(&check.found));
		r = message->err ? message->err : CONSTRAINTS_BROKEN;
	}
	buf_done(&check.path);
	buf_done(&check.found);
	return err_pass(r);
}
