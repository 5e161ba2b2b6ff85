/* The signed requests here were made with botocore (its clock stopped at NOW_S). */
#include "wire/sigv4.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"
#include "wire/digest.h"

#include <errno.h>
#include <string.h>

#define NOW_S	   1769903999ULL /* 20260131T235959Z */
#define SECRET	   S("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HELLO_HASH "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define SCOPE	   "Credential=AKIDEXAMPLE/20260131/us-east-1"
#define HOST_DATE  "Host: 127.0.0.1:4566\r\nX-Amz-Date: 20260131T235959Z\r\n"
#define SIGNED	   "Authorization: AWS4-HMAC-SHA256 " SCOPE

static struct http_head head;
static struct sigv4_claim claim;

static const struct {
	const char *what;
	str text;
	str body;
} good[] = {
	{ "a query with a space, a plus and more, unsorted",
		S_INIT("GET /2015-03-31/functions/?Marker=a+b%2Bc%2F%3D%26%C3%A9&MaxItems=50"
		       "&FunctionVersion=ALL HTTP/1.1\r\n" HOST_DATE SIGNED "/lambda/aws4_request, "
		       "SignedHeaders=host;x-amz-date, Signature="
		       "594bf3d3f7fb0e599a4abeaa2c5f47aabfc34f1d127f3689a554cef799dda939\r\n\r\n"),
		S_INIT("") },
	{ "the query of a client, with %20",
		S_INIT("GET /2015-03-31/functions?Marker=a%20b%2Bc HTTP/1.1\r\n" HOST_DATE SIGNED
		       "/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature="
		       "d9d455e990cd0127cf58b9b4bcd10ea239fc18613d2d04ef6e618563cc169af6\r\n\r\n"),
		S_INIT("") },
	{ "an encoded ARN in the path, encoded again",
		S_INIT("POST /2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000"
		       "%3Afunction%3Ahello/invocations HTTP/1.1\r\n" HOST_DATE
		       "X-Amz-Invocation-Type: RequestResponse\r\nUser-Agent: Boto3/1  md/x\r\n"
		       "X-Amz-Log-Type: Tail\r\n" SIGNED "/lambda/aws4_request, SignedHeaders="
		       "host;x-amz-date;x-amz-invocation-type;x-amz-log-type, Signature="
		       "1b3faf4c268175e9e19d83bb19df6cf5b54d778eb9dff9898b361a4d0110a375\r\n"
		       "Content-Length: 12\r\n\r\n"),
		S_INIT("{\"name\":\"x\"}") },
	{ "dots, doubled slashes and raw brackets in the path",
		S_INIT("GET /a/./b/../c//d%20e/~x(y) HTTP/1.1\r\n" HOST_DATE SIGNED
		       "/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature="
		       "30ba2f60a21954eaa697ebacf8cb12dcbf2d4591d07cdaab61beb60a1eb29f10\r\n\r\n"),
		S_INIT("") },
	{ "a session token and a form",
		S_INIT("POST / HTTP/1.1\r\n" HOST_DATE "Content-Type: "
		       "application/x-www-form-urlencoded; charset=utf-8\r\nX-Amz-Security-Token: "
		       "tok/en+==\r\n" SIGNED "/sts/aws4_request, SignedHeaders=content-type;host;"
		       "x-amz-date;x-amz-security-token, Signature="
		       "51dd6928042fe0acfc19ba2a14a5248f52207b6c775983406a9a008e122a6778\r\n"
		       "Content-Length: 43\r\n\r\n"),
		S_INIT("Action=GetCallerIdentity&Version=2011-06-15") },
	{ "an S3 path as it is, and a header with white space",
		S_INIT("PUT /bucket/a%20b//c/../d%2Be HTTP/1.1\r\n" HOST_DATE
		       "x-amz-meta-note:   two   words \r\nContent-Type: text/plain\r\n"
		       "X-Amz-Content-SHA256: " HELLO_HASH "\r\n" SIGNED
		       "/s3/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;"
		       "x-amz-date;x-amz-meta-note, Signature="
		       "3436996252c1334625f8c50a4839d0370332d48a076557f1e566d7bd0f4342e2\r\n"
		       "Content-Length: 5\r\n\r\n"),
		S_INIT("hello") },
	{ "a query name without a value",
		S_INIT("GET /bucket?list-type=2&prefix=a%2Fb&delimiter=%2F&acl"
		       " HTTP/1.1\r\n" HOST_DATE "X-Amz-Content-SHA256: " EMPTY_HASH "\r\n" SIGNED
		       "/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
		       "Signature="
		       "0678e573d543cfbcb9358530498eeb5d86cb372cd8a599af6be3ea32f19f0e82\r\n\r\n"),
		S_INIT("") },
	{ "a presigned S3 URL",
		S_INIT("GET /bucket/key%20one?versionId=7&X-Amz-Algorithm=AWS4-HMAC-SHA256"
		       "&X-Amz-Credential=AKIDEXAMPLE%2F20260131%2Fus-east-1%2Fs3%2Faws4_request"
		       "&X-Amz-Date=20260131T235959Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host"
		       "&X-Amz-Signature="
		       "2d465ccac0cf286ef4f9fd8a853055e86d7310692bf57ec2440f045cb3098236"
		       " HTTP/1.1\r\nHost: 127.0.0.1:4566\r\n\r\n"),
		S_INIT("") },
	{ "a presigned URL with two signed headers",
		S_INIT("GET /?Action=GetCallerIdentity&Version=2011-06-15"
		       "&X-Amz-Algorithm=AWS4-HMAC-SHA256"
		       "&X-Amz-Credential=AKIDEXAMPLE%2F20260131%2Fus-east-1%2Fsts%2Faws4_request"
		       "&X-Amz-Date=20260131T235959Z&X-Amz-Expires=60"
		       "&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature="
		       "88b39e8abfb937c156f214125f56e74154420a81b7e4b30fdc6f6e154b916875"
		       " HTTP/1.1\r\nHost: 127.0.0.1:4566\r\nx-k8s-aws-id: cluster\r\n\r\n"),
		S_INIT("") },
};

