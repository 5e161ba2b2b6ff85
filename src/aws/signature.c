/*
 * The verdict is wire/sigv4's; here are its words. AWS has three vocabularies for the same four
 * verdicts: one of the JSON protocols, one of the query protocol, and S3's.
 */
#include "aws/signature.h"

#include "base/err.h"
#include "os/clock.h"
#include "wire/digest.h"

enum verdict {
	VERDICT_MISSING,
	VERDICT_INCOMPLETE,
	VERDICT_UNKNOWN_KEY,
	VERDICT_MISMATCH,
	VERDICT_EXPIRED,
	VERDICT_SESSION_OVER,
	VERDICTS
};
enum vocabulary { WORDS_JSON, WORDS_QUERY, WORDS_S3, VOCABULARIES };

#define MISMATCH_TEXT                                                                           \
	"The request signature we calculated does not match the signature you provided. Check " \
	"your AWS Secret Access Key and signing method. Consult the service documentation for " \
	"details."
#define UNKNOWN_TEXT	  "The security token included in the request is invalid."
#define SESSION_OVER_TEXT "The security token included in the request is expired"
#define EXPIRED_TEXT	  "Signature expired: its time is too far from the time of this server."

static const struct signature_refusal refusals[VOCABULARIES][VERDICTS] = {
	[WORDS_JSON] = {
		[VERDICT_MISSING] = { 403, S_INIT("MissingAuthenticationTokenException"), S_INIT("Missing Authentication Token") },
		[VERDICT_INCOMPLETE] = { 400, S_INIT("IncompleteSignatureException"), S_INIT("The request signature does not conform to AWS standards.") },
		[VERDICT_UNKNOWN_KEY] = { 403, S_INIT("UnrecognizedClientException"), S_INIT(UNKNOWN_TEXT) },
		[VERDICT_MISMATCH] = { 403, S_INIT("InvalidSignatureException"), S_INIT(MISMATCH_TEXT) },
		[VERDICT_EXPIRED] = { 403, S_INIT("InvalidSignatureException"), S_INIT(EXPIRED_TEXT) },
		[VERDICT_SESSION_OVER] = { 403, S_INIT("ExpiredTokenException"), S_INIT(SESSION_OVER_TEXT) },
	},
	[WORDS_QUERY] = {
		[VERDICT_MISSING] = { 403, S_INIT("MissingAuthenticationToken"), S_INIT("Request is missing Authentication Token") },
		[VERDICT_INCOMPLETE] = { 400, S_INIT("IncompleteSignature"), S_INIT("The request signature does not conform to AWS standards.") },
		[VERDICT_UNKNOWN_KEY] = { 403, S_INIT("InvalidClientTokenId"), S_INIT(UNKNOWN_TEXT) },
		[VERDICT_MISMATCH] = { 403, S_INIT("SignatureDoesNotMatch"), S_INIT(MISMATCH_TEXT) },
		[VERDICT_EXPIRED] = { 403, S_INIT("SignatureDoesNotMatch"), S_INIT(EXPIRED_TEXT) },
		[VERDICT_SESSION_OVER] = { 403, S_INIT("ExpiredToken"), S_INIT(SESSION_OVER_TEXT) },
	},
	[WORDS_S3] = {
		[VERDICT_MISSING] = { 403, S_INIT("AccessDenied"), S_INIT("Access Denied") },
		[VERDICT_INCOMPLETE] = { 400, S_INIT("AuthorizationHeaderMalformed"), S_INIT("The authorization header that you provided is not valid.") },
		[VERDICT_UNKNOWN_KEY] = { 403, S_INIT("InvalidAccessKeyId"), S_INIT("The AWS Access Key Id you provided does not exist in our records.") },
		[VERDICT_MISMATCH] = { 403, S_INIT("SignatureDoesNotMatch"), S_INIT("The request signature we calculated does not match the signature you provided. Check your key and signing method.") },
		[VERDICT_EXPIRED] = { 403, S_INIT("RequestTimeTooSkewed"), S_INIT("The difference between the request time and the current time is too large.") },
		[VERDICT_SESSION_OVER] = { 400, S_INIT("ExpiredToken"), S_INIT("The provided token has expired.") },
	},
};

static enum vocabulary signature_words(const struct identity *identity)
{
	switch (identity->protocol) {
	case AWS_QUERY:
	case AWS_EC2:
		return WORDS_QUERY;
	case AWS_REST_XML:
		return str_eq(identity->claim.service, S("s3")) ? WORDS_S3 : WORDS_QUERY;
	default:
		return WORDS_JSON;
	}
}

static int signature_refuse(const struct identity *identity, enum verdict verdict,
	struct signature_refusal *ret_refusal)
{
	*ret_refusal = refusals[signature_words(identity)][verdict];
	return SIGNATURE_REFUSED;
}

static int signature_hash(str body, int body_fd, struct buf *hex)
{
	uint8_t digest[32];
	uint64_t size;

	if (body_fd > 0) {
		int r = digest_sha256_file(body_fd, digest, &size);
		if (r < 0)
			return err_pass(r);
	} else {
		digest_sha256(body, digest);
	}
	hex_put(hex, (str){ (const char *)digest, sizeof(digest) });
	return hex->err ? err_raise(hex->err) : 0;
}

static const struct front_key *signature_key(
	const struct front_key *keys, size_t key_count, str access_key)
{
	for (size_t i = 0; i < key_count; i++) {
		if (str_eq(keys[i].access_key, access_key))
			return &keys[i];
	}
	return NULL;
}

/* The secret that it must be signed with; at == NULL when nobody has such a key. */
static str signature_secret(
	const struct front_key *keys, size_t key_count, const struct identity *identity)
{
	if (identity->has_session)
		return str_of(identity->credentials.secret);
	const struct front_key *key = signature_key(keys, key_count, identity->claim.access_key);
	return key ? key->secret : (str){};
}

bool signature_is_known(const struct front_key *keys, size_t key_count, str access_key)
{
	return signature_key(keys, key_count, access_key) != NULL;
}

int signature_check(const struct front_key *keys, size_t key_count, const struct http_head *head,
	const struct identity *identity, str body, int body_fd,
	struct signature_refusal *ret_refusal)
{
	struct buf hash;

	if (identity->is_claim_malformed)
		return signature_refuse(identity, VERDICT_INCOMPLETE, ret_refusal);
	if (!identity->claim.present)
		return signature_refuse(identity, VERDICT_MISSING, ret_refusal);
	str secret = signature_secret(keys, key_count, identity);
	if (!secret.at)
		return signature_refuse(identity, VERDICT_UNKNOWN_KEY, ret_refusal);
	uint64_t now_s = clock_real_ms() / 1000;
	if (identity->has_session && identity->session.expires_s <= now_s)
		return signature_refuse(identity, VERDICT_SESSION_OVER, ret_refusal);

	buf_init(&hash, 128);
	int r = signature_hash(body, body_fd, &hash);
	if (r == 0)
		r = sigv4_verify(head, &identity->claim, secret, buf_str(&hash), now_s);
	buf_done(&hash);
	switch (r) {
	case SIGV4_OK:
		return SIGNATURE_VALID;
	case SIGV4_MALFORMED:
		return signature_refuse(identity, VERDICT_INCOMPLETE, ret_refusal);
	case SIGV4_MISMATCH:
		return signature_refuse(identity, VERDICT_MISMATCH, ret_refusal);
	case SIGV4_EXPIRED:
		return signature_refuse(identity, VERDICT_EXPIRED, ret_refusal);
	default:
		return err_pass(r);
	}
}
