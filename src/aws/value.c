/*
 * One place for what a number, a boolean, a time and a blob look like as text, because four of the
 * five protocols write scalars that way somewhere. Reading is generous where AWS is (a timestamp
 * comes in any of its forms); writing follows the model.
 */
#include "aws/value.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "wire/digest.h"
#include "wire/timestamp.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	VALUE_NUMBER_MAX = 64,	       /* characters of a number */
	VALUE_SECONDS_MAX = 253402300, /* thousands of seconds: the year 9999 */
};

const char *value_kind_name(const struct aws_shape *shape)
{
	static const char *const names[] = {
		[AWS_STRUCTURE] = "Structure",
		[AWS_LIST] = "List",
		[AWS_MAP] = "Map",
		[AWS_STRING] = "String",
		[AWS_INTEGER] = "Integer",
		[AWS_LONG] = "Long",
		[AWS_DOUBLE] = "Double",
		[AWS_FLOAT] = "Float",
		[AWS_BOOLEAN] = "Boolean",
		[AWS_TIMESTAMP] = "Date",
		[AWS_BLOB] = "Blob",
	};

	return names[shape->kind];
}

bool value_is_scalar(const struct aws_shape *shape)
{
	return shape->kind != AWS_STRUCTURE && shape->kind != AWS_LIST && shape->kind != AWS_MAP;
}

uint8_t value_time_format(
	const struct aws_member *member, const struct aws_shape *shape, uint8_t absent)
{
	if (member && member->time_format != AWS_TIME_DEFAULT)
		return member->time_format;
	return shape->time_format != AWS_TIME_DEFAULT ? shape->time_format : absent;
}

json_t *value_bytes(str bytes)
{
	return bytes.len ? json_stringn_nocheck(bytes.at, bytes.len) : json_string_nocheck("");
}

/* --- reading --- */

static int value_read_integer(const struct aws_shape *shape, str text, int64_t *ret_value)
{
	bool is_negative = str_starts(text, S("-"));
	int64_t bound = shape->kind == AWS_INTEGER ? INT32_MAX : INT64_MAX;
	uint64_t number;

	if (is_negative || str_starts(text, S("+")))
		text = str_from(text, 1);
	if (str_to_u64(text, (uint64_t)bound + is_negative, &number) < 0)
		return VALUE_BAD;
	/* Not -(int64_t)number: the least one has no positive counterpart. */
	*ret_value = is_negative ? (int64_t)(0 - number) : (int64_t)number;
	return VALUE_READ;
}

static int value_read_double(str text, double *ret_value)
{
	char digits[VALUE_NUMBER_MAX];
	char *end;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		if (!(c >= '0' && c <= '9') && c != '-' && c != '+' && c != '.' && c != 'e' &&
			c != 'E')
			return VALUE_BAD; /* strtod() knows more than decimal numbers */
	}
	if (!text.len || str_to_array(text, digits, sizeof(digits)) < 0)
		return VALUE_BAD;
	double value = strtod(digits, &end);
	if (*end || !isfinite(value))
		return VALUE_BAD;
	*ret_value = value;
	return VALUE_READ;
}

static bool value_is_odd_float(str text)
{
	return str_eq(text, S("NaN")) || str_eq(text, S("Infinity")) ||
		str_eq(text, S("-Infinity"));
}

static int value_read_time(str text, int64_t *ret_ms)
{
	double seconds;
	uint64_t ms;

	if (value_read_double(text, &seconds) == VALUE_READ) {
		if (seconds < 0 || seconds > VALUE_SECONDS_MAX * 1000.0)
			return VALUE_BAD;
		*ret_ms = llround(seconds * 1000);
		return VALUE_READ;
	}
	if (timestamp_parse(text, &ms) < 0)
		return VALUE_BAD;
	*ret_ms = (int64_t)ms;
	return VALUE_READ;
}

static int value_read_blob(str text, json_t **ret_value)
{
	struct buf bytes;

	buf_init(&bytes, text.len);
	int r = base64_decode(text, &bytes);
	if (r == 0)
		*ret_value = value_bytes(buf_str(&bytes));
	int fault = bytes.err;
	buf_done(&bytes);
	if (fault < 0)
		return err_raise(fault);
	return r < 0 ? VALUE_BAD : VALUE_READ;
}

