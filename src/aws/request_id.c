/*
 * Every request gets an id, and on the invoke path a system call each would show. So random bytes
 * are fetched for many ids at once. They are names, not secrets: what waits in the pool guards
 * nothing.
 */
#include "aws/request_id.h"

#include <string.h>

enum { ID_BYTES = 16, ID_POOL = 256 };

static unsigned char id_pool[ID_POOL][ID_BYTES];
static unsigned id_left;

void request_id_next(char to[static UUID_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";

	if (id_left == 0) {
		random_bytes(id_pool, sizeof(id_pool));
		id_left = ID_POOL;
	}
	unsigned char *id = id_pool[--id_left];
	id[6] = (unsigned char)((id[6] & 0x0f) | 0x40); /* RFC 9562: version 4 */
	id[8] = (unsigned char)((id[8] & 0x3f) | 0x80); /* its variant */
	size_t at = 0;
	for (int i = 0; i < ID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			to[at++] = '-';
		to[at++] = digits[id[i] >> 4];
		to[at++] = digits[id[i] & 15];
	}
	to[at] = '\0';
}
