/* The lead byte fixes the length and the bounds of the second byte; the others are 80-BF. */
#include "base/utf8.h"

/* The bounds of the second byte after `lead`, and the length; 0 when `lead` starts nothing. */
static size_t utf8_lead(unsigned char lead, unsigned char *ret_low, unsigned char *ret_high)
{
	*ret_low = 0x80;
	*ret_high = 0xbf;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if (lead >= 0xe0 && lead <= 0xef) {
		if (lead == 0xe0)
			*ret_low = 0xa0; /* below: overlong */
		if (lead == 0xed)
			*ret_high = 0x9f; /* above: a surrogate */
		return 3;
	}
	if (lead >= 0xf0 && lead <= 0xf4) {
		if (lead == 0xf0)
			*ret_low = 0x90; /* below: overlong */
		if (lead == 0xf4)
			*ret_high = 0x8f; /* above: beyond U+10FFFF */
		return 4;
	}
	return 0;
}

size_t utf8_sequence(str s)
{
	const unsigned char *at = (const unsigned char *)s.at;
	unsigned char low, high;

	if (s.len == 0)
		return 0;
	if (at[0] < 0x80)
		return 1;
	size_t len = utf8_lead(at[0], &low, &high);
	if (len == 0 || len > s.len || at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

bool utf8_valid(str s)
{
	while (s.len) {
		size_t len = utf8_sequence(s);
		if (len == 0)
			return false;
		s = str_from(s, len);
	}
	return true;
}
