/* From requests to trees: every protocol, and what is refused. */
#include "aws/cut.h"
#include "aws/test_zoo.h"
#include "base/test.h"
#include "wire/digest.h"

#include <string.h>
#include <unistd.h>

static struct zoo_request request;

static str decoded(
	const struct aws_service *service, const char *operation, const char *head, str body)
{
	zoo_decode(&request, service, operation, head, body);
	if (request.answer == DECODE_DONE)
		return zoo_text(&request, request.in);
	return request.answer == DECODE_REFUSED ? request.decode.message : S("no route");
}

#define POST_JSON "POST /2030-01-01/zoos/z/animals HTTP/1.1\r\nHost: x\r\n\r\n"
#define ADD(body) decoded(&aws_service_test_restjson, NULL, POST_JSON, S(body))
#define LIST(query, fields)                                                                      \
	decoded(&aws_service_test_restjson, NULL,                                                \
		"GET /2030-01-01/zoos/z/animals" query " HTTP/1.1\r\nHost: x\r\n" fields "\r\n", \
		S(""))
#define POST_FORM  "POST / HTTP/1.1\r\nHost: x\r\n\r\n"
#define SEND(body) decoded(&aws_service_test_query, "Send", POST_FORM, S(body))
#define TICK(body) decoded(&aws_service_test_json, "Tick", POST_FORM, S(body))
#define RULES(body)                                                                          \
	decoded(&aws_service_test_restxml, NULL, "PUT /s?rules HTTP/1.1\r\nHost: x\r\n\r\n", \
		S(body))

/* One check: what is decoded, or what is said. */
#define GIVES(expression, text)                 \
	do {                                    \
		CHECK_STR(expression, S(text)); \
		zoo_done(&request);             \
	} while (0)

/* --- JSON --- */

static void test_scalars_of_json_get_the_models_kinds(void)
{
	GIVES(ADD("{\"Name\":\"a\",\"Age\":3,\"Weight\":1,\"Tame\":true}"),
		"{\"Age\":3,\"Name\":\"a\",\"Tame\":true,\"Weight\":1.0,\"Zoo\":\"z\"}");
	GIVES(ADD("{\"Age\":3.0,\"Long\":9007199254740993}"),
		"{\"Age\":3,\"Long\":9007199254740993,\"Zoo\":\"z\"}");
	GIVES(ADD("{\"Weight\":\"NaN\",\"Picture\":\"YWI=\"}"),
		"{\"Picture\":\"ab\",\"Weight\":\"NaN\",\"Zoo\":\"z\"}");
	GIVES(ADD("{\"Born\":1398796238.123,\"Seen\":\"2014-04-29T18:30:38.5Z\"}"),
		"{\"Born\":1398796238123,\"Seen\":1398796238500,\"Zoo\":\"z\"}");
	GIVES(ADD("{\"Born\":\"Tue, 29 Apr 2014 18:30:38 GMT\",\"Seen\":1398796238}"),
		"{\"Born\":1398796238000,\"Seen\":1398796238000,\"Zoo\":\"z\"}");
	GIVES(ADD("{\"Name\":\"nul \\u0000 \\ud83d\\ude00\"}"),
		"{\"Name\":\"nul \\u0000 \xf0\x9f\x98\x80\",\"Zoo\":\"z\"}");
}

static void test_unknown_members_and_nulls_are_ignored(void)
{
	GIVES(ADD("{\"Name\":null,\"Nobody\":{\"x\":[1]},\"name\":\"a\"}"), "{\"Zoo\":\"z\"}");
	GIVES(ADD("{\"Tags\":[{\"Key\":null,\"Value\":\"v\",\"x\":1}]}"),
		"{\"Tags\":[{\"Value\":\"v\"}],\"Zoo\":\"z\"}");
	GIVES(ADD(""), "{\"Zoo\":\"z\"}");
	GIVES(ADD(" \t"), "{\"Zoo\":\"z\"}");
}

