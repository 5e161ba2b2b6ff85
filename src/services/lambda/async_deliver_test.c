#include "services/lambda/async_deliver.h"

#include "base/test.h"

static struct delivery_request request;
static char words[256];
static struct buf why;

static bool make(str target, str code, str body)
{
	buf_init_over(&why, words, sizeof(words));
	return delivery_request_make(
		&(struct delivery){
			.target = target,
			.endpoint = S("http://h:1"),
			.function = S("fn"),
			.region = S("eu-west-1"),
			.request_id = S("id"),
			.code = code,
			.message = S("it broke"),
			.body = body,
			.now_ms = 1'573'755'365'568,
			.random = S("uuid"),
		},
		&request, &why);
}

static void test_a_queue_gets_a_message(void)
{
	CHECK(make(S("arn:aws:sqs:us-east-1:000000000000:q"), S(""), S("{\"a\":1}")));
	CHECK_STR(buf_str(&request.url), S("http://h:1/"));
	CHECK_STR(request.service, S("sqs"));
	CHECK_STR(request.region, S("us-east-1"));
	CHECK_STR(buf_str(&request.body),
		S("{\"QueueUrl\":\"http://h:1/000000000000/q\",\"MessageBody\":\"{\\\"a\\\":1}\"}"));
	delivery_request_done(&request);
	CHECK(make(S("arn:aws:sqs:us-east-1:000000000000:q"), S("200"), S("{}")));
	CHECK(str_ends(buf_str(&request.body),
		S("\"MessageAttributes\":{\"RequestID\":{\"DataType\":\"String\",\"StringValue\":\"id\"},"
		  "\"ErrorCode\":{\"DataType\":\"Number\",\"StringValue\":\"200\"},"
		  "\"ErrorMessage\":{\"DataType\":\"String\",\"StringValue\":\"it broke\"}}}")));
	delivery_request_done(&request);
}

static void test_a_topic_gets_a_form(void)
{
	CHECK(make(S("arn:aws:sns:us-east-1:000000000000:t"), S("200"), S("{}")));
	CHECK(str_starts(buf_str(&request.body),
		S("Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A000000000000%3At"
		  "&Message=%7B%7D&MessageAttributes.entry.1.Name=RequestID&")));
	delivery_request_done(&request);
}

static void test_a_bus_gets_an_event_of_the_right_type(void)
{
	str bus = S("arn:aws:events:us-east-1:000000000000:event-bus/b");

	CHECK(make(bus, S(""), S("{\"condition\":\"Success\"}")));
	CHECK(str_starts(buf_str(&request.body),
		S("{\"Entries\":[{\"Source\":\"lambda\",\"DetailType\":\"Lambda Function Invocation "
		  "Result - Success\",\"EventBusName\":\"arn:aws:events:")));
	delivery_request_done(&request);
	CHECK(make(bus, S(""), S("{\"condition\":\"RetriesExhausted\"}")));
	CHECK(str_find_str(buf_str(&request.body), S("Result - Failure")) > 0);
	delivery_request_done(&request);
}

static void test_a_bucket_gets_a_file(void)
{
	CHECK(make(S("arn:aws:s3:::bucket"), S(""), S("{}")));
	CHECK_STR(buf_str(&request.url),
		S("http://h:1/bucket/aws/lambda/async/fn/2019/11/14/2019-11-14T18.16.05-uuid"));
	CHECK_STR(str_of(request.method), S("PUT"));
	CHECK_STR(request.region, S("eu-west-1"));
	CHECK_STR(buf_str(&request.body), S("{}"));
	delivery_request_done(&request);
}

static void test_what_cannot_be_reached_says_why(void)
{
	static const str targets[] = { S_INIT(""), S_INIT("arn:aws:sqs"),
		S_INIT("arn:aws:sqs:r:a:"), S_INIT("arn:aws:sqs:us-east-1:000000000000:q.fifo"),
		S_INIT("arn:aws:lambda:us-east-1:000000000000:function:fn"),
		S_INIT("arn:aws:iam::000000000000:role/x"),
		S_INIT("arn:aws:sqs:us\"east:000000000000:q"),
		S_INIT("arn:aws:sqs:us-east-1:0\r\n0:q") };

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		CHECK(!make(targets[i], S(""), S("{}")));
		CHECK(why.len > 0);
		delivery_request_done(&request);
	}
}

static void test_an_answer_is_judged_by_what_can_help(void)
{
	CHECK(delivery_judge(S("sqs"), 200, S("{}")) == DELIVERY_DONE);
	CHECK(delivery_judge(S("sqs"), 503, S("")) == DELIVERY_LATER);
	CHECK(delivery_judge(S("sqs"), 429, S("")) == DELIVERY_LATER);
	CHECK(delivery_judge(S("sqs"), 400, S("no such queue")) == DELIVERY_REFUSED);
	CHECK(delivery_judge(S("sqs"), 301, S("")) == DELIVERY_REFUSED);
	CHECK(delivery_judge(S("events"), 200, S("{\"FailedEntryCount\":0}")) == DELIVERY_DONE);
	CHECK(delivery_judge(S("events"), 200, S("{\"FailedEntryCount\":1}")) == DELIVERY_LATER);
}

TESTS(TEST(test_a_queue_gets_a_message), TEST(test_a_topic_gets_a_form),
	TEST(test_a_bus_gets_an_event_of_the_right_type), TEST(test_a_bucket_gets_a_file),
	TEST(test_what_cannot_be_reached_says_why), TEST(test_an_answer_is_judged_by_what_can_help))
