#pragma once
/*
 * Temporary credentials that need no memory: the session token says whose they are, sealed with a key of this
 * installation, and the secret is derived from the token. Whoever has the key can check a signature that is made with
 * them; nobody else can make a token, or learn the secret of one.
 */
#include "base/str.h"

enum {
	SESSION_KEY_LEN = 32,
	SESSION_NONCE_LEN = 10,
	SESSION_ACCESS_KEY_LEN = 20, /* "ASIA" and the nonce */
	SESSION_SECRET_LEN = 40,
	SESSION_ACCOUNT_LEN = 12,
	SESSION_NAME_MAX = 64, /* AWS's bound of the names of roles and of sessions */
	SESSION_TOKEN_MAX = 320,
};

/* On whose behalf, and until when. */
struct session {
	char account[SESSION_ACCOUNT_LEN + 1];
	char role[SESSION_NAME_MAX + 1]; /* its name; empty: the account itself */
	char name[SESSION_NAME_MAX + 1]; /* of the session, when there is a role */
	uint64_t expires_s;		 /* wall clock */
};

/* All three parts, NUL-terminated. */
struct session_credentials {
	char access_key[SESSION_ACCESS_KEY_LEN + 1];
	char secret[SESSION_SECRET_LEN + 1];
	char token[SESSION_TOKEN_MAX];
};

/* Credentials for a session; the nonce is random, and new each time. */
void session_seal(const uint8_t key[static SESSION_KEY_LEN],
	const uint8_t nonce[static SESSION_NONCE_LEN], const struct session *session,
	struct session_credentials *ret_credentials);

/*
 * Whose credentials a token belongs to, with the access key and the secret that go with it. False (nothing written)
 * when it was not sealed with this key. Whether it has expired is the caller's to look at.
 */
[[nodiscard]] bool session_open(const uint8_t key[static SESSION_KEY_LEN], str token,
	struct session *ret_session, struct session_credentials *ret_credentials);

/* The ARN that AWS gives the holder: "arn:aws:sts::ACCOUNT:assumed-role/ROLE/NAME", or of the account's root. */
enum { SESSION_ARN_MAX = 192 };
void session_put_arn(const struct session *session, char to[static SESSION_ARN_MAX]);
