/*
 * Computing the signature as the documentation of Signature Version 4 tells a client to:
 *
 *	canonical request = method, path, query, headers, names of headers, hash of the payload
 *	string to sign    = algorithm, time, scope, SHA-256 of the canonical request
 *	signature         = HMAC chain: secret -> date -> region -> service -> "aws4_request" -> string
 *
 * What clients really do decides the details. Path: "you must URI-encode each path segment twice
 * (except for Amazon S3 which only gets URI-encoded once)": what is sent is encoded once already,
 * so it is encoded again, after dot segments and doubled slashes are out; for S3 it is brought into
 * the one canonical spelling. Query: decoded and encoded again, '+' being a space, for that is how
 * clients send one which they signed as %20.
 */
#include "wire/sigv4.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "wire/digest.h"
#include "wire/timestamp.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum {
	SIGV4_TEXT_MAX = 8 * HTTP_HEAD_MAX, /* a byte becomes at most five, "%25XX" */
	SIGV4_SKEW_S = 5 * 60,		    /* "must reach AWS within five minutes" */
	SIGV4_SKEW_S3_S = 15 * 60,
	SIGV4_EXPIRES_MAX = 7 * 24 * 3600,
	SIGV4_HEADERS_MAX = HTTP_FIELDS_MAX,
};

/* Where a name=value of the query lies in the buffer of encoded pairs. */
struct sigv4_pair {
	str name, value;
};

static bool sigv4_is_s3(const struct sigv4_claim *claim)
{
	return str_eq(claim->service, S("s3")) || str_eq(claim->service, S("s3-object-lambda"));
}

/* The path without ".", ".." and empty segments, encoded once more. */
static void sigv4_put_normal_path(str path, struct buf *out)
{
	size_t root = out->len;
	bool ends_in_slash = str_ends(path, S("/"));
	str segment;

	while (str_next(&path, '/', &segment)) {
		if (segment.len == 0 || str_eq(segment, S(".")))
			continue;
		if (str_eq(segment, S(".."))) { /* take the last segment out again */
			while (out->len > root && out->at[--out->len] != '/')
				;
			continue;
		}
		buf_put_char(out, '/');
		uri_encode(segment, false, out);
	}
	if (out->len == root || ends_in_slash)
		buf_put_char(out, '/');
}

/* Decode and encode again. False when it cannot be decoded. */
static bool sigv4_put_canonical(str text, bool keep_slash, struct buf *scratch, struct buf *out)
{
	buf_clear(scratch);
	if (uri_decode(text, scratch) != 0)
		return false;
	uri_encode(buf_str(scratch), keep_slash, out);
	return true;
}

/* The same of a part of the query, where '+' is a space. */
static bool sigv4_put_query_part(str text, struct buf *scratch, struct buf *out)
{
	str piece;

	for (bool is_first = true; str_next(&text, '+', &piece); is_first = false) {
		if (!is_first)
			buf_put(out, S("%20"));
		if (!sigv4_put_canonical(piece, false, scratch, out))
			return false;
	}
	return true;
}

static int sigv4_compare_pairs(const void *left, const void *right)
{
	const struct sigv4_pair *a = left, *b = right;
	int order = str_cmp(a->name, b->name);

	return order ? order : str_cmp(a->value, b->value);
}

/* How many name=value there are at most. */
static size_t sigv4_count_pairs(str query)
{
	size_t count = 1;

	for (size_t i = 0; i < query.len; i++)
		count += query.at[i] == '&';
	return count;
}

/*
 * Encode the pairs one after the other into `encoded`, whose memory may still move: so the
 * views are made of offsets, in a second walk. SIGV4_MISMATCH when it cannot be decoded.
 */
static int sigv4_encode_pairs(str query, struct buf *scratch, struct buf *encoded)
{
	str name, value;

	while (uri_query_next(&query, &name, &value)) {
		if (str_eq(name, S("X-Amz-Signature")))
			continue;
		if (!sigv4_put_query_part(name, scratch, encoded))
			return SIGV4_MISMATCH;
		buf_put_char(encoded, '=');
		if (!sigv4_put_query_part(value, scratch, encoded))
			return SIGV4_MISMATCH;
		buf_put_char(encoded, '&');
	}
	return encoded->err ? err_raise(encoded->err) : 0;
}

/* Sorted "by code point of the name", then of the value. */
static int sigv4_put_query(str query, struct buf *scratch, struct buf *out)
{
	struct buf encoded;
	size_t count = 0;

	buf_init(&encoded, SIGV4_TEXT_MAX);
	scoped_mem struct sigv4_pair *pairs = mem_new(
		sigv4_count_pairs(query), sizeof(struct sigv4_pair));
	int r = pairs ? sigv4_encode_pairs(query, scratch, &encoded) : err_raise(-ENOMEM);
	if (r != 0) {
		buf_done(&encoded);
		return r;
	}
	for (str rest = buf_str(&encoded), pair, name; str_cut(&rest, '&', &pair);) {
		if (str_cut(&pair, '=', &name))
			pairs[count++] = (struct sigv4_pair){ name, pair };
	}
	qsort(pairs, count, sizeof(*pairs), sigv4_compare_pairs);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_put_char(out, '&');
		buf_put(out, pairs[i].name);
		buf_put_char(out, '=');
		buf_put(out, pairs[i].value);
	}
	buf_done(&encoded);
	return 0;
}