static bool parse(str text)
{
	size_t used;

	return http_parse_request(text, 0, &head, &used) == HTTP_PARSED;
}

/* Parse, claim and verify. */
static int verify_at(str text, str body, uint64_t now_s)
{
	uint8_t hash[32];
	struct buf hex;

	CHECK(parse(text));
	int r = sigv4_claim(&head, &claim);
	if (r != 0)
		return r;
	buf_init(&hex, 64);
	digest_sha256(body, hash);
	hex_put(&hex, (str){ (const char *)hash, sizeof(hash) });
	r = sigv4_verify(&head, &claim, SECRET, buf_str(&hex), now_s);
	buf_done(&hex);
	return r;
}

static void test_what_a_client_signed_verifies(void)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		int r = verify_at(good[i].text, good[i].body, NOW_S);
		if (r != SIGV4_OK)
			fprintf(stderr, "  %s: %d\n", good[i].what, r);
		CHECK(r == SIGV4_OK);
		CHECK(sigv4_verify(&head, &claim, S("wrong"), S(EMPTY_HASH), NOW_S) ==
			SIGV4_MISMATCH);
	}
}

static void test_a_claim_tells_scope_and_parts(void)
{
	CHECK(parse(good[2].text) && sigv4_claim(&head, &claim) == 0);
	CHECK(claim.present && !claim.presigned);
	CHECK_STR(claim.access_key, S("AKIDEXAMPLE"));
	CHECK_STR(claim.date, S("20260131"));
	CHECK_STR(claim.region, S("us-east-1"));
	CHECK_STR(claim.service, S("lambda"));
	CHECK_STR(claim.signed_headers, S("host;x-amz-date;x-amz-invocation-type;x-amz-log-type"));
	CHECK_STR(claim.timestamp, S("20260131T235959Z"));
	CHECK(claim.signature.len == 64);

	CHECK(parse(good[8].text) && sigv4_claim(&head, &claim) == 0);
	CHECK(claim.present && claim.presigned && claim.expires_s == 60);
	CHECK_STR(claim.token, S(""));
	CHECK_STR(claim.access_key, S("AKIDEXAMPLE"));
	CHECK_STR(claim.service, S("sts"));
	CHECK_STR(claim.timestamp, S("20260131T235959Z"));
}

