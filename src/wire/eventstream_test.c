#include "wire/eventstream.h"

#include "base/attr.h"
#include "base/buf.h"
#include "base/test.h"
#include "wire/digest.h"

#include <string.h>

/* The whole message in hex. */
static void check_frame(const struct eventstream_frame *frame, str payload, const char *hex)
{
	struct buf message, text;

	buf_init(&message, 4096);
	buf_init(&text, 8192);
	buf_put(&message, (str){ frame->head, frame->head_len });
	buf_put(&message, payload);
	buf_put(&message, (str){ frame->tail, sizeof(frame->tail) });
	hex_put(&text, buf_str(&message));
	CHECK_STR(buf_str(&text), str_of(hex));
	buf_done(&message);
	buf_done(&text);
}

/* These are the vectors of AWS's own SDKs, as far as their headers are strings. */
static void test_messages_are_those_of_awss_vectors(void)
{
	const struct eventstream_header content_type = { S("content-type"), S("application/json") };
	const struct eventstream_header error[] = { { S(":message-type"), S("error") },
		{ S(":error-code"), S("code") }, { S(":error-message"), S("message") } };
	struct eventstream_frame frame;
	str payload = S("{'foo':'bar'}");

	eventstream_frame(&frame, NULL, 0, (str){});
	check_frame(&frame, (str){}, "000000100000000005c248eb7d98c8ff");
	eventstream_frame(&frame, NULL, 0, payload);
	check_frame(&frame, payload, "0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936");
	eventstream_frame(&frame, &content_type, 1, payload);
	check_frame(&frame, payload,
		"0000003d0000002007fd83960c636f6e74656e742d74797065070010"
		"6170706c69636174696f6e2f6a736f6e7b27666f6f273a27626172277d8d9c08b1");
	eventstream_frame(&frame, error, ARRAY_LEN(error), (str){});
	check_frame(&frame, (str){},
		"0000005200000042bf23637e0d3a6d6573736167652d747970650700056572726f72"
		"0b3a6572726f722d636f6465070004636f6465"
		"0e3a6572726f722d6d6573736167650700076d6573736167656b6cea3d");
}

/* As AWS Lambda answered InvokeWithResponseStream. */
static void test_events_are_those_that_lambda_sends(void)
{
	struct eventstream_frame frame;
	str chunk = S("Hello world!");

	eventstream_frame_event(
		&frame, S("PayloadChunk"), S("application/octet-stream"), S("from Lambda!"));
	check_frame(&frame, S("from Lambda!"),
		"000000760000005a980e72ec0b3a6576656e742d7479706507000c5061796c6f61644368756e6b"
		"0d3a636f6e74656e742d747970650700186170706c69636174696f6e2f6f637465742d73747265616d"
		"0d3a6d6573736167652d747970650700056576656e74"
		"66726f6d204c616d62646121fe88eff4");
	eventstream_frame_event(&frame, S("InvokeComplete"), S("application/json"), S("{}"));
	check_frame(&frame, S("{}"),
		"00000066000000541f56c8690b3a6576656e742d7479706507000e496e766f6b65436f6d706c657465"
		"0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e"
		"0d3a6d6573736167652d747970650700056576656e747b7d7006d467");
	eventstream_frame_event(&frame, S("PayloadChunk"), S("application/octet-stream"), chunk);
	CHECK(frame.head_len == 12 + 0x5a);
}

static void test_a_checksum_goes_on_wherever_the_bytes_are_split(void)
{
	char bytes[64];
	str all = { bytes, sizeof(bytes) };

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 37 + 200);
	uint32_t whole = crc32_of(0, all);
	for (size_t i = 0; i <= sizeof(bytes); i++)
		CHECK(crc32_of(crc32_of(0, str_slice(all, 0, i)), str_from(all, i)) == whole);
	CHECK(crc32_of(0, S("123456789")) == 0xcbf43926);
	CHECK(crc32_of(0, (str){}) == 0);
}

TESTS(TEST(test_messages_are_those_of_awss_vectors), TEST(test_events_are_those_that_lambda_sends),
	TEST(test_a_checksum_goes_on_wherever_the_bytes_are_split))