static void test_nulls_in_lists_and_maps_stay(void)
{
	GIVES(ADD("{\"Kinds\":[null,\"bear\"],\"Shares\":{\"1\":null}}"),
		"{\"Kinds\":[null,\"bear\"],\"Shares\":{\"1\":null},\"Zoo\":\"z\"}");
}

static void test_documents_stay_as_they_are(void)
{
	GIVES(ADD("{\"Anything\":{\"b\":[1,2.5,null,{\"c\":\"d\"}]}}"),
		"{\"Anything\":{\"b\":[1,2.5,null,{\"c\":\"d\"}]},\"Zoo\":\"z\"}");
	GIVES(ADD("{\"Anything\":\"text\"}"), "{\"Anything\":\"text\",\"Zoo\":\"z\"}");
}

static void test_wrong_types_are_refused_in_java_words(void)
{
	GIVES(ADD("{\"Name\":true}"), "class java.lang.Boolean can not be converted to an String");
	GIVES(ADD("{\"Name\":1}"), "class java.lang.Integer can not be converted to an String");
	GIVES(ADD("{\"Name\":4294967296}"),
		"class java.lang.Long can not be converted to an String");
	GIVES(ADD("{\"Age\":\"3\"}"), "class java.lang.String can not be converted to an Integer");
	GIVES(ADD("{\"Age\":3.5}"), "class java.lang.Double can not be converted to an Integer");
	GIVES(ADD("{\"Age\":4294967296}"),
		"class java.lang.Long can not be converted to an Integer");
	GIVES(ADD("{\"Name\":[\"a\"]}"), "Start of list found where not expected");
	GIVES(ADD("{\"Name\":{\"a\":1}}"), "Start of structure or map found where not expected.");
	GIVES(ADD("{\"Tags\":{}}"), "Start of structure or map found where not expected.");
	GIVES(ADD("{\"Shares\":[]}"), "Start of list found where not expected");
	GIVES(ADD("{\"Tags\":\"a\"}"), "Unexpected field type");
	GIVES(ADD("[1]"), "Start of list found where not expected");
	GIVES(ADD("{\"Picture\":\"not base64\"}"), "The value is not valid base64.");
	GIVES(ADD("{\"Born\":-1}"), "class java.lang.Integer can not be converted to an Date");
}

static void test_broken_json_is_refused(void)
{
	static const str broken[] = { S_INIT("{"), S_INIT("{\"a\":}"), S_INIT("{}x"),
		S_INIT("{\"Name\":\"\xff\"}"), S_INIT("{\"Age\":99999999999999999999}") };

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		zoo_decode(&request, &aws_service_test_restjson, NULL, POST_JSON, broken[i]);
		CHECK(request.answer == DECODE_REFUSED);
		CHECK_STR(str_of(request.decode.code), S("SerializationException"));
		CHECK(str_starts(
			request.decode.message, S("Could not parse request body into json: ")));
		zoo_done(&request);
	}
}

static void test_deep_values_are_refused(void)
{
	struct buf body;

	buf_init(&body, 1 << 20);
	for (int i = 0; i < 1000; i++)
		buf_put(&body, i ? S("{\"Helper\":") : S("{\"Keeper\":"));
	buf_put(&body, S("{}"));
	for (int i = 0; i < 1000; i++)
		buf_put_char(&body, '}');
	zoo_decode(&request, &aws_service_test_restjson, NULL, POST_JSON, buf_str(&body));
	CHECK(request.answer == DECODE_REFUSED);
	CHECK_STR(request.decode.message, S("The request is nested too deeply."));
	zoo_done(&request);
	buf_done(&body);
}

static void test_json_protocol_reads_its_body_only(void)
{
	GIVES(TICK("{\"at\":1.5,\"name\":\"n\"}"), "{\"at\":1500,\"name\":\"n\"}");
	GIVES(TICK("{}"), "{}");
	GIVES(decoded(&aws_service_test_json, "Wind", POST_FORM, S("whatever")), "{}");
}

