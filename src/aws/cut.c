/*
 * One pass that knows strings and nothing else of JSON: inside one, a backslash hides the next
 * character; outside, a quote begins one. What is malformed stays so, and the parser says it.
 *
 * A literal that has an escape in it ("\/") is left where it is: it is decoded the long way.
 * Stand-ins carry 128 random bits, so a request cannot hold one by itself.
 */
#include "aws/cut.h"

#include "base/err.h"
#include "base/mem.h"
#include "os/random.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { CUT_NAME_MAX = 64, CUT_BLOCK = 16 };

struct cut {
	str text; /* of the JSON text, without its quotes */
	char name[CUT_NAME_MAX];
};

struct cuts {
	size_t count;
	struct cut cut[CUTS_MAX];
};

static bool cut_is_base64(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '+' || c == '/' || c == '=';
}

/* Are all of a block? Lanes instead of branches: a byte costs a tenth, and there may be 70 million of them. */
static bool cut_is_block(const char *at)
{
	typedef uint8_t lanes __attribute__((vector_size(CUT_BLOCK)));
	lanes c;

	memcpy(&c, at, sizeof(c));
	const lanes letter = (c | 0x20) - 'a', digit = c - '0';
	const lanes yes = (lanes)((letter < 26) | (digit < 10) | (c == '+') | (c == '/') |
		(c == '='));
	uint64_t all[CUT_BLOCK / sizeof(uint64_t)];
	memcpy(all, &yes, sizeof(all));
	return (all[0] & all[1]) == UINT64_MAX;
}

/* The length of the base64 characters at the start of a string's inside. */
static size_t cut_run(str inside)
{
	size_t len = 0;

	while (inside.len - len >= CUT_BLOCK && cut_is_block(inside.at + len))
		len += CUT_BLOCK;
	while (len < inside.len && cut_is_base64(inside.at[len]))
		len++;
	return len;
}

/* Where a string ends: behind its closing quote, or at the end of the text. */
static size_t cut_skip_string(str inside, size_t from)
{
	for (size_t i = from; i < inside.len; i++) {
		if (inside.at[i] == '\\')
			i++;
		else if (inside.at[i] == '"')
			return i + 1;
	}
	return inside.len;
}

/* Behind a string: is it the name of a member? */
static bool cut_is_name(str behind)
{
	size_t at = 0;

	while (at < behind.len &&
		(behind.at[at] == ' ' || behind.at[at] == '\t' || behind.at[at] == '\r' ||
			behind.at[at] == '\n'))
		at++;
	return at < behind.len && behind.at[at] == ':';
}

static void cut_name(struct cut *cut, size_t number)
{
	uint64_t seed[2];

	random_bytes(seed, sizeof(seed));
	snprintf(cut->name, sizeof(cut->name), "cut-%zu-%016llx%016llx", number,
		(unsigned long long)seed[0], (unsigned long long)seed[1]);
}

/* Take the text out: all before it goes to `shortened`, then the stand-in. */
static int cut_take(struct cuts **cuts, str before, str text, struct buf *shortened)
{
	if (!*cuts)
		*cuts = mem_one(struct cuts);
	if (!*cuts)
		return err_raise(-ENOMEM);
	struct cut *cut = &(*cuts)->cut[(*cuts)->count];
	cut->text = text;
	cut_name(cut, (*cuts)->count++);
	buf_put(shortened, before);
	buf_put(shortened, str_of(cut->name));
	return shortened->err ? err_raise(shortened->err) : 0;
}

int cuts_make(str json, struct buf *shortened, struct cuts **ret_cuts)
{
	struct cuts *cuts = NULL;
	size_t kept = 0, at = 0; /* up to where text is in `shortened`; is looked at */
	int r = 0;

	while (r == 0 && (!cuts || cuts->count < CUTS_MAX)) {
		ptrdiff_t quote = str_find(str_from(json, at), '"');
		if (quote < 0)
			break;
		size_t from = at + (size_t)quote + 1;
		str inside = str_from(json, from);
		size_t run = cut_run(inside);
		at = from + cut_skip_string(inside, run);
		bool is_whole = at == from + run + 1;
		if (run < CUT_LEN_MIN || !is_whole || cut_is_name(str_from(json, at)))
			continue;
		r = cut_take(
			&cuts, str_slice(json, kept, from), str_slice(inside, 0, run), shortened);
		kept = from + run;
	}
	if (r == 0 && cuts) {
		buf_put(shortened, str_from(json, kept));
		r = shortened->err ? err_raise(shortened->err) : 0;
	}
	if (r < 0) {
		cuts_free(cuts);
		return err_pass(r);
	}
	*ret_cuts = cuts;
	return 0;
}

void cuts_free(struct cuts *cuts)
{
	mem_free(cuts);
}

str cuts_restore(const struct cuts *cuts, str value)
{
	for (size_t i = 0; cuts && i < cuts->count; i++) {
		if (str_eq(value, str_of(cuts->cut[i].name)))
			return cuts->cut[i].text;
	}
	return value;
}
