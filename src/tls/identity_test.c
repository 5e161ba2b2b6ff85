#include "tls/identity.h"

#include "base/attr.h"
#include "base/test.h"
#include "tls/rig.h"

#include <errno.h>
#include <openssl/pem.h>
#include <string.h>
#include <time.h>

/* What is said of files that are refused. */
static void check_refused(const struct tls_identity_options *options, str words)
{
	struct tls_identity *identity = NULL;
	struct buf error;

	buf_init(&error, 4096);
	CHECK(tls_identity_new(options, &error, &identity) == TLS_IDENTITY_BAD && !identity);
	if (str_find_str(buf_str(&error), words) < 0) {
		FAIL("other words");
		fprintf(stderr, "  got: " STR_FMT "\n", STR_ARG(buf_str(&error)));
	}
	buf_done(&error);
}

static void check_made(const struct tls_identity_options *options)
{
	struct tls_identity *identity = NULL;
	struct buf error;

	buf_init(&error, 4096);
	CHECK(tls_identity_new(options, &error, &identity) == TLS_IDENTITY_MADE);
	CHECK_STR(buf_str(&error), S(""));
	tls_identity_free(identity);
	buf_done(&error);
}

static void test_a_pair_is_taken_and_tells_how_long_it_is_valid(void)
{
	struct rig_pair pair;
	struct tls_identity *identity = NULL;
	struct buf error;
	uint64_t now = (uint64_t)time(NULL);

	for (enum rig_key kind = RIG_EC; kind <= RIG_RSA; kind++) {
		rig_pair_make(&pair, kind, "localhost", 2, NULL);
		const struct tls_identity_options options = rig_options(&pair);
		buf_init(&error, 4096);
		CHECK(tls_identity_new(&options, &error, &identity) == TLS_IDENTITY_MADE);
		CHECK(tls_identity_begins_s(identity) < now);
		CHECK(tls_identity_expires_s(identity) > now + 86'400);
		CHECK(tls_identity_expires_s(identity) < now + 3 * 86'400);
		tls_identity_free(identity);
		rig_pair_done(&pair);
	}
	tls_identity_free(NULL);
}

static void test_one_that_has_expired_is_taken_too(void)
{
	struct rig_pair pair;
	struct tls_identity *identity = NULL;
	struct buf error;

	buf_init(&error, 4096);
	rig_pair_make(&pair, RIG_EC, "localhost", -1, NULL);
	const struct tls_identity_options options = rig_options(&pair);
	CHECK(tls_identity_new(&options, &error, &identity) == TLS_IDENTITY_MADE);
	CHECK(tls_identity_expires_s(identity) < (uint64_t)time(NULL));
	tls_identity_free(identity);
	rig_pair_done(&pair);
}

static void test_issuers_may_follow_and_one_file_may_have_all(void)
{
	struct rig_pair root, pair;
	struct buf all;

	rig_pair_make(&root, RIG_EC, "root", 2, NULL);
	rig_pair_make(&pair, RIG_EC, "localhost", 2, &root);
	struct tls_identity_options options = rig_options(&pair);
	buf_init(&all, TLS_PEM_MAX + 1);
	buf_put(&all, S("Bag Attributes: words before\n"));
	buf_put(&all, options.cert);
	buf_put(&all, buf_str(&root.cert_pem));
	buf_put(&all, options.key);
	options.cert = options.key = buf_str(&all);
	check_made(&options);

	/* The issuer first is the mistake that people make. */
	options = rig_options(&pair);
	buf_clear(&all);
	buf_put(&all, buf_str(&root.cert_pem));
	buf_put(&all, options.cert);
	options.cert = buf_str(&all);
	check_refused(&options,
		S("tls-key: the.key has another key than the certificate of the.crt. Name the two files"));

	/* Behind them nothing that is broken, and not any number. */
	options = rig_options(&pair);
	buf_clear(&all);
	buf_put(&all, options.cert);
	buf_put(&all, S("-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n"));
	options.cert = buf_str(&all);
	check_refused(&options, S("tls-cert: the.crt has something behind the first certificate"));
	options = rig_options(&pair);
	buf_clear(&all);
	buf_put(&all, options.cert);
	for (int i = 0; i < 40; i++)
		buf_put(&all, buf_str(&root.cert_pem));
	options.cert = buf_str(&all);
	check_refused(&options, S("or too much"));
	while (all.len <= TLS_PEM_MAX)
		buf_put_char(&all, '\n');
	options.cert = buf_str(&all);
	check_refused(&options, S("tls-cert: the.crt is too long"));
	options.cert = buf_str(&pair.cert_pem);
	options.key = buf_str(&all);
	check_refused(&options, S("tls-key: the.key is too long"));
	buf_done(&all);
	rig_pair_done(&pair);
	rig_pair_done(&root);
}

static void test_what_is_refused_says_which_file_and_why(void)
{
	struct rig_pair pair, other;

	rig_pair_make(&pair, RIG_EC, "localhost", 2, NULL);
	rig_pair_make(&other, RIG_RSA, "localhost", 2, NULL);
	struct tls_identity_options options = rig_options(&pair);
	options.key = buf_str(&other.key_pem);
	check_refused(
		&options, S("tls-key: the.key has another key than the certificate of the.crt"));
	options.key = S("");
	check_refused(&options, S("tls-key: the.key has no private key in PEM form"));
	options.key = buf_str(&pair.cert_pem);
	check_refused(&options, S("tls-key: the.key has no private key in PEM form"));
	options = rig_options(&pair);
	options.cert = S("\x30\x82\x01\x00");
	check_refused(&options, S("tls-cert: the.crt has no certificate in PEM form"));
	options.cert = str_slice(buf_str(&pair.cert_pem), 0, pair.cert_pem.len / 2);
	check_refused(&options, S("tls-cert: the.crt has no certificate in PEM form"));
	rig_pair_done(&other);

	rig_pair_make(&other, RIG_RSA_SHORT, "localhost", 2, NULL);
	options = rig_options(&other);
	check_refused(&options, S("tls-cert: the.crt is refused: ee key too small. Use"));
	rig_pair_done(&other);
	rig_pair_done(&pair);
}

static void test_nobody_is_asked_for_a_passphrase(void)
{
	struct rig_pair pair;
	BIO *bio = BIO_new(BIO_s_mem());
	char *at;

	rig_pair_make(&pair, RIG_EC, "localhost", 2, NULL);
	CHECK(PEM_write_bio_PrivateKey(bio, pair.key, EVP_aes_128_cbc(),
		      (const unsigned char *)"word", 4, NULL, NULL) == 1);
	long len = BIO_get_mem_data(bio, &at);
	struct tls_identity_options options = rig_options(&pair);
	options.key = (str){ at, (size_t)len };
	check_refused(&options, S("tls-key: the.key is encrypted"));
	BIO_free(bio);
	rig_pair_done(&pair);
}

/* The certificate's name that a client sees on a new connection. */
static void check_name(const struct tls_identity *identity, str name)
{
	struct rig_client client;
	struct tls_stream *stream;
	char text[64] = "";

	rig_client_init(&client, 0, NULL);
	CHECK(tls_stream_new(identity, &stream) == 0);
	CHECK(rig_shake(&client, stream, SIZE_MAX) == TLS_DONE);
	X509 *cert = SSL_get1_peer_certificate(client.ssl);
	if (cert)
		X509_NAME_get_text_by_NID(
			X509_get_subject_name(cert), NID_commonName, text, sizeof(text));
	CHECK_STR(str_of(text), name);
	X509_free(cert);
	tls_stream_free(stream);
	rig_client_done(&client);
}

static void test_a_renewal_is_for_new_connections_and_old_ones_go_on(void)
{
	struct rig_pair pair;
	struct tls_identity *identity = NULL, *fresh = NULL;
	struct tls_stream *stream;
	struct rig_client client;
	struct buf error;
	char text[8];
	size_t len;

	buf_init(&error, 4096);
	rig_pair_make(&pair, RIG_EC, "before", 2, NULL);
	struct tls_identity_options options = rig_options(&pair);
	CHECK(tls_identity_new(&options, &error, &identity) == TLS_IDENTITY_MADE);
	rig_pair_done(&pair);
	rig_client_init(&client, 0, NULL);
	CHECK(tls_stream_new(identity, &stream) == 0);
	CHECK(rig_shake(&client, stream, SIZE_MAX) == TLS_DONE);

	rig_pair_make(&pair, RIG_RSA, "after", 5, NULL);
	options = rig_options(&pair);
	CHECK(tls_identity_new(&options, &error, &fresh) == TLS_IDENTITY_MADE);
	uint64_t expires_s = tls_identity_expires_s(fresh);
	check_name(identity, S("before"));
	tls_identity_replace(identity, fresh);
	check_name(identity, S("after"));
	CHECK(tls_identity_expires_s(identity) == expires_s);

	CHECK(SSL_write(client.ssl, "still", 5) == 5 && rig_to_stream(&client, stream) > 5);
	CHECK(tls_read(stream, text, sizeof(text), &len) == TLS_MORE);
	CHECK_STR(((str){ text, len }), S("still"));
	tls_stream_free(stream);
	rig_client_done(&client);
	rig_pair_done(&pair);
	tls_identity_free(identity);
}

TESTS(TEST(test_a_pair_is_taken_and_tells_how_long_it_is_valid),
	TEST(test_one_that_has_expired_is_taken_too),
	TEST(test_issuers_may_follow_and_one_file_may_have_all),
	TEST(test_what_is_refused_says_which_file_and_why),
	TEST(test_nobody_is_asked_for_a_passphrase),
	TEST(test_a_renewal_is_for_new_connections_and_old_ones_go_on))