/* --- blobs --- */

/* {"Name":"a","Picture":"…"} with `len` bytes, and a smaller one in Thumbs. */
static void put_upload(struct buf *body, size_t len, str tail)
{
	struct buf bytes;

	buf_init(&bytes, len);
	for (size_t i = 0; i < len; i++)
		buf_put_char(&bytes, (char)(i * 7));
	buf_put(body, S("{\"Name\":\"a\",\"Picture\":\""));
	base64_put(body, buf_str(&bytes));
	buf_put(body, S("\""));
	buf_put(body, tail);
	buf_done(&bytes);
}

static bool is_upload(int fd, size_t len)
{
	char bytes[4096];

	for (size_t at = 0; at < len;) {
		ssize_t got = pread(fd, bytes, sizeof(bytes), (off_t)at);
		if (got <= 0)
			return false;
		for (ssize_t i = 0; i < got; i++, at++) {
			if (bytes[i] != (char)(at * 7))
				return false;
		}
	}
	return lseek(fd, 0, SEEK_END) == (off_t)len;
}

/* Around the bound, and where the pieces of base64 meet. */
static void test_a_big_blob_becomes_a_file(void)
{
	static const size_t sizes[] = { CALL_BLOB_FILE, CALL_BLOB_FILE + 1, 98'304, 1'000'003 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buf body;
		buf_init(&body, 4 << 20);
		put_upload(&body, sizes[i], S(",\"Age\":3}"));
		zoo_decode(&request, &aws_service_test_restjson, NULL, POST_JSON, buf_str(&body));
		CHECK(request.answer == DECODE_DONE);
		CHECK_STR(zoo_text(&request, request.in),
			S("{\"Age\":3,\"Name\":\"a\",\"Zoo\":\"z\"}"));
		CHECK(request.decode.blob_fd > 0 && request.decode.blob_len == sizes[i]);
		CHECK(is_upload(request.decode.blob_fd, sizes[i]));
		zoo_done(&request);
		buf_done(&body);
	}
}

