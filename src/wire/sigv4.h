#pragma once
/*
 * AWS Signature Version 4, the verifying side: reads the Authorization header or the presigned
 * query parameters, and computes the signature for comparison. (libcrypto does the HMACs.)
 */
#include "wire/http.h"

/*
 * What a request claims about itself; views into the request, in the spelling of the request (in a
 * presigned URL the semicolons may be "%3B"). Absent parts are empty.
 */
struct sigv4_claim {
	bool present;
	bool presigned; /* by query string */
	str access_key;
	str date; /* yyyymmdd of the scope */
	str region;
	str service;
	str signed_headers; /* a;b;c */
	str signature;	    /* 64 hex digits */
	str timestamp;	    /* X-Amz-Date */
	str token;	    /* X-Amz-Security-Token, of temporary credentials */
	uint64_t expires_s; /* presigned only */
};

enum sigv4_answer {
	SIGV4_OK = 0,
	SIGV4_MALFORMED, /* IncompleteSignature */
	SIGV4_MISMATCH,	 /* SignatureDoesNotMatch */
	SIGV4_EXPIRED,	 /* outside the allowed clock skew, or the presigned URL ran out */
};

/*
 * Read the claim: 0 (claim->present may be false), or SIGV4_MALFORMED (*ret_claim untouched) when
 * what is there cannot be read. Only the credential must be there: a claim is worth reading even
 * when nobody verifies it. Another scheme of Authorization than AWS4 is no claim.
 */
[[nodiscard]] int sigv4_claim(const struct http_head *head, struct sigv4_claim *ret_claim);

/*
 * Verify against the secret. `payload_hash` is the lower-case hex SHA-256 of the body: what counts
 * when the request has no x-amz-content-sha256 header, and what a hash in that header must equal;
 * UNSIGNED-PAYLOAD and STREAMING-… in it are taken as they are. `now_s` is the wall clock. S3 paths
 * are not normalised or encoded twice. Returns a sigv4_answer or a fault. SIGV4_MALFORMED here also
 * means that a part is missing.
 */
[[nodiscard]] int sigv4_verify(const struct http_head *head, const struct sigv4_claim *claim,
	str secret, str payload_hash, uint64_t now_s);
