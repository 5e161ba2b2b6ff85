#include "wire/digest.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void check_hex(const uint8_t bytes[static 32], str want)
{
	struct buf hex;

	buf_init(&hex, 64);
	hex_put(&hex, (str){ (const char *)bytes, 32 });
	CHECK_STR(buf_str(&hex), want);
	buf_done(&hex);
}

/* The examples of FIPS 180-2. */
static void test_sha256_is_sha256(void)
{
	uint8_t hash[32];

	digest_sha256((str){}, hash);
	check_hex(hash, S("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
	digest_sha256(S("abc"), hash);
	check_hex(hash, S("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
}

/* RFC 4231, cases 2 and 6. */
static void test_hmac_is_hmac(void)
{
	uint8_t hash[32];
	char key[131];

	digest_hmac_sha256(S("Jefe"), S("what do ya want for nothing?"), hash);
	check_hex(hash, S("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
	memset(key, 0xaa, sizeof(key));
	digest_hmac_sha256((str){ key, sizeof(key) },
		S("Test Using Larger Than Block-Size Key - Hash Key First"), hash);
	check_hex(hash, S("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
	digest_hmac_sha256((str){}, (str){}, hash);
	check_hex(hash, S("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"));
}

static void test_a_file_is_hashed_whole_and_stays_where_it_was(void)
{
	static char zeros[600'001];
	uint8_t of_file[32], of_bytes[32];
	uint64_t size = 0;
	int fd = memfd_create("digest_test", MFD_CLOEXEC);

	CHECK(write(fd, zeros, sizeof(zeros)) == (ssize_t)sizeof(zeros));
	CHECK(lseek(fd, 17, SEEK_SET) == 17);
	CHECK(digest_sha256_file(fd, of_file, &size) == 0);
	digest_sha256((str){ zeros, sizeof(zeros) }, of_bytes);
	CHECK(size == sizeof(zeros) && memcmp(of_file, of_bytes, 32) == 0);
	CHECK(lseek(fd, 0, SEEK_CUR) == 17);
	CHECK(ftruncate(fd, 0) == 0);
	CHECK(digest_sha256_file(fd, of_file, &size) == 0 && size == 0);
	fault_countdown = 1;
	CHECK(digest_sha256_file(fd, of_file, &size) == -ENOMEM);
	fault_countdown = 0;
	(void)close(fd);
	CHECK(digest_sha256_file(-1, of_file, &size) == -EBADF);
}

static void test_hex_is_read_exactly(void)
{
	uint8_t bytes[3] = { 1, 2, 3 };

	CHECK(hex_parse(S("00fFa9"), bytes, 3) == 0);
	CHECK(bytes[0] == 0 && bytes[1] == 255 && bytes[2] == 0xa9);
	CHECK(hex_parse(S("00fFa"), bytes, 3) == -EINVAL);
	CHECK(hex_parse(S("00fFa900"), bytes, 3) == -EINVAL);
	CHECK(hex_parse(S("ffffxg"), bytes, 3) == -EINVAL && bytes[0] == 0);
	CHECK(hex_parse(S(""), bytes, 0) == 0);
}

static void test_base64_is_written_and_read_again(void)
{
	static const struct {
		str plain, text;
	} rows[] = {
		/* RFC 4648, 10 */
		{ S_INIT(""), S_INIT("") },
		{ S_INIT("f"), S_INIT("Zg==") },
		{ S_INIT("fo"), S_INIT("Zm8=") },
		{ S_INIT("foo"), S_INIT("Zm9v") },
		{ S_INIT("foob"), S_INIT("Zm9vYg==") },
		{ S_INIT("fooba"), S_INIT("Zm9vYmE=") },
		{ S_INIT("foobar"), S_INIT("Zm9vYmFy") },
		{ S_INIT("\xfb\xff\xbe"), S_INIT("+/++") },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out;
		buf_init(&out, 100);
		buf_put(&out, S("before"));
		base64_put(&out, rows[i].plain);
		CHECK_STR(str_from(buf_str(&out), 6), rows[i].text);
		out.len = 6;
		CHECK(base64_decode(rows[i].text, &out) == 0);
		CHECK_STR(str_from(buf_str(&out), 6), rows[i].plain);
		buf_done(&out);
	}
}

static void test_only_canonical_base64_is_read(void)
{
	static const str rows[] = {
		S_INIT("Z"),
		S_INIT("Zg"),
		S_INIT("Zg="),
		S_INIT("Zg==="),
		S_INIT("Z==="),
		S_INIT("===="),
		S_INIT("Zh=="),
		S_INIT("Zm9="),
		S_INIT("Zg==Zg=="),
		S_INIT("Zm=v"),
		S_INIT("=m9v"),
		S_INIT("Zm9v\n"),
		S_INIT("Zm9v\r\n=="),
		S_INIT("Zm 9"),
		S_INIT("Zm-_"),
		S_INIT("Zm9\x80"),
		S_INIT("Zm9\0"),
		S_INIT("*m9vZm9v"),
		S_INIT("Zm9vZm9v*m9vZm9v"),
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out;
		buf_init(&out, 100);
		buf_put(&out, S("kept"));
		CHECK(base64_decode(rows[i], &out) == -EINVAL);
		CHECK_STR(buf_str(&out), S("kept"));
		buf_done(&out);
	}
}

static void test_bytes_of_every_length_survive_base64(void)
{
	char bytes[300];
	struct buf text, back;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	buf_init(&text, 1000);
	buf_init(&back, 1000);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		buf_clear(&text);
		buf_clear(&back);
		base64_put(&text, (str){ bytes, len });
		CHECK(base64_decode(buf_str(&text), &back) == 0);
		CHECK_STR(buf_str(&back), ((str){ bytes, len }));
	}
	buf_done(&text);
	buf_done(&back);
}

static void test_a_full_buffer_is_a_fault(void)
{
	struct buf out;

	buf_init(&out, 3);
	CHECK(base64_decode(S("Zm9vYg=="), &out) == -EOVERFLOW && out.len == 0);
	buf_clear(&out);
	base64_put(&out, S("f"));
	CHECK(out.err == -EOVERFLOW && out.len == 0);
	buf_clear(&out);
	hex_put(&out, S("ab"));
	CHECK(out.err == -EOVERFLOW && out.len == 0);
	buf_done(&out);
	fault_countdown = 1;
	CHECK(base64_decode(S("Zm9v"), &out) == -ENOMEM);
	fault_countdown = 0;
	buf_done(&out);
}

TESTS(TEST(test_sha256_is_sha256), TEST(test_hmac_is_hmac),
	TEST(test_a_file_is_hashed_whole_and_stays_where_it_was), TEST(test_hex_is_read_exactly),
	TEST(test_base64_is_written_and_read_again), TEST(test_only_canonical_base64_is_read),
	TEST(test_bytes_of_every_length_survive_base64), TEST(test_a_full_buffer_is_a_fault))
