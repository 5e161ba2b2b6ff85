/*
 * Each of the four services has its own form: SQS and EventBridge speak JSON, SNS a form, S3 takes the record as a file.
 * All go to the one endpoint that the setting `destinations` names. Who sends them is in async_courier.c.
 */
#include "services/lambda/async_deliver.h"

#include "base/attr.h"
#include "model/limits.h"
#include "wire/digest.h"
#include "wire/http.h"
#include "wire/timestamp.h"

enum { REQUEST_MAX = 64 * 1024 * 1024, TEXT_MAX = 8 * 1024 };

/* --- the request --- */

/* arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE */
struct target {
	str service, region, account, resource;
};

/* Also empty: a client has written it, and it is printed into other formats. */
static bool is_plain(str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return text.len <= 64;
}

static bool target_read(str arn, struct target *ret_target)
{
	str parts[5];

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!str_cut(&arn, ':', &parts[i]))
			return false;
	*ret_target = (struct target){ parts[2], parts[3], parts[4], arn };
	return arn.len > 0 && is_plain(ret_target->region) && is_plain(ret_target->account);
}

static void request_field(struct delivery_request *request, const char *name, str value)
{
	buf_put(&request->fields, str_of(name));
	buf_put(&request->fields, S(": "));
	buf_put(&request->fields, value);
	buf_put_char(&request->fields, '\0');
}

static void json_member(struct buf *out, const char *name, str value)
{
	buf_putf(out, "\"%s\":", name);
	buf_put_json(out, value);
}

/* The attributes of a dead letter: name, type, value. */
struct attribute {
	const char *name;
	const char *type;
	str value;
};

static size_t attributes_of(const struct delivery *delivery, struct attribute to[static 3])
{
	if (!delivery->code.len)
		return 0;
	to[0] = (struct attribute){ "RequestID", "String", delivery->request_id };
	to[1] = (struct attribute){ "ErrorCode", "Number", delivery->code };
	to[2] = (struct attribute){ "ErrorMessage", "String", delivery->message };
	return delivery->message.len ? 3 : 2; /* no service takes an empty one */
}

static void make_sqs(const struct delivery *delivery, const struct target *target,
	struct delivery_request *request)
{
	struct attribute attributes[3];
	size_t count = attributes_of(delivery, attributes);
	struct buf *out = &request->body;

	buf_put_char(&request->url, '/');
	request_field(request, "Content-Type", S("application/x-amz-json-1.0"));
	request_field(request, "X-Amz-Target", S("AmazonSQS.SendMessage"));
	buf_put(out, S("{\"QueueUrl\":\""));
	buf_put(out, delivery->endpoint);
	buf_putf(out, "/" STR_FMT "/", STR_ARG(target->account));
	uri_encode(target->resource, false, out);
	buf_put(out, S("\","));
	json_member(out, "MessageBody", delivery->body);
	for (size_t i = 0; i < count; i++) {
		buf_put(out, i ? S(",") : S(",\"MessageAttributes\":{"));
		buf_putf(out, "\"%s\":{\"DataType\":\"%s\",", attributes[i].name,
			attributes[i].type);
		json_member(out, "StringValue", attributes[i].value);
		buf_put_char(out, '}');
	}
	buf_put(out, count ? S("}}") : S("}"));
}

static void form_member(struct buf *out, const char *name, str value)
{
	buf_putf(out, "&%s=", name);
	uri_encode(value, false, out);
}

static void make_sns(const struct delivery *delivery, struct delivery_request *request)
{
	struct attribute attributes[3];
	size_t count = attributes_of(delivery, attributes);
	struct buf *out = &request->body;

	buf_put_char(&request->url, '/');
	request_field(
		request, "Content-Type", S("application/x-www-form-urlencoded; charset=utf-8"));
	buf_put(out, S("Action=Publish&Version=2010-03-31"));
	form_member(out, "TopicArn", delivery->target);
	form_member(out, "Message", delivery->body);
	for (size_t i = 0; i < count; i++) {
		buf_putf(out,
			"&MessageAttributes.entry.%zu.Name=%s&MessageAttributes.entry.%zu.Value.DataType=%s"
			"&MessageAttributes.entry.%zu.Value.StringValue=",
			i + 1, attributes[i].name, i + 1, attributes[i].type, i + 1);
		uri_encode(attributes[i].value, false, out);
	}
}

