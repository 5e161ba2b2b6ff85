/*
 *	body   = version, nonce, time of expiry, and account, role and name, each behind its length
 *	token  = base64(body, HMAC("token", body))
 *	secret = base64 of HMAC("secret", body), the first 30 bytes
 *	key id = "ASIA", base32(nonce)
 *
 * The alternative, a table of what was given out, would have to be kept on disk, shared by nodes and swept. What this
 * one cannot do is to take credentials back before they expire.
 */
#include "wire/session.h"

#include "base/attr.h"
#include "wire/digest.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

enum {
	SESSION_VERSION = 1,
	SESSION_MAC_LEN = 32,
	SESSION_HEAD_LEN = 1 + SESSION_NONCE_LEN + 8,
	SESSION_BODY_MAX = SESSION_HEAD_LEN + 3 + SESSION_ACCOUNT_LEN + 2 * SESSION_NAME_MAX,
	SESSION_SECRET_BYTES = 30,
};

static_assert((SESSION_BODY_MAX + SESSION_MAC_LEN + 2) / 3 * 4 < SESSION_TOKEN_MAX);
static_assert(SESSION_SECRET_BYTES / 3 * 4 == SESSION_SECRET_LEN);

/* What is derived from a body differs by its label. */
static void session_derive(const uint8_t key[static SESSION_KEY_LEN], char label, str body,
	uint8_t to[static SESSION_MAC_LEN])
{
	char text[1 + SESSION_BODY_MAX];

	assert(body.len <= SESSION_BODY_MAX);
	text[0] = label;
	memcpy(text + 1, body.at, body.len);
	digest_hmac_sha256(
		(str){ (const char *)key, SESSION_KEY_LEN }, (str){ text, 1 + body.len }, to);
}

static void session_put_key_id(const uint8_t nonce[static SESSION_NONCE_LEN], char *to)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint64_t bits = 0;
	unsigned count = 0;

	memcpy(to, "ASIA", 4);
	to += 4;
	for (size_t i = 0; i < SESSION_NONCE_LEN; i++) {
		bits = bits << 8 | nonce[i];
		for (count += 8; count >= 5; count -= 5)
			*to++ = letters[bits >> (count - 5) & 31];
	}
	*to = '\0';
}

/* Base64 into an array that has room for it. */
static void session_put_base64(str bytes, char *to, size_t size)
{
	struct buf out;

	buf_init_over(&out, to, size);
	base64_put(&out, bytes);
	assert(!out.err);
	to[out.len] = '\0';
}

/* What goes with a body that is right. */
static void session_fill(const uint8_t key[static SESSION_KEY_LEN], str body,
	struct session_credentials *credentials)
{
	uint8_t secret[SESSION_MAC_LEN];

	session_put_key_id((const uint8_t *)body.at + 1, credentials->access_key);
	session_derive(key, 'S', body, secret);
	session_put_base64((str){ (const char *)secret, SESSION_SECRET_BYTES }, credentials->secret,
		sizeof(credentials->secret));
}

static void session_put_text(struct buf *body, const char *text)
{
	str view = str_of(text);

	buf_put_char(body, (char)view.len);
	buf_put(body, view);
}

void session_seal(const uint8_t key[static SESSION_KEY_LEN],
	const uint8_t nonce[static SESSION_NONCE_LEN], const struct session *session,
	struct session_credentials *ret_credentials)
{
	char text[SESSION_BODY_MAX + SESSION_MAC_LEN + 1];
	uint8_t mac[SESSION_MAC_LEN];
	struct buf body;

	buf_init_over(&body, text, sizeof(text));
	buf_put_char(&body, SESSION_VERSION);
	buf_put(&body, (str){ (const char *)nonce, SESSION_NONCE_LEN });
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_put_char(&body, (char)(session->expires_s >> shift & 0xff));
	session_put_text(&body, session->account);
	session_put_text(&body, session->role);
	session_put_text(&body, session->name);
	session_fill(key, buf_str(&body), ret_credentials);
	session_derive(key, 'T', buf_str(&body), mac);
	buf_put(&body, (str){ (const char *)mac, sizeof(mac) });
	assert(!body.err);
	session_put_base64(buf_str(&body), ret_credentials->token, sizeof(ret_credentials->token));
}

/* One text behind its length: false when there is none, or it is too long for `to`. */
static bool session_take_text(str *rest, char *to, size_t size)
{
	if (!rest->len)
		return false;
	size_t len = (uint8_t)rest->at[0];
	if (rest->len - 1 < len)
		return false;
	str text = str_slice(*rest, 1, 1 + len);
	*rest = str_from(*rest, 1 + len);
	return str_to_array(text, to, size) == 0;
}

static bool session_parse(str body, struct session *session)
{
	if (body.len < SESSION_HEAD_LEN || body.at[0] != SESSION_VERSION)
		return false;
	*session = (struct session){};
	for (size_t i = SESSION_HEAD_LEN - 8; i < SESSION_HEAD_LEN; i++)
		session->expires_s = session->expires_s << 8 | (uint8_t)body.at[i];
	str rest = str_from(body, SESSION_HEAD_LEN);
	return session_take_text(&rest, session->account, sizeof(session->account)) &&
		session_take_text(&rest, session->role, sizeof(session->role)) &&
		session_take_text(&rest, session->name, sizeof(session->name)) && !rest.len;
}

bool session_open(const uint8_t key[static SESSION_KEY_LEN], str token, struct session *ret_session,
	struct session_credentials *ret_credentials)
{
	char text[SESSION_TOKEN_MAX];
	uint8_t mac[SESSION_MAC_LEN];
	struct session_credentials credentials = {};
	struct session session;
	struct buf bytes;

	if (str_to_array(token, credentials.token, sizeof(credentials.token)) < 0)
		return false;
	buf_init_over(&bytes, text, sizeof(text));
	if (base64_decode(token, &bytes) < 0 || bytes.len < SESSION_HEAD_LEN + SESSION_MAC_LEN ||
		bytes.len > SESSION_BODY_MAX + SESSION_MAC_LEN)
		return false;
	str body = str_slice(buf_str(&bytes), 0, bytes.len - SESSION_MAC_LEN);
	session_derive(key, 'T', body, mac);
	if (CRYPTO_memcmp(mac, body.at + body.len, sizeof(mac)) != 0 ||
		!session_parse(body, &session))
		return false;
	session_fill(key, body, &credentials);
	*ret_session = session;
	*ret_credentials = credentials;
	return true;
}

void session_put_arn(const struct session *session, char to[static SESSION_ARN_MAX])
{
	int len = session->role[0]
		? snprintf(to, SESSION_ARN_MAX, "arn:aws:sts::%s:assumed-role/%s/%s",
			  session->account, session->role, session->name)
		: snprintf(to, SESSION_ARN_MAX, "arn:aws:iam::%s:root", session->account);

	assert(len > 0 && len < SESSION_ARN_MAX);
	(void)len;
}
