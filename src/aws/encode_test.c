/* From answers to responses: every protocol, outputs and errors. */
#include "aws/encode.h"
#include "aws/test_zoo.h"
#include "base/test.h"

#include <errno.h>

static struct encoded encoded;
static struct arena arena;

/* `out` is JSON with ' for ". */
static json_t *tree(const char *text)
{
	struct buf json;

	buf_init(&json, 1 << 20);
	for (; *text; text++)
		buf_put_char(&json, *text == '\'' ? '"' : *text);
	json_t *value = json_loadb(json.at, json.len, 0, NULL);
	buf_done(&json);
	CHECK(value);
	return value;
}

static int answer(const struct aws_service *service, const char *operation, const char *out)
{
	struct call call = {
		.service = service,
		.operation = aws_operation_find(service, str_of(operation)),
		.request_id = S("the-id"),
		.out = tree(out),
		.arena = &arena,
	};

	encode_init(&encoded);
	buf_init(&call.fields, 1000);
	buf_put(&call.fields, S("x-own: 1\r\n"));
	int r = encode_output(&call, &encoded);
	buf_done(&call.fields);
	json_decref(call.out);
	return r;
}

static void fail(const struct aws_service *service, const char *code, str message,
	const char *extra, str type)
{
	json_t *more = extra ? tree(extra) : NULL;
	const struct aws_shape *shape = aws_error_find(service, str_of(code));

	encode_init(&encoded);
	CHECK(encode_error(&(struct encode_error){ .service = service,
				   .status = shape ? shape->status : 400,
				   .code = str_of(code),
				   .message = message,
				   .type = type,
				   .extra = more,
				   .request_id = S("the-id") },
		      &encoded) == 0);
	json_decref(more);
}

#define IS(want_status, want_fields, want_body)                      \
	do {                                                         \
		CHECK(encoded.status == (want_status));              \
		CHECK_STR(buf_str(&encoded.fields), S(want_fields)); \
		CHECK_STR(buf_str(&encoded.body), S(want_body));     \
		encode_done(&encoded);                               \
	} while (0)

#define ID   "x-amzn-RequestId: the-id\r\n"
#define OWN  ID "x-own: 1\r\n"
#define JSON "Content-Type: application/json\r\n"
#define XML  "Content-Type: text/xml\r\n"
#define ZOO  (&aws_service_test_restjson)
#define POST (&aws_service_test_query)
#define SHED (&aws_service_test_restxml)
#define TIME (&aws_service_test_json)

static void test_rest_json_writes_members_in_the_models_order_and_names(void)
{
	CHECK(answer(ZOO, "AddAnimal",
		      "{'Kind':'bear','Name':'a','Age':3,'Weight':0.1,'Tame':false}") == 0);
	IS(201, OWN JSON,
		"{\"Name\":\"a\",\"kind\":\"bear\",\"Age\":3,\"Weight\":0.1,\"Tame\":false}");
	CHECK(answer(ZOO, "AddAnimal",
		      "{'Born':1398796238000,'Seen':1398796238123,'Picture':'ab','Parents':[{'Name':'p'},null],"
		      "'Tags':{'k':'v'},'Anything':{'x':[1,null]}}") == 0);
	IS(201, OWN JSON,
		"{\"Born\":1398796238,\"Seen\":\"2014-04-29T18:30:38.123Z\",\"Picture\":\"YWI=\",\"Parents\":[{"
		"\"Name\":\"p\"},null],\"Tags\":{\"k\":\"v\"},\"Anything\":{\"x\":[1,null]}}");
	CHECK(answer(ZOO, "AddAnimal",
		      "{'Born':1398796238005,'Weight':'NaN','Name':'\\u0001\\\"\\u20ac'}") == 0);
	IS(201, OWN JSON,
		"{\"Name\":\"\\u0001\\\"\xe2\x82\xac\",\"Weight\":\"NaN\",\"Born\":1398796238.005}");
}