/* The record says by its condition whether it is one of a success. */
static void make_events(const struct delivery *delivery, struct delivery_request *request)
{
	bool is_success = str_find_str(str_slice(delivery->body, 0, TEXT_MAX),
				  S("\"condition\":\"Success\"")) >= 0;
	struct buf *out = &request->body;

	buf_put_char(&request->url, '/');
	request_field(request, "Content-Type", S("application/x-amz-json-1.1"));
	request_field(request, "X-Amz-Target", S("AWSEvents.PutEvents"));
	buf_put(out, S("{\"Entries\":[{\"Source\":\"lambda\","));
	json_member(out, "DetailType",
		is_success ? S("Lambda Function Invocation Result - Success")
			   : S("Lambda Function Invocation Result - Failure"));
	buf_put_char(out, ',');
	json_member(out, "EventBusName", delivery->target);
	buf_put_char(out, ',');
	json_member(out, "Detail", delivery->body);
	buf_put(out, S("}]}"));
}

/* "aws/lambda/async/NAME/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-UUID" */
static void put_bucket_key(struct buf *out, const struct delivery *delivery)
{
	struct buf time;

	buf_init(&time, 64);
	timestamp_put_iso8601(&time, delivery->now_ms, false);
	buf_put(out, S("aws/lambda/async/"));
	uri_encode(delivery->function, false, out);
	buf_put_char(out, '/');
	timestamp_put_date_path(out, delivery->now_ms);
	buf_put_char(out, '/');
	for (size_t i = 0; i < time.len && time.at[i] != 'Z'; i++)
		buf_put_char(out, time.at[i] == ':' ? '.' : time.at[i]);
	buf_put_char(out, '-');
	buf_put(out, delivery->random);
	buf_done(&time);
}

static void make_s3(const struct delivery *delivery, const struct target *target,
	struct delivery_request *request)
{
	uint8_t digest[32];
	struct buf hex;

	request->method = "PUT";
	buf_put_char(&request->url, '/');
	uri_encode(target->resource, false, &request->url);
	buf_put_char(&request->url, '/');
	put_bucket_key(&request->url, delivery);
	buf_init(&hex, 80);
	digest_sha256(delivery->body, digest);
	hex_put(&hex, (str){ (const char *)digest, sizeof(digest) });
	request_field(request, "X-Amz-Content-Sha256", buf_str(&hex));
	request_field(request, "Content-Type", S("application/json"));
	buf_done(&hex);
	buf_put(&request->body, delivery->body);
}

static bool delivery_is_possible(
	const struct delivery *delivery, const struct target *target, struct buf *why)
{
	bool is_lambda = str_eq(target->service, S("lambda"));

	if (is_lambda)
		buf_putf(why, "The record has %zu bytes, but an event for a function may have %d.",
			delivery->body.len, LIMIT_EVENT_BYTES);
	else if (!delivery->endpoint.len)
		buf_put(why,
			S("No endpoint for queues, topics, buses and buckets is configured: set "
			  "'destinations'."));
	else if (str_ends(target->resource, S(".fifo")))
		buf_put(why, S("FIFO queues and topics cannot be a destination."));
	return !why->len;
}

bool delivery_request_make(
	const struct delivery *delivery, struct delivery_request *ret_request, struct buf *why)
{
	struct delivery_request *request = ret_request;
	struct target target;

	*request = (struct delivery_request){ .method = "POST" };
	buf_init(&request->url, TEXT_MAX);
	buf_init(&request->fields, TEXT_MAX);
	buf_init(&request->body, REQUEST_MAX);
	if (!target_read(delivery->target, &target)) {
		buf_put(why, S("The target is no ARN."));
		return false;
	}
	if (!delivery_is_possible(delivery, &target, why))
		return false;
	request->service = target.service;
	request->region = target.region.len ? target.region : delivery->region;
	buf_put(&request->url, delivery->endpoint);
	if (str_eq(target.service, S("sqs"))) {
		make_sqs(delivery, &target, request);
	} else if (str_eq(target.service, S("sns"))) {
		make_sns(delivery, request);
	} else if (str_eq(target.service, S("events"))) {
		make_events(delivery, request);
	} else if (str_eq(target.service, S("s3"))) {
		make_s3(delivery, &target, request);
	} else {
		buf_put(why, S("The target is neither a queue, a topic, a bus nor a bucket."));
		return false;
	}
	return true;
}

void delivery_request_done(struct delivery_request *request)
{
	buf_done(&request->url);
	buf_done(&request->fields);
	buf_done(&request->body);
}

/* PutEvents answers 200 also when it has taken nothing: it counts what it has not. */
enum delivery_answer delivery_judge(str service, long status, str body)
{
	if (status >= 500 || status == 429 || status == 408 || status < 200)
		return DELIVERY_LATER;
	if (status >= 300)
		return DELIVERY_REFUSED;
	if (!str_eq(service, S("events")))
		return DELIVERY_DONE;
	bool is_taken = str_find_str(body, S("\"FailedEntryCount\":0")) >= 0 ||
		str_find_str(body, S("\"FailedEntryCount\": 0")) >= 0;
	return is_taken ? DELIVERY_DONE : DELIVERY_LATER;
}