/* Change each byte of the request in turn: whatever is signed must not verify any more. */
static void test_a_change_of_anything_signed_is_seen(void)
{
	char text[2048];
	str from = good[2].text;
	size_t survived = 0;

	CHECK(from.len < sizeof(text));
	for (size_t at = 0; at < from.len; at++) {
		memcpy(text, from.at, from.len);
		text[at] ^= 1;
		size_t used;
		if (http_parse_request((str){ text, from.len }, 0, &head, &used) != HTTP_PARSED ||
			sigv4_claim(&head, &claim) != 0)
			continue;
		int r = sigv4_verify(&head, &claim, SECRET,
			S("0229d37e33daae149bf40543a5ce1db4459d10f830d5139279aa2bfd5f6485a1"),
			NOW_S);
		survived += r == SIGV4_OK;
	}
	/*
	 * Not signed: User-Agent and Content-Length, and some spellings of names and of white
	 * space.
	 */
	CHECK(survived > 20 && survived < 60);
}

static void test_another_body_is_seen(void)
{
	CHECK(verify_at(good[2].text, S("{\"name\":\"y\"}"), NOW_S) == SIGV4_MISMATCH);
	CHECK(verify_at(good[5].text, S("hellp"), NOW_S) == SIGV4_MISMATCH);
}

static void test_the_clock_decides(void)
{
	CHECK(verify_at(good[0].text, S(""), NOW_S + 300) == SIGV4_OK);
	CHECK(verify_at(good[0].text, S(""), NOW_S - 300) == SIGV4_OK);
	CHECK(verify_at(good[0].text, S(""), NOW_S + 301) == SIGV4_EXPIRED);
	CHECK(verify_at(good[0].text, S(""), NOW_S - 301) == SIGV4_EXPIRED);
	CHECK(verify_at(good[6].text, S(""), NOW_S + 900) == SIGV4_OK);
	CHECK(verify_at(good[6].text, S(""), NOW_S + 901) == SIGV4_EXPIRED);
	CHECK(verify_at(good[8].text, S(""), NOW_S + 60) == SIGV4_OK);
	CHECK(verify_at(good[8].text, S(""), NOW_S + 61) == SIGV4_EXPIRED);
	CHECK(verify_at(good[8].text, S(""), NOW_S - 301) == SIGV4_EXPIRED);
}

#define GET_LAMBDA(parts) S_INIT("GET / HTTP/1.1\r\nHost: a\r\n" parts "\r\n")

static void test_requests_without_a_signature_claim_nothing(void)
{
	static const str rows[] = {
		GET_LAMBDA(""),
		GET_LAMBDA("Authorization: Bearer x\r\n"),
		GET_LAMBDA("Authorization: AWS key:signature\r\n"),
		S_INIT("GET /?a=b&X-Amz-Date=1 HTTP/1.1\r\nHost: a\r\n\r\n"),
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK(parse(rows[i]));
		CHECK(sigv4_claim(&head, &claim) == 0 && !claim.present);
		CHECK(sigv4_verify(&head, &claim, SECRET, S(EMPTY_HASH), NOW_S) == SIGV4_MALFORMED);
	}
}

