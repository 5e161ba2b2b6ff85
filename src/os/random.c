/*
 * Keys and secrets come straight from the kernel. Identifiers are made on the hot path, two an
 * invocation, and come from a thread's own pool that one system call fills for many of them; the
 * pool's bytes are wiped as they are used.
 */
#include "os/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void random_bytes(void *to, size_t len)
{
	char *at = to;

	while (len) {
		ssize_t got = getrandom(at, len, 0);
		if (got < 0 && errno != EINTR)
			abort(); /* no kernel we run on; going on without randomness is worse */
		if (got <= 0)
			continue;
		at += got;
		len -= (size_t)got;
	}
}

enum { POOL_BYTES = 2048 };

void random_id_bytes(void *to, size_t len)
{
	static _Thread_local unsigned char pool[POOL_BYTES];
	static _Thread_local size_t left;

	assert(len <= POOL_BYTES);
	if (left < len) {
		random_bytes(pool, sizeof(pool));
		left = sizeof(pool);
	}
	left -= len;
	memcpy(to, pool + left, len);
	explicit_bzero(pool + left, len);
}

void random_uuid(char to[static UUID_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[16];
	size_t at = 0;

	random_id_bytes(raw, sizeof(raw));
	raw[6] = (raw[6] & 0x0f) | 0x40; /* version 4: random */
	raw[8] = (raw[8] & 0x3f) | 0x80; /* RFC 9562 variant */
	for (size_t i = 0; i < sizeof(raw); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			to[at++] = '-';
		to[at++] = hex[raw[i] >> 4];
		to[at++] = hex[raw[i] & 15];
	}
	to[at] = '\0';
}
