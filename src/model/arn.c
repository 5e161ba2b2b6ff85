/*
 * AWS's pattern of a function name is a row of optional groups in front of one that is not:
 *
 *	(arn:PARTITION:lambda:)? (REGION:)? (ACCOUNT:)? (function:)? NAME (:QUALIFIER)?
 *
 * Each optional group takes what it can, unless then no name would be left: "function" alone, and "function" at
 * the end of an ARN, is a name (AWS looks up a function called so). So the parser walks the groups from the
 * left and a group is only taken when something follows its colon. Outside of an ARN a region is only a region in
 * front of an account: "my-fn-1:live" is a function and its alias.
 */
#include "model/arn.h"

#include "wire/digest.h"

#include "base/attr.h"

#include <errno.h>

static bool arn_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool arn_is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool arn_is_word(char c)
{
	return arn_is_lower(c) || arn_is_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static bool arn_all(str s, bool (*is)(char c))
{
	for (size_t i = 0; i < s.len; i++)
		if (!is(s.at[i]))
			return false;
	return s.len > 0;
}

static bool arn_is_account(str s)
{
	return s.len == 12 && arn_all(s, arn_is_digit);
}

/* (eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}: us-east-1, us-gov-west-1, us-isob-east-1. */
static bool arn_is_region(str s)
{
	str word;

	if (str_starts(s, S("eusc-")))
		s = str_from(s, 5);
	if (!str_cut(&s, '-', &word) || word.len != 2 || !arn_all(word, arn_is_lower))
		return false;
	if (str_starts(s, S("gov-")) || str_starts(s, S("iso")))
		(void)str_cut(&s, '-', &word);
	return str_cut(&s, '-', &word) && arn_all(word, arn_is_lower) && s.len == 1 &&
		arn_is_digit(s.at[0]);
}

static bool arn_is_name_char(char c)
{
	return arn_is_word(c) || c == '.';
}

static bool arn_is_qualifier_char(char c)
{
	return arn_is_word(c) || c == '$';
}

static bool arn_is_partition(str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!arn_is_word(s.at[i]) || s.at[i] == '_')
			return false;
	return s.len == 0 || str_starts(s, S("aws"));
}

/* Take the piece before the next colon off *rest when it is `wanted` and something follows. */
static bool arn_take(str *rest, bool (*wanted)(str piece), str *ret_piece)
{
	str tail = *rest, piece;

	if (!str_cut(&tail, ':', &piece) || tail.len == 0 || !wanted(piece))
		return false;
	*rest = tail;
	*ret_piece = piece;
	return true;
}

static bool arn_is_function_word(str s)
{
	return str_eq(s, S("function"));
}

/* Inside a name: \$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+. (The parameter of its own has '$' anywhere.) */
static bool arn_is_qualifier(str s)
{
	return arn_all(s, arn_is_word) || str_eq(s, S("$LATEST")) ||
		str_eq(s, S("$LATEST.PUBLISHED"));
}

/* "arn:aws:lambda:" off the front, if that is what it begins with. */
static int arn_take_prefix(str *rest)
{
	str tail = *rest, piece;

	if (!str_starts(tail, S("arn:")))
		return 0;
	tail = str_from(tail, 4);
	if (!str_cut(&tail, ':', &piece) || !arn_is_partition(piece))
		return -EINVAL;
	if (!str_cut(&tail, ':', &piece) || !str_eq(piece, S("lambda")))
		return -EINVAL;
	*rest = tail;
	return 0;
}

int function_name_parse(str text, struct function_name *ret_name)
{
	struct function_name name = {};
	str rest = text, ignored;

	if (arn_take_prefix(&rest) < 0)
		return -EINVAL;
	str before = rest;
	bool has_region = arn_take(&rest, arn_is_region, &name.region);
	bool has_account = arn_take(&rest, arn_is_account, &name.account);
	if (has_region && !has_account && before.at == text.at) {
		rest = before;
		name.region = (str){};
	}
	(void)arn_take(&rest, arn_is_function_word, &ignored);

	if (str_cut(&rest, ':', &name.name)) {
		name.qualifier = rest;
		if (!arn_is_qualifier(name.qualifier))
			return -EINVAL;
	} else {
		name.name = rest;
	}
	if (!arn_all(name.name, arn_is_name_char))
		return -EINVAL;
	*ret_name = name;
	return 0;
}

int layer_name_parse(str arn, struct layer_name *ret_name)
{
	struct layer_name name = {};
	str rest = arn, prefix, partition, service, kind;

	if (!str_cut(&rest, ':', &prefix) || !str_cut(&rest, ':', &partition) ||
		!str_cut(&rest, ':', &service) || !str_cut(&rest, ':', &name.region) ||
		!str_cut(&rest, ':', &name.account) || !str_cut(&rest, ':', &kind))
		return -EINVAL;
	if (!str_eq(prefix, S("arn")) || !str_eq(service, S("lambda")) || !str_eq(kind, S("layer")))
		return -EINVAL;
	if (str_cut(&rest, ':', &name.name))
		name.version = rest;
	else
		name.name = rest;
	if (name.name.len == 0 || name.account.len == 0 || name.region.len == 0)
		return -EINVAL;
	*ret_name = name;
	return 0;
}

enum qualifier_kind qualifier_kind(str qualifier)
{
	if (qualifier.len == 0 || str_eq(qualifier, S("$LATEST")))
		return QUALIFIER_LATEST;
	if (arn_all(qualifier, arn_is_digit))
		return QUALIFIER_VERSION;
	return arn_all(qualifier, arn_is_qualifier_char) ? QUALIFIER_ALIAS : QUALIFIER_BAD;
}

str arn_partition(str region)
{
	if (str_starts(region, S("cn-")))
		return S("aws-cn");
	return str_starts(region, S("us-gov-")) ? S("aws-us-gov") : S("aws");
}

void runtime_put_arn(struct buf *out, str region, str name, str pack, str version)
{
	uint8_t digest[32];
	struct buf text;

	buf_init(&text, 1024);
	buf_put(&text, name);
	buf_put_char(&text, ' ');
	buf_put(&text, pack);
	buf_put_char(&text, ' ');
	buf_put(&text, version);
	digest_sha256(buf_str(&text), digest);
	buf_done(&text);
	buf_put(out, S("arn:"));
	buf_put(out, arn_partition(region));
	buf_put(out, S(":lambda:"));
	buf_put(out, region);
	buf_put(out, S("::runtime:"));
	hex_put(out, (str){ (const char *)digest, sizeof(digest) });
}
