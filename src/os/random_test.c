#include "os/random.h"

#include "base/test.h"

#include <string.h>

static void test_every_byte_is_filled(void)
{
	unsigned char seen[64] = {}, bytes[64];

	random_bytes(bytes, 0);
	for (int i = 0; i < 20; i++) { /* a byte that stays 0 by chance: 2^-160 */
		random_bytes(bytes, sizeof(bytes));
		for (size_t at = 0; at < sizeof(bytes); at++)
			seen[at] |= bytes[at];
	}
	CHECK(!memchr(seen, 0, sizeof(seen)));
}

static void test_uuids_are_version_4_and_differ(void)
{
	static const char form[] = "xxxxxxxx-xxxx-4xxx-Vxxx-xxxxxxxxxxxx";
	char one[UUID_LEN + 1], two[UUID_LEN + 1];

	for (int i = 0; i < 100; i++) {
		random_uuid(one);
		random_uuid(two);
		CHECK(strcmp(one, two) != 0 && strlen(one) == UUID_LEN);
		for (size_t at = 0; at < UUID_LEN; at++) {
			const char *allowed = form[at] == 'x' ? "0123456789abcdef"
				: form[at] == 'V'	      ? "89ab"
							      : (char[]){ form[at], '\0' };
			CHECK(strchr(allowed, one[at]));
		}
	}
}

TESTS(TEST(test_every_byte_is_filled), TEST(test_uuids_are_version_4_and_differ))
