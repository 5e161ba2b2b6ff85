/*
 * SHA-256 and HMAC are libcrypto's. The algorithms are fetched once: a fetch by name for every
 * digest would cost more than hashing a small request. Without them nothing can be
 * signed or stored, and what could fail later is an allocation of some bytes inside libcrypto: both
 * end the process rather than let a wrong digest through.
 */
#include "wire/digest.h"

#include "base/err.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <unistd.h>

enum { DIGEST_FILE_CHUNK = 256 * 1024 };

static struct {
	pthread_once_t once;
	EVP_MD *sha256;
	EVP_MAC *hmac;
} digest_algorithms = { .once = PTHREAD_ONCE_INIT };

static void digest_fetch(void)
{
	digest_algorithms.sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	digest_algorithms.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	assert(digest_algorithms.sha256 && digest_algorithms.hmac);
}

static void digest_ready(void)
{
	int r = pthread_once(&digest_algorithms.once, digest_fetch);
	assert(r == 0);
	(void)r;
}

void digest_sha256(str bytes, uint8_t to[static 32])
{
	unsigned len = 0;

	digest_ready();
	int ok = EVP_Digest(
		bytes.at ? bytes.at : "", bytes.len, to, &len, digest_algorithms.sha256, NULL);
	assert(ok == 1 && len == 32);
	(void)ok;
}

void digest_hmac_sha256(str key, str bytes, uint8_t to[static 32])
{
	static char name[] = "SHA2-256";
	const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string("digest", name, 0),
		OSSL_PARAM_construct_end() };
	size_t len = 0;

	digest_ready();
	EVP_MAC_CTX *mac = EVP_MAC_CTX_new(digest_algorithms.hmac);
	assert(mac);
	int ok = EVP_MAC_init(
			 mac, (const unsigned char *)(key.at ? key.at : ""), key.len, params) &&
		EVP_MAC_update(mac, (const unsigned char *)(bytes.at ? bytes.at : ""), bytes.len) &&
		EVP_MAC_final(mac, to, &len, 32);
	EVP_MAC_CTX_free(mac);
	assert(ok == 1 && len == 32);
	(void)ok;
}

/* An EVP_MD_CTX under a name of our own: its users need not know libcrypto. */
struct digest *digest_begin(void)
{
	digest_ready();
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	if (md && EVP_DigestInit_ex2(md, digest_algorithms.sha256, NULL) != 1) {
		EVP_MD_CTX_free(md);
		return NULL;
	}
	return (struct digest *)md;
}

void digest_feed(struct digest *digest, str bytes)
{
	int ok = EVP_DigestUpdate((EVP_MD_CTX *)digest, bytes.at, bytes.len);
	assert(ok == 1);
	(void)ok;
}

void digest_end(struct digest *digest, uint8_t to[static 32])
{
	if (!digest)
		return;
	int ok = EVP_DigestFinal_ex((EVP_MD_CTX *)digest, to, NULL);
	assert(ok == 1);
	(void)ok;
	EVP_MD_CTX_free((EVP_MD_CTX *)digest);
}

/* Feed the whole file; 0 or a fault. */
static int digest_feed_file(struct digest *digest, int fd, char *chunk, uint64_t *ret_size)
{
	uint64_t size = 0;

	for (;;) {
		ssize_t len = pread(fd, chunk, DIGEST_FILE_CHUNK, (off_t)size);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return err_raise(-errno);
		if (len == 0)
			break;
		digest_feed(digest, (str){ chunk, (size_t)len });
		size += (uint64_t)len;
	}
	*ret_size = size;
	return 0;
}

int digest_sha256_file(int fd, uint8_t to[static 32], uint64_t *ret_size)
{
	scoped_mem char *chunk = mem_new(DIGEST_FILE_CHUNK, 1);

	struct digest *digest = chunk ? digest_begin() : NULL;
	if (!digest)
		return err_raise(-ENOMEM);
	int r = err_pass(digest_feed_file(digest, fd, chunk, ret_size));
	digest_end(digest, to);
	return r;
}

void hex_put(struct buf *out, str bytes)
{
	static const char digits[] = "0123456789abcdef";

	if (bytes.len == 0 || bytes.len > SIZE_MAX / 2 || buf_reserve(out, bytes.len * 2) < 0)
		return;
	for (size_t i = 0; i < bytes.len; i++) {
		unsigned char c = (unsigned char)bytes.at[i];
		out->at[out->len++] = digits[c >> 4];
		out->at[out->len++] = digits[c & 15];
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_parse(str text, uint8_t *to, size_t to_len)
{
	if (text.len % 2 != 0 || text.len / 2 != to_len)
		return -EINVAL;
	for (size_t i = 0; i < text.len; i++) {
		if (hex_digit(text.at[i]) < 0)
			return -EINVAL;
	}
	for (size_t i = 0; i < to_len; i++)
		to[i] = (uint8_t)(hex_digit(text.at[2 * i]) << 4 | hex_digit(text.at[2 * i + 1]));
	return 0;
}