static int value_read(const struct aws_shape *shape, str text, json_t **ret_value)
{
	int64_t integer = 0;
	double number = 0;
	int r = VALUE_READ;

	switch (shape->kind) {
	case AWS_STRING:
		if (!utf8_valid(text))
			return VALUE_BAD;
		*ret_value = value_bytes(text);
		return VALUE_READ;
	case AWS_INTEGER:
	case AWS_LONG:
		r = value_read_integer(shape, text, &integer);
		*ret_value = r == VALUE_READ ? json_integer(integer) : NULL;
		return r;
	case AWS_DOUBLE:
	case AWS_FLOAT:
		if (value_is_odd_float(text)) {
			*ret_value = value_bytes(text);
			return VALUE_READ;
		}
		r = value_read_double(text, &number);
		*ret_value = r == VALUE_READ ? json_real(number) : NULL;
		return r;
	case AWS_BOOLEAN:
		if (!str_eq_fold(text, S("true")) && !str_eq_fold(text, S("false")))
			return VALUE_BAD;
		*ret_value = json_boolean(str_eq_fold(text, S("true")));
		return VALUE_READ;
	case AWS_TIMESTAMP:
		r = value_read_time(text, &integer);
		*ret_value = r == VALUE_READ ? json_integer(integer) : NULL;
		return r;
	case AWS_BLOB:
		return err_pass(value_read_blob(text, ret_value));
	default:
		return VALUE_BAD;
	}
}

int value_from_text(const struct aws_shape *shape, str text, json_t **ret_value)
{
	json_t *value = NULL;

	int r = value_read(shape, text, &value);
	if (r != VALUE_READ)
		return err_pass(r);
	if (!value)
		return err_raise(-ENOMEM);
	*ret_value = value;
	return VALUE_READ;
}

/* --- writing --- */

void value_put_double(struct buf *out, double value)
{
	char digits[VALUE_NUMBER_MAX];

	if (!isfinite(value)) {
		buf_put(out, isnan(value) ? S("NaN") : value > 0 ? S("Infinity") : S("-Infinity"));
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(digits, sizeof(digits), "%.*g", precision, value);
		if (strtod(digits, NULL) == value)
			break;
	}
	buf_put(out, str_of(digits));
}

void value_put_time(struct buf *out, uint8_t format, int64_t ms)
{
	int64_t since = MAX(ms, 0);

	switch (format) {
	case AWS_TIME_ISO8601:
		timestamp_put_iso8601(out, (uint64_t)since, since % 1000 != 0);
		return;
	case AWS_TIME_RFC822:
		timestamp_put_http(out, (uint64_t)since);
		return;
	default:
		buf_put_u64(out, (uint64_t)since / 1000);
		if (since % 1000)
			buf_putf(out, ".%03u", (unsigned)(since % 1000));
	}
}

int value_put_text(
	const struct aws_shape *shape, uint8_t format, const json_t *value, struct buf *out)
{
	str text = { json_string_value(value), json_string_length(value) };

	switch (shape->kind) {
	case AWS_STRING:
		if (!json_is_string(value))
			return err_raise(-EINVAL);
		buf_put(out, text);
		return 0;
	case AWS_BLOB:
		if (!json_is_string(value))
			return err_raise(-EINVAL);
		base64_put(out, text);
		return 0;
	case AWS_INTEGER:
	case AWS_LONG:
		if (!json_is_integer(value))
			return err_raise(-EINVAL);
		buf_putf(out, "%lld", (long long)json_integer_value(value));
		return 0;
	case AWS_DOUBLE:
	case AWS_FLOAT:
		if (json_is_string(value) && value_is_odd_float(text))
			buf_put(out, text);
		else if (json_is_number(value))
			value_put_double(out, json_number_value(value));
		else
			return err_raise(-EINVAL);
		return 0;
	case AWS_BOOLEAN:
		if (!json_is_boolean(value))
			return err_raise(-EINVAL);
		buf_put(out, json_is_true(value) ? S("true") : S("false"));
		return 0;
	case AWS_TIMESTAMP:
		if (!json_is_integer(value))
			return err_raise(-EINVAL);
		value_put_time(out, format, json_integer_value(value));
		return 0;
	default:
		return err_raise(-EINVAL);
	}
}
