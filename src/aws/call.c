/* What handlers do with a call: look into what is asked, and answer with errors. */
#include "aws/call.h"

#include "base/err.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>

enum { CALL_MESSAGE_MAX = 64 * 1024 };

int call_error(struct call *call, const char *code, const char *format, ...)
{
	struct buf text;
	va_list args;

	buf_init(&text, CALL_MESSAGE_MAX);
	va_start(args, format);
	buf_vputf(&text, format, args);
	va_end(args);
	call->error_code = arena_str(call->arena, str_of(code));
	call->error_message = arena_str(call->arena, buf_str(&text));
	int r = text.err;
	buf_done(&text);
	if (r < 0 || !call->error_code.at || !call->error_message.at)
		return err_raise(r < 0 ? r : -ENOMEM);

	if (!call->error_status) {
		const struct aws_shape *error = aws_error_find(call->service, call->error_code);
		call->error_status = error ? error->status : 400;
	}
	return CALL_ERROR;
}

void call_error_member(struct call *call, const char *name, json_t *value)
{
	if (!call->error_extra)
		call->error_extra = json_object();
	/* Out of memory: the error is told without it. */
	(void)json_object_set_new(call->error_extra, name, value);
}

str call_str(const struct call *call, const char *name)
{
	return json_get_str(call->in, name);
}

bool call_has(const struct call *call, const char *name)
{
	return json_object_get(call->in, name) != NULL;
}

int64_t call_int(const struct call *call, const char *name, int64_t absent)
{
	const json_t *value = json_object_get(call->in, name);

	return json_is_integer(value) ? json_integer_value(value) : absent;
}

bool call_bool(const struct call *call, const char *name, bool absent)
{
	const json_t *value = json_object_get(call->in, name);

	return json_is_boolean(value) ? json_is_true(value) : absent;
}

json_t *call_get(const struct call *call, const char *name)
{
	return json_object_get(call->in, name);
}

str json_view(const json_t *string)
{
	if (!json_is_string(string))
		return (str){};
	return (str){ json_string_value(string), json_string_length(string) };
}

str json_get_str(const json_t *object, const char *name)
{
	return json_view(json_object_get(object, name));
}

/* U+FFFD wherever the bytes are no UTF-8. */
static json_t *json_from_broken(str s)
{
	struct buf text;
	json_t *string = NULL;

	buf_init(&text, s.len * 3 + 1);
	while (s.len) {
		size_t len = utf8_sequence(s);
		buf_put(&text, len ? str_slice(s, 0, len) : S("\xef\xbf\xbd"));
		s = str_from(s, len ? len : 1);
	}
	if (!text.err)
		string = json_stringn_nocheck(text.at, text.len);
	buf_done(&text);
	return string;
}

json_t *json_from_str(str s)
{
	if (!s.len)
		return json_string_nocheck("");
	if (!utf8_valid(s))
		return json_from_broken(s);
	return json_stringn_nocheck(s.at, s.len);
}

int json_put(json_t *object, const char *name, json_t *value)
{
	if (!value || json_object_set_new_nocheck(object, name, value) < 0)
		return err_raise(-ENOMEM);
	return 0;
}
