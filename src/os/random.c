/*
 * Straight from the kernel, without a pool of our own: a pool would have to be forgotten
 * at every fork, and a request needs at most a few dozen bytes.
 */
#include "os/random.h"

#include <errno.h>
#include <stdlib.h>
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

void random_uuid(char to[static UUID_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[16];
	size_t at = 0;

	random_bytes(raw, sizeof(raw));
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