static void test_rest_members_outside_of_the_body(void)
{
	CHECK(answer(ZOO, "GetAnimal", "{'ETag':'tag','Status':206,'Name':'a'}") == 0);
	IS(206, OWN "ETag: tag\r\n" JSON, "{\"Name\":\"a\"}");
	CHECK(answer(ZOO, "GetAnimal", "{'ETag':'evil\\r\\nSet-Cookie: x'}") == 0);
	IS(200, OWN JSON, "{}");
	CHECK(answer(ZOO, "Feed", "{'Food':'raw bytes','Left':4}") == 0);
	IS(202, OWN "x-left: 4\r\n", "raw bytes");
	CHECK(answer(ZOO, "Close", "{}") == 0);
	IS(204, OWN, "");
}

static void test_a_tree_that_does_not_fit_is_a_fault(void)
{
	static const char *const wrong[] = { "{'Name':1}", "{'Age':'1'}", "{'Tame':0}",
		"{'Parents':{}}", "{'Tags':[]}", "{'Born':'now'}", "{'Weight':'heavy'}",
		"{'Picture':1}" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK(answer(ZOO, "AddAnimal", wrong[i]) == -EINVAL);
		encode_done(&encoded);
	}
}

static void test_json_protocol(void)
{
	CHECK(answer(TIME, "Tick", "{'at':1500,'drift':2}") == 0);
	IS(200, OWN "Content-Type: application/x-amz-json-1.1\r\n", "{\"at\":1.500,\"drift\":2}");
	CHECK(answer(TIME, "Wind", "{}") == 0);
	IS(200, OWN "Content-Type: application/x-amz-json-1.1\r\n", "");
}

#define OPEN "<SendResponse xmlns=\"https://post.example/doc/2031-02-03/\"><SendResult>"
#define SHUT \
	"</SendResult><ResponseMetadata><RequestId>the-id</RequestId></ResponseMetadata></SendResponse>"

static void test_query_answers_xml(void)
{
	CHECK(answer(POST, "Send",
		      "{'Id':'<&>\\r\\u0022','At':1398796238000,'Fast':true,'Weight':-1}") == 0);
	IS(200, OWN XML,
		OPEN
		"<Id>&lt;&amp;&gt;&#13;&quot;</Id><At>2014-04-29T18:30:38Z</At><Fast>true</Fast><Weight>-1"
		"</Weight>" SHUT);
	CHECK(answer(POST, "Send",
		      "{'Lines':['a','b'],'Flat':['x','y'],'Marks':{'k':1},'FlatMarks':{'n':'v'},"
		      "'From':{'Name':'f','Friend':{}}}") == 0);
	IS(200, OWN XML,
		OPEN
		"<Lines><member>a</member><member>b</member></Lines><Flat>x</Flat><Flat>y</Flat><Marks>"
		"<entry><key>k</key><value>1</value></entry></Marks><FlatMarks><Name>n</Name><Value>v"
		"</Value></FlatMarks><From><Name>f</Name><Friend></Friend></From>" SHUT);
	CHECK(answer(POST, "Send", "{'Lines':[]}") == 0);
	IS(200, OWN XML, OPEN "<Lines></Lines>" SHUT);
	CHECK(answer(POST, "Empty", "{}") == 0);
	IS(200, OWN XML,
		"<EmptyResponse xmlns=\"https://post.example/doc/2031-02-03/\"><ResponseMetadata><RequestId>the-id"
		"</RequestId></ResponseMetadata></EmptyResponse>");
}

static void test_rest_xml(void)
{
	CHECK(answer(SHED, "GetShelf",
		      "{'Owner':{'Kind':'P','Name':'n'},'Rule':[{'Count':1},{'Text':'t'}],'Names':['a'],'Count':2}") ==
		0);
	IS(200, OWN "x-count: 2\r\n" XML,
		"<ShelfOutput xmlns=\"https://shed.example/\"><Owner xsi:type=\"P\"><Name>n</Name></Owner><Rule>"
		"<Count>1</Count></Rule><Rule><Text>t</Text></Rule><Names><Name>a</Name></Names></ShelfOutput>");
	CHECK(answer(SHED, "PutTool", "{'ETag':'\\\"x\\\"'}") == 0);
	IS(200, OWN "ETag: \"x\"\r\n", "");
}