/* A value with runs of spaces as one space ("trim excess white space"). */
static void sigv4_put_header_value(str value, struct buf *out)
{
	bool is_after_space = false;

	for (size_t i = 0; i < value.len; i++) {
		bool is_space = value.at[i] == ' ';
		if (!is_space || !is_after_space)
			buf_put_char(out, value.at[i]);
		is_after_space = is_space;
	}
}

/* "name:value,value\n". False when the request has no such header. */
static bool sigv4_put_header(const struct http_head *head, str name, struct buf *out)
{
	bool is_first = true;

	buf_put(out, name);
	for (size_t i = 0; i < head->field_count; i++) {
		if (!str_eq_fold(head->fields[i].name, name))
			continue;
		buf_put_char(out, is_first ? ':' : ',');
		sigv4_put_header_value(head->fields[i].value, out);
		is_first = false;
	}
	buf_put_char(out, '\n');
	return !is_first;
}

/* The next of "a;b;c", or of "a%3Bb%3Bc". */
static bool sigv4_next_header(str *rest, str *ret_name)
{
	if (!rest->at)
		return false;
	for (size_t at = 0; at < rest->len; at++) {
		str tail = str_from(*rest, at);
		size_t width = str_starts(tail, S(";"))	  ? 1
			: str_starts_fold(tail, S("%3B")) ? 3
							  : 0;
		if (width > 0) {
			*ret_name = str_slice(*rest, 0, at);
			*rest = str_from(tail, width);
			return true;
		}
	}
	*ret_name = *rest;
	*rest = (str){};
	return true;
}

static bool sigv4_is_lower(str name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.at[i] >= 'A' && name.at[i] <= 'Z')
			return false;
	}
	return name.len > 0;
}

/* The canonical headers, an empty line, and their names. "The host header must be included." */
static int sigv4_put_headers(const struct http_head *head, str names, struct buf *out)
{
	str name, rest = names;
	bool has_host = false;
	size_t count = 0;

	while (sigv4_next_header(&rest, &name)) {
		if (++count > SIGV4_HEADERS_MAX || !sigv4_is_lower(name))
			return SIGV4_MALFORMED;
		if (!sigv4_put_header(head, name, out))
			return SIGV4_MISMATCH;
		has_host = has_host || str_eq(name, S("host"));
	}
	buf_put_char(out, '\n');
	rest = names;
	for (bool is_first = true; sigv4_next_header(&rest, &name); is_first = false) {
		if (!is_first)
			buf_put_char(out, ';');
		buf_put(out, name);
	}
	buf_put_char(out, '\n');
	return has_host ? 0 : SIGV4_MISMATCH;
}

static bool sigv4_is_hash(str text)
{
	uint8_t bytes[32];

	return hex_parse(text, bytes, sizeof(bytes)) == 0;
}

/*
 * The last line of the canonical request. What the client says of its body counts if it is
 * true, or one of the forms that say nothing of the whole body.
 */
static int sigv4_put_payload(const struct http_head *head, const struct sigv4_claim *claim,
	str payload_hash, struct buf *out)
{
	str said = http_field(head, S("X-Amz-Content-Sha256"));

	if (!said.at && claim->presigned && sigv4_is_s3(claim))
		said = S("UNSIGNED-PAYLOAD");
	if (!said.at)
		said = payload_hash;
	bool is_literal = str_eq(said, S("UNSIGNED-PAYLOAD")) || str_starts(said, S("STREAMING-"));
	if (!is_literal && (!sigv4_is_hash(said) || !str_eq(said, payload_hash)))
		return SIGV4_MISMATCH;
	buf_put(out, said);
	return 0;
}

/* The whole canonical request. 0, a sigv4_answer, or a fault. */
static int sigv4_put_request(const struct http_head *head, const struct sigv4_claim *claim,
	str payload_hash, struct buf *scratch, struct buf *out)
{
	buf_put(out, head->method);
	buf_put_char(out, '\n');
	if (!sigv4_is_s3(claim))
		sigv4_put_normal_path(head->path, out);
	else if (!sigv4_put_canonical(head->path, true, scratch, out))
		return SIGV4_MISMATCH;
	buf_put_char(out, '\n');
	int r = sigv4_put_query(head->query, scratch, out);
	if (r != 0)
		return r < 0 ? err_pass(r) : r;
	buf_put_char(out, '\n');
	r = sigv4_put_headers(head, claim->signed_headers, out);
	if (r != 0)
		return r;
	return sigv4_put_payload(head, claim, payload_hash, out);
}

