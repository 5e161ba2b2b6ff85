#include "wire/session.h"

#include "base/attr.h"
#include "base/test.h"

#include <string.h>

static const uint8_t key[SESSION_KEY_LEN] = "thirty-two bytes of a secret key";
static const uint8_t other_key[SESSION_KEY_LEN] = "thirty-two bytes of another key!";
static const uint8_t nonce[SESSION_NONCE_LEN] = { 0, 1, 2, 3, 4, 250, 251, 252, 253, 254 };
static const struct session ann = { "123456789012", "reader", "my-function", 1'800'000'000 };

static void test_a_token_says_whose_it_is_and_gives_the_same_secret(void)
{
	struct session_credentials made, found;
	struct session session;

	session_seal(key, nonce, &ann, &made);
	CHECK(strlen(made.access_key) == SESSION_ACCESS_KEY_LEN);
	CHECK(strlen(made.secret) == SESSION_SECRET_LEN);
	CHECK(str_starts(str_of(made.access_key), S("ASIAAA")));
	CHECK(session_open(key, str_of(made.token), &session, &found));
	CHECK_STR(str_of(session.account), S("123456789012"));
	CHECK_STR(str_of(session.role), S("reader"));
	CHECK_STR(str_of(session.name), S("my-function"));
	CHECK(session.expires_s == ann.expires_s);
	CHECK_STR(str_of(found.access_key), str_of(made.access_key));
	CHECK_STR(str_of(found.secret), str_of(made.secret));
}

static void test_another_nonce_or_name_gives_another_secret(void)
{
	static const uint8_t other_nonce[SESSION_NONCE_LEN] = { 1 };
	struct session_credentials first, second, third;
	struct session bob = ann;

	memcpy(bob.name, "bob", sizeof("bob"));
	session_seal(key, nonce, &ann, &first);
	session_seal(key, other_nonce, &ann, &second);
	session_seal(key, nonce, &bob, &third);
	CHECK(strcmp(first.secret, second.secret) != 0);
	CHECK(strcmp(first.access_key, second.access_key) != 0);
	CHECK(strcmp(first.secret, third.secret) != 0);
	CHECK(strcmp(first.access_key, third.access_key) == 0);
}

static void test_names_may_be_empty_or_as_long_as_aws_allows(void)
{
	struct session_credentials made, found;
	struct session session, longest = ann;

	memset(longest.role, 'r', SESSION_NAME_MAX);
	memset(longest.name, 'n', SESSION_NAME_MAX);
	session_seal(key, nonce, &longest, &made);
	CHECK(session_open(key, str_of(made.token), &session, &found));
	CHECK_STR(str_of(session.name), str_of(longest.name));

	struct session root = { .account = "123456789012", .expires_s = UINT64_MAX };
	session_seal(key, nonce, &root, &made);
	CHECK(session_open(key, str_of(made.token), &session, &found));
	CHECK(!session.role[0] && session.expires_s == UINT64_MAX);
}

static void test_no_byte_of_a_token_can_be_changed_and_none_taken_away(void)
{
	struct session_credentials made, found;
	struct session session;

	session_seal(key, nonce, &ann, &made);
	size_t len = strlen(made.token);
	for (size_t i = 0; i < len; i++) {
		char was = made.token[i];
		made.token[i] = was == 'A' ? 'B' : 'A';
		CHECK(!session_open(key, str_of(made.token), &session, &found));
		made.token[i] = was;
		CHECK(!session_open(key, (str){ made.token, i }, &session, &found));
	}
	CHECK(session_open(key, (str){ made.token, len }, &session, &found));
	CHECK(!session_open(other_key, str_of(made.token), &session, &found));
}

static void test_what_is_no_token_is_refused(void)
{
	struct session_credentials found;
	struct session session;
	char longest[2 * SESSION_TOKEN_MAX];

	memset(longest, 'A', sizeof(longest));
	for (size_t len = 0; len < sizeof(longest); len++)
		CHECK(!session_open(key, (str){ longest, len }, &session, &found));
	CHECK(!session_open(key, S("mayfly"), &session, &found));
	CHECK(!session_open(key, S("\0\0\0\0"), &session, &found));
}

static void test_the_arn_is_of_the_assumed_role_or_of_the_root(void)
{
	struct session root = { .account = "123456789012" };
	char arn[SESSION_ARN_MAX];

	session_put_arn(&ann, arn);
	CHECK_STR(str_of(arn), S("arn:aws:sts::123456789012:assumed-role/reader/my-function"));
	session_put_arn(&root, arn);
	CHECK_STR(str_of(arn), S("arn:aws:iam::123456789012:root"));
}

/* clang-format off */
TESTS(
	TEST(test_a_token_says_whose_it_is_and_gives_the_same_secret),
	TEST(test_another_nonce_or_name_gives_another_secret),
	TEST(test_names_may_be_empty_or_as_long_as_aws_allows),
	TEST(test_no_byte_of_a_token_can_be_changed_and_none_taken_away),
	TEST(test_what_is_no_token_is_refused),
	TEST(test_the_arn_is_of_the_assumed_role_or_of_the_root),
)
/* clang-format on */
