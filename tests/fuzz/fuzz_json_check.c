/*
 * The check of JSON agrees with a parser that builds trees (jansson), but where the two are meant
 * to differ: jansson has bounded numbers, wants escaped surrogates in pairs and no NUL in a key,
 * allows deeper nesting, and takes a NUL byte for the end of the text.
 */
#include "fuzz.h"

#include "wire/json_check.h"

#include <jansson.h>

/* More brackets than may be nested? Then the depth may be why it was refused. */
static bool may_be_too_deep(str text)
{
	size_t opened = 0;

	for (size_t i = 0; i < text.len; i++)
		opened += text.at[i] == '[' || text.at[i] == '{';
	return opened > JSON_DEPTH_MAX;
}

static bool may_differ(str text, const json_error_t *error)
{
	enum json_error_code code = json_error_code(error);

	return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
		str_find_str(text, S("\\ud")) >= 0 || str_find_str(text, S("\\uD")) >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str text = { (const char *)data, size };
	size_t offset = SIZE_MAX;
	json_error_t error;

	bool is_json = json_check(text, &offset);
	HOLDS(is_json ? offset == SIZE_MAX : offset <= size);
	json_t *tree = json_loadb(
		size ? text.at : "", size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	if (is_json)
		HOLDS(tree || may_differ(text, &error));
	else
		HOLDS(!tree || may_be_too_deep(text) || str_find(text, '\0') >= 0);
	json_decref(tree);
	return 0;
}