/* SHA-256 of the canonical request in hex, appended to `out`. */
static int sigv4_put_request_hash(const struct http_head *head, const struct sigv4_claim *claim,
	str payload_hash, struct buf *out)
{
	struct buf request, scratch;
	uint8_t hash[32];

	buf_init(&request, SIGV4_TEXT_MAX);
	buf_init(&scratch, HTTP_HEAD_MAX);
	int r = sigv4_put_request(head, claim, payload_hash, &scratch, &request);
	if (request.err || scratch.err) /* then the answer means nothing */
		r = err_raise(request.err ? request.err : scratch.err);
	if (r == 0) {
		digest_sha256(buf_str(&request), hash);
		hex_put(out, (str){ (const char *)hash, sizeof(hash) });
	}
	buf_done(&request);
	buf_done(&scratch);
	return r;
}

/* "derived signing key", and with it the signature. */
static void sigv4_sign(const struct sigv4_claim *claim, struct buf *secret, str string_to_sign,
	uint8_t to[static 32])
{
	const str steps[] = { claim->date, claim->region, claim->service, S("aws4_request"),
		string_to_sign };
	uint8_t key[32];
	str with = buf_str(secret);

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		digest_hmac_sha256(with, steps[i], to);
		memcpy(key, to, sizeof(key));
		with = (str){ (const char *)key, sizeof(key) };
	}
	OPENSSL_cleanse(key, sizeof(key));
}

static bool sigv4_is_in_time(const struct sigv4_claim *claim, uint64_t signed_s, uint64_t now_s)
{
	uint64_t skew = sigv4_is_s3(claim) ? SIGV4_SKEW_S3_S : SIGV4_SKEW_S;

	if (signed_s > now_s + skew)
		return false;
	return now_s - MIN(now_s, signed_s) <= (claim->presigned ? claim->expires_s : skew);
}

/* Is everything there, and does it agree with itself? */
static int sigv4_check_claim(const struct sigv4_claim *claim, uint64_t *ret_signed_s)
{
	uint64_t ms;

	if (!claim->present || claim->signed_headers.len == 0 || claim->signature.len == 0)
		return SIGV4_MALFORMED;
	if (timestamp_parse_basic(claim->timestamp, &ms) != 0)
		return SIGV4_MALFORMED;
	if (claim->presigned && (claim->expires_s < 1 || claim->expires_s > SIGV4_EXPIRES_MAX))
		return SIGV4_MALFORMED;
	if (!str_starts(claim->timestamp, claim->date))
		return SIGV4_MISMATCH; /* "Date in Credential scope does not match YYYYMMDD …" */
	*ret_signed_s = ms / 1000;
	return 0;
}

/* The string to sign into `text`, and from it the signature in `expected`. */
static int sigv4_compute(const struct http_head *head, const struct sigv4_claim *claim, str secret,
	str payload_hash, uint8_t expected[static 32])
{
	struct buf text, key;

	buf_init(&text, SIGV4_TEXT_MAX);
	buf_init(&key, SIGV4_TEXT_MAX);
	buf_put(&text, S("AWS4-HMAC-SHA256\n"));
	buf_put(&text, claim->timestamp);
	const str scope[] = { S("\n"), claim->date, S("/"), claim->region, S("/"), claim->service,
		S("/aws4_request\n") };
	for (size_t i = 0; i < ARRAY_LEN(scope); i++)
		buf_put(&text, scope[i]);
	buf_put(&key, S("AWS4"));
	buf_put(&key, secret);
	int r = sigv4_put_request_hash(head, claim, payload_hash, &text);
	if (r == 0 && (text.err || key.err))
		r = err_raise(text.err ? text.err : key.err);
	if (r == 0)
		sigv4_sign(claim, &key, buf_str(&text), expected);
	if (key.at)
		OPENSSL_cleanse(key.at, key.size);
	buf_done(&key);
	buf_done(&text);
	return r;
}

int sigv4_verify(const struct http_head *head, const struct sigv4_claim *claim, str secret,
	str payload_hash, uint64_t now_s)
{
	uint8_t expected[32], given[32];
	uint64_t signed_s;

	int r = sigv4_check_claim(claim, &signed_s);
	if (r != 0)
		return r;
	if (!sigv4_is_in_time(claim, signed_s, now_s))
		return SIGV4_EXPIRED;
	if (hex_parse(claim->signature, given, sizeof(given)) != 0)
		return SIGV4_MISMATCH;
	r = sigv4_compute(head, claim, secret, payload_hash, expected);
	if (r != 0)
		return r < 0 ? err_pass(r) : r;
	return CRYPTO_memcmp(expected, given, sizeof(expected)) == 0 ? SIGV4_OK : SIGV4_MISMATCH;
}
