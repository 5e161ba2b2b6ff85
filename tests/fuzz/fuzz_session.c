/*
 * Session tokens: what a stranger writes is never one, and what was sealed says afterwards what it said before, whatever
 * bytes the names are made of.
 */
#include "fuzz.h"

#include "wire/session.h"

#include <string.h>

static const uint8_t key[SESSION_KEY_LEN] = "a key that no stranger has got..";
static const uint8_t nonce[SESSION_NONCE_LEN];

/* A name of the next bytes, without NUL. */
static void take_name(str *rest, char *to, size_t size)
{
	size_t len = rest->len ? (uint8_t)rest->at[0] % size : 0;
	str name = str_slice(*rest, rest->len > 0, 1 + len);

	for (size_t i = 0; i < name.len; i++)
		to[i] = name.at[i] ? name.at[i] : 'x';
	*rest = str_from(*rest, 1 + len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str rest = { (const char *)data, size };
	struct session session, made = { .expires_s = size };
	struct session_credentials credentials, sealed;

	HOLDS(!session_open(key, rest, &session, &credentials));
	take_name(&rest, made.account, sizeof(made.account));
	take_name(&rest, made.role, sizeof(made.role));
	take_name(&rest, made.name, sizeof(made.name));
	session_seal(key, nonce, &made, &sealed);
	HOLDS(session_open(key, str_of(sealed.token), &session, &credentials));
	HOLDS(strcmp(session.account, made.account) == 0 && strcmp(session.role, made.role) == 0);
	HOLDS(strcmp(session.name, made.name) == 0 && session.expires_s == size);
	HOLDS(strcmp(credentials.secret, sealed.secret) == 0);
	return 0;
}