static void test_the_file_of_lambdas_code(void)
{
	struct buf bytes, body;

	buf_init(&bytes, 4 << 20);
	buf_init(&body, 4 << 20);
	for (size_t i = 0; i < 300'000; i++)
		buf_put_char(&bytes, (char)(i * 7));
	buf_put(&body, S("{\"Code\":{\"ZipFile\":\""));
	base64_put(&body, buf_str(&bytes));
	buf_put(&body, S("\"},\"Handler\":\"h\",\"FunctionName\":\"f\"}"));
	zoo_decode(&request, &aws_service_lambda, NULL,
		"POST /2015-03-31/functions HTTP/1.1\r\nHost: x\r\n\r\n", buf_str(&body));
	CHECK(request.answer == DECODE_DONE);
	CHECK_STR(zoo_text(&request, request.in),
		S("{\"Code\":{},\"FunctionName\":\"f\",\"Handler\":\"h\"}"));
	CHECK(request.decode.blob_fd > 0 && request.decode.blob_len == 300'000);
	CHECK_STR(request.decode.blob_member->name, S("ZipFile"));
	CHECK(is_upload(request.decode.blob_fd, 300'000));
	zoo_done(&request);
	buf_done(&bytes);
	buf_done(&body);
}

static void test_a_smaller_blob_stays_in_the_tree(void)
{
	struct buf body;

	buf_init(&body, 1 << 20);
	put_upload(&body, CALL_BLOB_FILE - 3, S("}"));
	zoo_decode(&request, &aws_service_test_restjson, NULL, POST_JSON, buf_str(&body));
	CHECK(request.answer == DECODE_DONE && request.decode.blob_fd == 0);
	CHECK(json_string_length(json_object_get(request.in, "Picture")) == CALL_BLOB_FILE - 3);
	zoo_done(&request);
	buf_done(&body);
}

/* Anything may hold the text as a string: nothing is cut where the model has documents. */
static void test_a_big_text_stays_a_text(void)
{
	struct buf body;

	buf_init(&body, 1 << 20);
	buf_put(&body, S("{\"Description\":\""));
	for (int i = 0; i < CUT_LEN_MIN + 8; i++)
		buf_put_char(&body, 'A');
	buf_put(&body, S("\"}"));
	zoo_decode(&request, &aws_service_lambda, NULL,
		"POST /2015-03-31/functions HTTP/1.1\r\nHost: x\r\n\r\n", buf_str(&body));
	CHECK(request.answer == DECODE_DONE && request.decode.blob_fd == 0);
	str text = json_get_str(request.in, "Description");
	CHECK(text.len == CUT_LEN_MIN + 8 && text.at[text.len - 1] == 'A');
	zoo_done(&request);
	buf_done(&body);
}

static void test_a_big_blob_that_is_no_base64_is_refused(void)
{
	struct buf body;

	for (int place = 0; place < 2; place++) {
		buf_init(&body, 1 << 20);
		buf_put(&body, S("{\"ZipFile\":\""));
		for (int i = 0; i < CUT_LEN_MIN + 8; i++)
			buf_put_char(&body, i == (place ? 64 * 1024 - 1 : 5) ? '=' : 'A');
		buf_put(&body, S("\"}"));
		zoo_decode(&request, &aws_service_lambda, NULL,
			"PUT /2015-03-31/functions/f/code HTTP/1.1\r\nHost: x\r\n\r\n",
			buf_str(&body));
		CHECK(request.answer == DECODE_REFUSED);
		CHECK_STR(request.decode.message, S("The value is not valid base64."));
		zoo_done(&request);
		buf_done(&body);
	}
}

/* --- REST --- */

static void test_labels_parameters_and_headers(void)
{
	GIVES(LIST("?max=7&kind=bear&kind=b%20c&all=TRUE&since=2014-04-29T18%3A30%3A38Z&other=1",
		      ""),
		"{\"All\":true,\"Kinds\":[\"bear\",\"b c\"],\"Max\":7,\"Since\":1398796238000,\"Zoo\":\"z\"}");
	GIVES(LIST("?kind=a+b",
		      "x-meta-a: 1\r\nX-Meta-B: two\r\nx-days: mon, \"tue, wed\",  thu\r\n"),
		"{\"Days\":[\"mon\",\"tue, wed\",\"thu\"],\"Kinds\":[\"a b\"],\"Meta\":{\"B\":\"two\",\"a\":\"1\"},"
		"\"Zoo\":\"z\"}");
	GIVES(decoded(&aws_service_test_restjson, NULL,
		      "GET /2030-01-01/zoos/a%2Fb%3Ac/animals/d+e HTTP/1.1\r\nHost: x\r\n"
		      "If-Modified-Since: Tue, 29 Apr 2014 18:30:38 GMT\r\n\r\n",
		      S("")),
		"{\"Name\":\"d+e\",\"Since\":1398796238000,\"Zoo\":\"a/b:c\"}");
	GIVES(LIST("?max=many", ""), "class java.lang.String can not be converted to an Integer");
	GIVES(LIST("?kind=%zz", ""), "A percent escape is malformed.");
	GIVES(LIST("?kind=%ff", ""), "class java.lang.String can not be converted to an String");
}

static void test_a_payload_is_the_body(void)
{
	GIVES(decoded(&aws_service_test_restjson, NULL,
		      "POST /2030-01-01/zoos/z/feed HTTP/1.1\r\nHost: x\r\nx-amount: 2\r\n\r\n",
		      S("{not json")),
		"{\"Amount\":2,\"Food\":\"{not json\",\"Zoo\":\"z\"}");
	GIVES(decoded(&aws_service_test_restjson, NULL,
		      "POST /2030-01-01/zoos/z/feed HTTP/1.1\r\nHost: x\r\n\r\n", S("")),
		"{\"Zoo\":\"z\"}");
}

static void test_a_payload_on_disk_stays_there(void)
{
	FILE *file = tmpfile();
	char bytes[CALL_BLOB_FILE + 1];

	memset(bytes, 'x', sizeof(bytes));
	CHECK(fwrite(bytes, 1, sizeof(bytes), file) == sizeof(bytes) && fflush(file) == 0);
	zoo_decode(&request, &aws_service_test_restjson, NULL,
		"POST /2030-01-01/zoos/z/feed HTTP/1.1\r\nHost: x\r\n\r\n", S(""));
	json_decref(request.in);
	request.decode.body_fd = fileno(file);
	CHECK(decode_request(&request.decode, &request.in) == DECODE_DONE);
	CHECK(request.decode.blob_fd > 0 && request.decode.blob_fd != fileno(file));
	CHECK(request.decode.blob_len == sizeof(bytes));
	CHECK(!json_object_get(request.in, "Food"));
	zoo_done(&request);
	fclose(file);
}

static void test_compressed_requests_of_rest_are_refused_by_name(void)
{
	zoo_decode(&request, &aws_service_test_restjson, NULL,
		"POST /2030-01-01/zoos/z/animals HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n\r\n",
		S("\x1f\x8b"));
	CHECK(request.answer == DECODE_REFUSED);
	CHECK_STR(str_of(request.decode.code), S("NotImplementedException"));
	zoo_done(&request);
}

/* --- query --- */

static void test_query_parameters(void)
{
	GIVES(SEND("Action=Send&Version=2031-02-03&To=a%20b+c&Weight=-3&Fast=true&At=2014-04-29T18%3A30%3A38Z&"
		   "Picture=YWI%3D&Nobody=1"),
		"{\"At\":1398796238000,\"Fast\":true,\"Picture\":\"ab\",\"To\":\"a b c\",\"Weight\":-3}");
	GIVES(SEND("Lines.member.10=c&Lines.member.2=b&Lines.member.1=a&Flat.1=x&Flat.2=y&Line.1=n"),
		"{\"Flat\":[\"x\",\"y\"],\"Lines\":[\"a\",\"b\",\"c\"],\"Named\":[\"n\"]}");
	GIVES(SEND("Lines="), "{\"Lines\":[]}");
	GIVES(SEND("Marks.entry.1.key=a&Marks.entry.1.value=1&Marks.entry.2.key=b&Marks.entry.2.value=2&"
		   "FlatMarks.1.Name=n&FlatMarks.1.Value=v"),
		"{\"FlatMarks\":{\"n\":\"v\"},\"Marks\":{\"a\":1,\"b\":2}}");
	GIVES(SEND("From.Name=f&From.Friend.Name=g&People.member.1.Name=h&People.member.1.Friend.Name=i"),
		"{\"From\":{\"Friend\":{\"Name\":\"g\"},\"Name\":\"f\"},\"People\":[{\"Friend\":{\"Name\":\"i\"},"
		"\"Name\":\"h\"}]}");
	GIVES(decoded(&aws_service_test_query, "Send",
		      "GET /?Action=Send&To=uri HTTP/1.1\r\nHost: x\r\n\r\n", S("")),
		"{\"To\":\"uri\"}");
}

static void test_broken_queries_are_refused(void)
{
	GIVES(SEND("Weight=heavy"), "A parameter can not be converted to Integer");
	GIVES(SEND("To=%4"), "A percent escape is malformed.");
	GIVES(SEND("Marks.entry.1.key=a"), "A map entry needs a key and a value.");
	GIVES(SEND("Marks.entry.1.key=%ff&Marks.entry.1.value=1"), "A map key is malformed.");
}

static void test_a_flood_of_parameters_is_refused(void)
{
	struct buf body;

	buf_init(&body, 4 << 20);
	for (int i = 0; i < DECODE_PARAMETERS_MAX; i++)
		buf_putf(&body, "&Lines.member.%d=x", i);
	zoo_decode(&request, &aws_service_test_query, "Send", POST_FORM, buf_str(&body));
	CHECK(request.answer == DECODE_REFUSED);
	CHECK_STR(request.decode.message, S("The request has too many parameters."));
	zoo_done(&request);
	buf_done(&body);
	buf_init(&body, 1 << 20);
	buf_put(&body, S("From"));
	for (int i = 0; i < 500; i++)
		buf_put(&body, S(".Friend"));
	zoo_decode(&request, &aws_service_test_query, "Send", POST_FORM, buf_str(&body));
	CHECK(request.answer == DECODE_REFUSED);
	zoo_done(&request);
	buf_done(&body);
}

/* --- XML --- */

static void test_xml_bodies(void)
{
	GIVES(RULES("<?xml version=\"1.0\"?><RuleSet xmlns=\"https://shed.example/\"><Owner "
		    "xmlns:xsi=\"http://w\" xsi:type=\"Person\"><Name>a &amp; b</Name></Owner><Rule><Text> t "
		    "</Text><Count> 3 </Count></Rule><Rule/><Names><Name>x</Name><Name/></Names><Marks><entry>"
		    "<key>k</key><value>v</value></entry></Marks><Since>2014-04-29T18:30:38Z</Since><Other/>"
		    "</RuleSet>"),
		"{\"Rules\":{\"Marks\":{\"k\":\"v\"},\"Names\":[\"x\",\"\"],\"Owner\":{\"Kind\":\"Person\","
		"\"Name\":\"a & b\"},\"Rule\":[{\"Count\":3,\"Text\":\" t \"},{}],\"Since\":1398796238000},"
		"\"Shelf\":\"s\"}");
	GIVES(RULES(""), "{\"Shelf\":\"s\"}");
}

#define MALFORMED \
	"The XML you provided was not well-formed or did not validate against our published schema"

static void test_broken_xml_is_refused(void)
{
	GIVES(RULES("<a><b></a>"), MALFORMED);
	GIVES(RULES("<a>"), MALFORMED);
	GIVES(RULES("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"), MALFORMED);
	GIVES(RULES("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>"), MALFORMED);
	GIVES(RULES("<a><Rule><Count>x</Count></Rule></a>"), MALFORMED);
}

static void test_deep_xml_is_refused(void)
{
	struct buf body;

	buf_init(&body, 1 << 20);
	for (int i = 0; i < 1000; i++)
		buf_put(&body, S("<a>"));
	zoo_decode(&request, &aws_service_test_restxml, NULL,
		"PUT /s?rules HTTP/1.1\r\nHost: x\r\n\r\n", buf_str(&body));
	CHECK(request.answer == DECODE_REFUSED);
	zoo_done(&request);
	buf_done(&body);
}

TESTS(TEST(test_scalars_of_json_get_the_models_kinds),
	TEST(test_unknown_members_and_nulls_are_ignored), TEST(test_nulls_in_lists_and_maps_stay),
	TEST(test_documents_stay_as_they_are), TEST(test_wrong_types_are_refused_in_java_words),
	TEST(test_broken_json_is_refused), TEST(test_deep_values_are_refused),
	TEST(test_json_protocol_reads_its_body_only), TEST(test_a_big_blob_becomes_a_file),
	TEST(test_the_file_of_lambdas_code), TEST(test_a_smaller_blob_stays_in_the_tree),
	TEST(test_a_big_text_stays_a_text), TEST(test_a_big_blob_that_is_no_base64_is_refused),
	TEST(test_labels_parameters_and_headers), TEST(test_a_payload_is_the_body),
	TEST(test_a_payload_on_disk_stays_there),
	TEST(test_compressed_requests_of_rest_are_refused_by_name), TEST(test_query_parameters),
	TEST(test_broken_queries_are_refused), TEST(test_a_flood_of_parameters_is_refused),
	TEST(test_xml_bodies), TEST(test_broken_xml_is_refused), TEST(test_deep_xml_is_refused))
