/*
 * Signed requests: nothing that a stranger sends verifies with a secret that he does not have, and
 * a claim says the same of the same request.
 */
#include "fuzz.h"

#include "wire/digest.h"
#include "wire/sigv4.h"
#include "wire/timestamp.h"

static struct http_head head;

static void hold_claim(const struct sigv4_claim *claim, str bytes)
{
	const str views[] = { claim->access_key, claim->date, claim->region, claim->service,
		claim->signed_headers, claim->signature, claim->timestamp };

	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		HOLDS(fuzz_is_inside(views[i], bytes));
	if (!claim->present)
		return;
	HOLDS(claim->access_key.len > 0 && claim->region.len > 0 && claim->service.len > 0);
	HOLDS(claim->date.len == 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str bytes = { (const char *)data, size };
	struct sigv4_claim claim = {};
	uint64_t now_ms;
	size_t used;
	str hash = S("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

	if (http_parse_request(bytes, 0, &head, &used) != HTTP_PARSED)
		return 0;
	int r = sigv4_claim(&head, &claim);
	HOLDS(r == 0 || r == SIGV4_MALFORMED);
	if (r != 0)
		return 0;
	hold_claim(&claim, bytes);
	if (timestamp_parse_basic(claim.timestamp, &now_ms) != 0)
		now_ms = 0;
	for (int i = 0; i < 2; i++) {
		int answer = sigv4_verify(
			&head, &claim, S("nobody has this one"), hash, now_ms / 1000);
		HOLDS(answer == SIGV4_MALFORMED || answer == SIGV4_MISMATCH ||
			(answer == SIGV4_EXPIRED && claim.presigned));
		HOLDS(i == 0 || answer == r);
		r = answer;
	}
	return 0;
}