static void test_a_dummy_signature_still_tells_the_scope(void)
{
	CHECK(parse((str)GET_LAMBDA(SIGNED "/sqs/aws4_request\r\n")));
	CHECK(sigv4_claim(&head, &claim) == 0 && claim.present);
	CHECK_STR(claim.service, S("sqs"));
	CHECK(claim.signature.len == 0 && claim.timestamp.len == 0);
	CHECK(sigv4_verify(&head, &claim, SECRET, S(EMPTY_HASH), NOW_S) == SIGV4_MALFORMED);
	CHECK(verify_at((str)GET_LAMBDA("X-Amz-Date: 20260131T235959Z\r\n" SIGNED
					"/sqs/aws4_request, SignedHeaders=host, Signature=x\r\n"),
		      S(""), NOW_S) == SIGV4_MISMATCH);
}

static void test_what_cannot_be_read_is_malformed(void)
{
	static const str rows[] = {
		GET_LAMBDA("Authorization: AWS4-HMAC-SHA256\r\n"),
		GET_LAMBDA("Authorization: AWS4-HMAC-SHA256 \r\n"),
		GET_LAMBDA("Authorization: AWS4-HMAC-SHA256 Signature=x\r\n"),
		GET_LAMBDA("Authorization: AWS4-ECDSA-P256-SHA256 " SCOPE "/s/aws4_request\r\n"),
		GET_LAMBDA(SIGNED "/s/aws4_request, " SCOPE "/s/aws4_request\r\n"),
		GET_LAMBDA(SIGNED "/s/aws4_request, Unknown=1\r\n"),
		GET_LAMBDA(SIGNED "/s/aws4_request, Signature\r\n"),
		GET_LAMBDA(SIGNED "/s/aws4_request,\r\n"),
		GET_LAMBDA(SIGNED "/s/aws5_request\r\n"),
		GET_LAMBDA(SIGNED "//aws4_request\r\n"),
		GET_LAMBDA(SIGNED "/aws4_request\r\n"),
		GET_LAMBDA(
			"Authorization: AWS4-HMAC-SHA256 Credential=a/2026/r/s/aws4_request\r\n"),
		GET_LAMBDA("Authorization: AWS4-HMAC-SHA256 "
			   "Credential=/20260131/r/s/aws4_request\r\n"),
		GET_LAMBDA(SIGNED "/s/aws4_request\r\n" SIGNED "/s/aws4_request\r\n"),
		S_INIT("GET /?X-Amz-Signature=1 HTTP/1.1\r\nHost: a\r\n\r\n"),
		S_INIT("GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a HTTP/1.1\r\n"
		       "Host: a\r\n\r\n"),
		S_INIT("GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/20260131/r/s/"
		       "aws4_request&X-Amz-Expires=x HTTP/1.1\r\nHost: a\r\n\r\n"),
		S_INIT("GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%20/20260131/r/s/"
		       "aws4_request HTTP/1.1\r\nHost: a\r\n\r\n"),
		S_INIT("GET /?X-Amz-Date=1&X-Amz-Date=1 HTTP/1.1\r\nHost: a\r\n\r\n"),
		S_INIT("GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/20260131/r/s/"
		       "aws4_request HTTP/1.1\r\nHost: a\r\n" SIGNED "/s/aws4_request\r\n\r\n"),
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK(parse(rows[i]));
		claim.expires_s = 4711;
		if (sigv4_claim(&head, &claim) != SIGV4_MALFORMED)
			fprintf(stderr, "  row %zu\n", i);
		CHECK(sigv4_claim(&head, &claim) == SIGV4_MALFORMED && claim.expires_s == 4711);
	}
}

