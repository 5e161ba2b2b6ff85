/*
 * The request and the response stand in the record as they are, without a tree being made of them. A function may answer
 * with what is no JSON: that becomes a string.
 */
#include "services/lambda/async_record.h"

#include "wire/json_check.h"
#include "wire/timestamp.h"

#include <jansson.h>

static void record_put_text(struct buf *out, const char *name, str value)
{
	buf_putf(out, "\"%s\":", name);
	buf_put_json(out, value);
}

static void record_put_json(struct buf *out, const char *name, str value)
{
	size_t offset;

	buf_putf(out, ",\"%s\":", name);
	if (!value.len)
		buf_put(out, S("null"));
	else if (json_check(value, &offset))
		buf_put(out, value);
	else
		buf_put_json(out, value);
}

void async_record_put(struct buf *out, const struct async_record *record)
{
	buf_put(out, S("{\"version\":\"1.0\",\"timestamp\":\""));
	timestamp_put_iso8601(out, record->now_ms, true);
	buf_put(out, S("\",\"requestContext\":{"));
	record_put_text(out, "requestId", record->request_id);
	buf_put_char(out, ',');
	record_put_text(out, "functionArn", record->function_arn);
	buf_putf(out, ",\"condition\":\"%s\",\"approximateInvokeCount\":%u}", record->condition,
		record->invoke_count);
	record_put_json(out, "requestPayload", record->request);
	if (record->has_response) {
		buf_put(out, S(",\"responseContext\":{\"statusCode\":200,"));
		record_put_text(out, "executedVersion", record->version);
		if (record->is_error)
			buf_put(out, S(",\"functionError\":\"Unhandled\""));
		buf_put_char(out, '}');
		record_put_json(out, "responsePayload", record->response);
	}
	buf_put_char(out, '}');
}

void async_record_put_message(struct buf *out, str response, size_t max)
{
	json_auto_t *object = json_loadb(response.at, response.len, JSON_DECODE_ANY, NULL);
	json_t *text = json_object_get(object, "errorMessage");
	str message = { json_string_value(text), json_string_length(text) };

	if (message.len > max) {
		message.len = max;
		while (message.len && ((unsigned char)message.at[message.len] & 0xc0) == 0x80)
			message.len--;
	}
	buf_put(out, message);
}
