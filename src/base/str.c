/*
 * Views of text. Nothing here allocates but str_dup(); nothing reads beyond len.
 *
 * The hash is SipHash-1-3 keyed once a process: one round a word is enough where the
 * attacker sees neither hashes nor the key, and costs half of SipHash-2-4 on short names.
 * The key is drawn before main(), so that no call has to ask whether it is there.
 */
#include "base/str.h"

#include "base/attr.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t str_hash_key[2];

[[gnu::constructor]] static void str_hash_seed(void)
{
	/* Fails only on kernels without the call, or before the pool is ready (it waits). */
	if (getrandom(str_hash_key, sizeof(str_hash_key), 0) != sizeof(str_hash_key))
		abort();
}

str str_of(const char *text)
{
	return text ? (str){ text, strlen(text) } : (str){};
}

bool str_eq(str a, str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool str_eq_fold(str a, str b)
{
	return a.len == b.len && str_starts_fold(a, b);
}

int str_cmp(str a, str b)
{
	size_t shared = MIN(a.len, b.len);
	int order = shared ? memcmp(a.at, b.at, shared) : 0;
	if (order)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

bool str_starts(str s, str prefix)
{
	return s.len >= prefix.len && str_eq((str){ s.at, prefix.len }, prefix);
}

bool str_ends(str s, str suffix)
{
	return s.len >= suffix.len && str_eq(str_from(s, s.len - suffix.len), suffix);
}

/* ASCII only: the locale has no say in a protocol. */
static char str_fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_starts_fold(str s, str prefix)
{
	if (s.len < prefix.len)
		return false;
	for (size_t i = 0; i < prefix.len; i++) {
		if (str_fold(s.at[i]) != str_fold(prefix.at[i]))
			return false;
	}
	return true;
}

ptrdiff_t str_find(str s, char c)
{
	const char *hit = s.len ? memchr(s.at, c, s.len) : NULL;
	return hit ? hit - s.at : -1;
}

ptrdiff_t str_find_str(str s, str needle)
{
	if (needle.len == 0)
		return 0;
	const char *hit = s.len ? memmem(s.at, s.len, needle.at, needle.len) : NULL;
	return hit ? hit - s.at : -1;
}

str str_from(str s, size_t from)
{
	return str_slice(s, from, s.len);
}

str str_slice(str s, size_t from, size_t to)
{
	to = MIN(to, s.len);
	from = MIN(from, to);
	return s.at ? (str){ s.at + from, to - from } : (str){};
}

str str_trim(str s)
{
	while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
		s = (str){ s.at + 1, s.len - 1 };
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

bool str_cut(str *rest, char sep, str *ret_head)
{
	ptrdiff_t hit = str_find(*rest, sep);
	if (hit < 0)
		return false;

	*ret_head = str_slice(*rest, 0, (size_t)hit);
	*rest = str_from(*rest, (size_t)hit + 1);
	return true;
}

bool str_next(str *rest, char sep, str *ret_item)
{
	if (!rest->at)
		return false;
	if (!str_cut(rest, sep, ret_item)) {
		*ret_item = *rest;
		*rest = (str){};
	}
	return true;
}

int str_to_u64(str s, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	bool is_above = false;

	if (s.len == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned char)s.at[i] - (unsigned)'0';
		if (digit > 9)
			return -EINVAL;
		/* On to the end even so: "99999x" is no number, however large. */
		is_above = is_above || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
			__builtin_add_overflow(value, (uint64_t)digit, &value);
	}
	if (is_above || value > max)
		return -ERANGE;

	*ret_value = value;
	return 0;
}

struct str_sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t str_rotate(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static void str_sip_round(struct str_sip *s)
{
	s->v0 += s->v1;
	s->v1 = str_rotate(s->v1, 13) ^ s->v0;
	s->v0 = str_rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = str_rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = str_rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = str_rotate(s->v1, 17) ^ s->v2;
	s->v2 = str_rotate(s->v2, 32);
}

static void str_sip_word(struct str_sip *s, uint64_t word)
{
	s->v3 ^= word;
	str_sip_round(s);
	s->v0 ^= word;
}

uint64_t str_hash(str s)
{
	uint64_t k0 = str_hash_key[0], k1 = str_hash_key[1];
	struct str_sip sip = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
		k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573 };
	size_t at = 0;
	uint64_t word;

	for (; s.len - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, s.at + at, sizeof(word));
		str_sip_word(&sip, word);
	}
	word = 0;
	if (at < s.len)
		memcpy(&word, s.at + at, s.len - at);
	str_sip_word(&sip, word | (uint64_t)s.len << 56);

	sip.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		str_sip_round(&sip);
	return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}

char *str_dup(str s)
{
	char *copy = mem_new(s.len + 1, 1);
	if (copy && s.len)
		memcpy(copy, s.at, s.len);
	return copy;
}

int str_to_array(str s, char *to, size_t size)
{
	assert(to && size > 0);
	if (s.len >= size)
		return -ENAMETOOLONG;
	if (str_find(s, '\0') >= 0)
		return -EINVAL;

	if (s.len)
		memcpy(to, s.at, s.len);
	to[s.len] = '\0';
	return 0;
}
