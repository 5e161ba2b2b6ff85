/* Whatever a client sends to a function URL: the event is JSON. */
#include "fuzz.h"

#include "services/lambda/url_event.h"
#include "wire/json_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head head;
	str bytes = { (const char *)data, size };
	struct url_caller caller = { .access_key = S("AKIA"), .account = S("111122223333") };
	struct buf out;
	size_t used, offset;

	if (http_parse_request(bytes, 0, &head, &used) != HTTP_PARSED)
		return 0;
	buf_init(&out, 64 * size + 4096);
	url_event_put(&out,
		&(struct url_event){
			.head = &head,
			.body = str_from(bytes, used),
			.path = head.path,
			.id = S("abc"),
			.request_id = S("11111111-2222-4333-8444-555555555555"),
			.source_ip = S("::1"),
			.trace = size % 2 ? S("Root=1-6ff00000-000000000000000000000001") : S(""),
			.account = S("123456789012"),
			.caller = size % 3 ? &caller : NULL,
			.now_ms = size,
		});
	HOLDS(!out.err);
	HOLDS(json_check(buf_str(&out), &offset));
	buf_done(&out);
	return 0;
}