static void test_errors_of_rest_json_have_the_models_members(void)
{
	fail(ZOO, "FullException", S("No \"room\"."), "{'Animals':7,'retryAfter':'9'}", (str){});
	IS(409, ID JSON "x-amzn-ErrorType: FullException\r\nRetry-After: 9\r\n",
		"{\"Animals\":7,\"Type\":\"User\",\"message\":\"No \\\"room\\\".\"}");
	fail(ZOO, "GoneException", S("Gone."), NULL, (str){});
	IS(410, ID JSON "x-amzn-ErrorType: GoneException\r\n", "{\"Message\":\"Gone.\"}");
	fail(ZOO, "BrokenException", S("Ours."), NULL, (str){});
	IS(502, ID JSON "x-amzn-ErrorType: BrokenException\r\n",
		"{\"Type\":\"Service\",\"Message\":\"Ours.\"}");
	fail(ZOO, "FullException", S("m"), NULL, S(""));
	IS(409, ID JSON "x-amzn-ErrorType: FullException\r\n", "{\"message\":\"m\"}");
	/* Not of the model: the message alone. */
	fail(ZOO, "ValidationException", S("v"), NULL, (str){});
	IS(400, ID JSON "x-amzn-ErrorType: ValidationException\r\n", "{\"message\":\"v\"}");
}

static void test_errors_of_json_and_query(void)
{
	fail(TIME, "StoppedException", S("It stands."), NULL, (str){});
	IS(400,
		ID
		"Content-Type: application/x-amz-json-1.1\r\nx-amzn-query-error: Clock.Stopped;Sender\r\n",
		"{\"__type\":\"StoppedException\",\"message\":\"It stands.\"}");
	fail(TIME, "UnknownOperationException", (str){}, NULL, (str){});
	IS(400,
		ID "Content-Type: application/x-amz-json-1.1\r\nx-amzn-query-error: "
		   "UnknownOperationException;Sender\r\n",
		"{\"__type\":\"UnknownOperationException\"}");
	fail(POST, "LostException", S("a < b"), NULL, (str){});
	IS(404, ID XML,
		"<ErrorResponse xmlns=\"https://post.example/doc/2031-02-03/\"><Error><Type>Sender</Type><Code>Lost"
		"</Code><Message>a &lt; b</Message></Error><RequestId>the-id</RequestId></ErrorResponse>");
}

static void test_errors_of_services_that_are_not_built(void)
{
	static const struct {
		uint8_t protocol;
		str body;
	} rows[] = {
		{ AWS_REST_JSON, S_INIT("{\"message\":\"m\"}") },
		{ AWS_JSON, S_INIT("{\"__type\":\"E\",\"message\":\"m\"}") },
		{ AWS_QUERY,
			S_INIT("<ErrorResponse><Error><Type>Receiver</Type><Code>E</Code><Message>m</Message></Error><RequestId>i</RequestId></ErrorResponse>") },
		{ AWS_EC2,
			S_INIT("<Response><Errors><Error><Code>E</Code><Message>m</Message></Error></Errors><RequestID>i</RequestID></Response>") },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		encode_init(&encoded);
		CHECK(encode_error(&(struct encode_error){ .protocol = rows[i].protocol,
					   .status = 501,
					   .code = S("E"),
					   .message = S("m"),
					   .request_id = S("i") },
			      &encoded) == 0);
		CHECK(encoded.status == 501);
		CHECK_STR(buf_str(&encoded.body), rows[i].body);
		encode_done(&encoded);
	}
}

TESTS(TEST(test_rest_json_writes_members_in_the_models_order_and_names),
	TEST(test_rest_members_outside_of_the_body), TEST(test_a_tree_that_does_not_fit_is_a_fault),
	TEST(test_json_protocol), TEST(test_query_answers_xml), TEST(test_rest_xml),
	TEST(test_errors_of_rest_json_have_the_models_members), TEST(test_errors_of_json_and_query),
	TEST(test_errors_of_services_that_are_not_built))