static void test_a_claim_that_contradicts_itself_does_not_verify(void)
{
	static const struct {
		str text;
		int answer;
	} rows[] = {
		{ GET_LAMBDA("X-Amz-Date: 20260130T235959Z\r\n" SIGNED
			     "/s/aws4_request, SignedHeaders=host, Signature=" EMPTY_HASH "\r\n"),
			SIGV4_MISMATCH }, /* another day than the scope */
		{ GET_LAMBDA("X-Amz-Date: now\r\n" SIGNED
			     "/s/aws4_request, SignedHeaders=host, Signature=" EMPTY_HASH "\r\n"),
			SIGV4_MALFORMED },
		{ GET_LAMBDA("X-Amz-Date: 20260131T235959Z\r\n" SIGNED
			     "/s/aws4_request, SignedHeaders=x-amz-date, Signature=" EMPTY_HASH
			     "\r\n"),
			SIGV4_MISMATCH }, /* host is not signed */
		{ GET_LAMBDA("X-Amz-Date: 20260131T235959Z\r\n" SIGNED
			     "/s/aws4_request, SignedHeaders=host;absent, Signature=" EMPTY_HASH
			     "\r\n"),
			SIGV4_MISMATCH },
		{ GET_LAMBDA("X-Amz-Date: 20260131T235959Z\r\n" SIGNED
			     "/s/aws4_request, SignedHeaders=Host, Signature=" EMPTY_HASH "\r\n"),
			SIGV4_MALFORMED },
		{ GET_LAMBDA("X-Amz-Date: 20260131T235959Z\r\nX-Amz-Content-Sha256: any\r\n" SIGNED
			     "/s/aws4_request, SignedHeaders=host, Signature=" EMPTY_HASH "\r\n"),
			SIGV4_MISMATCH },
		{ S_INIT("GET /%zz?X-Amz-Algorithm=AWS4-HMAC-SHA256"
			 "&X-Amz-Credential=a/20260131/r/s3/"
			 "aws4_request&X-Amz-Date=20260131T235959Z&X-Amz-Expires=1&"
			 "X-Amz-SignedHeaders=host&X-Amz-Signature=" EMPTY_HASH
			 " HTTP/1.1\r\nHost: a\r\n\r\n"),
			SIGV4_MISMATCH },
		{ S_INIT("GET /?a=%zz&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
			 "a/20260131/r/s/aws4_request&X-Amz-Date=20260131T235959Z&X-Amz-Expires=1&"
			 "X-Amz-SignedHeaders=host&X-Amz-Signature=" EMPTY_HASH
			 " HTTP/1.1\r\nHost: a\r\n\r\n"),
			SIGV4_MISMATCH },
		{ S_INIT("GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
			 "a/20260131/r/s/aws4_request&X-Amz-Date=20260131T235959Z&"
			 "X-Amz-Expires=604801&X-Amz-SignedHeaders=host&X-Amz-Signature=" EMPTY_HASH
			 " HTTP/1.1\r\nHost: a\r\n\r\n"),
			SIGV4_MALFORMED },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int r = verify_at(rows[i].text, S(""), NOW_S);
		if (r != rows[i].answer)
			fprintf(stderr, "  row %zu: %d\n", i, r);
		CHECK(r == rows[i].answer);
	}
}

static void test_it_survives_every_failed_allocation(void)
{
	for (int nth = 1; nth < 200; nth++) {
		CHECK(parse(good[0].text) && sigv4_claim(&head, &claim) == 0);
		fault_countdown = nth;
		int r = sigv4_verify(&head, &claim, SECRET, S(EMPTY_HASH), NOW_S);
		bool is_reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(r == (is_reached ? -ENOMEM : SIGV4_OK));
		if (!is_reached)
			return;
	}
	FAIL("never succeeded");
}

TESTS(TEST(test_what_a_client_signed_verifies), TEST(test_a_claim_tells_scope_and_parts),
	TEST(test_a_change_of_anything_signed_is_seen), TEST(test_another_body_is_seen),
	TEST(test_the_clock_decides), TEST(test_requests_without_a_signature_claim_nothing),
	TEST(test_a_dummy_signature_still_tells_the_scope),
	TEST(test_what_cannot_be_read_is_malformed),
	TEST(test_a_claim_that_contradicts_itself_does_not_verify),
	TEST(test_it_survives_every_failed_allocation))
