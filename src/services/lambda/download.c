/*
 * Addresses to download a version's ZIP from, as GetFunction gives them out. AWS presigns an address of its own bucket;
 * ours is signed with a key of this node, made at the first use and kept in the store: an HMAC over all that the
 * address says, its end included. Whoever has it may download, until then: as there.
 */
#include "base/err.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "os/random.h"
#include "services/lambda/code.h"
#include "services/lambda/layers.h"
#include "services/lambda/tree.h"
#include "store/blobs.h"
#include "wire/digest.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>

enum { DOWNLOAD_SECONDS = 600, DOWNLOAD_KEY_LEN = 32, DOWNLOAD_ARENA_MAX = 256 * 1024 };

/* --- the key --- */

static int download_key_read(const struct lambda_scope *scope, uint8_t key[static 32])
{
	json_auto_t *doc = NULL;

	int r = record_get(scope, KIND_SECRET, S("code"), &doc, NULL);
	if (r != RECORD_FOUND)
		return err_pass(r);
	return err_pass(hex_parse(json_get_str(doc, "Key"), key, DOWNLOAD_KEY_LEN));
}

static int download_key_make(const struct lambda_scope *scope)
{
	uint8_t key[DOWNLOAD_KEY_LEN];
	json_auto_t *doc = json_object();
	struct tree tree = { .at = doc };
	struct batch batch = { .scope = scope };
	struct buf hex;

	random_bytes(key, sizeof(key));
	buf_init(&hex, sizeof(key) * 2);
	hex_put(&hex, (str){ (const char *)key, sizeof(key) });
	tree_put_int(&tree, "Schema", RECORD_SCHEMA);
	tree_put(&tree, "Key", hex.err ? NULL : json_from_str(buf_str(&hex)));
	buf_done(&hex);
	if (tree.err)
		return err_pass(tree.err);
	batch_put(&batch, KIND_SECRET, S("code"), doc, DOCS_NEW);
	int r = batch_commit(&batch);
	return r < 0 ? err_pass(r) : 0; /* a conflict: another has made it */
}

static int download_key(const struct lambda_scope *scope, uint8_t key[static 32])
{
	int r = download_key_read(scope, key);

	if (r == RECORD_ABSENT) {
		r = download_key_make(scope);
		if (r == 0)
			r = download_key_read(scope, key);
	}
	return r == RECORD_ABSENT ? err_raise(-EAGAIN) : err_pass(r);
}

/* --- the token --- */

/* Hex of the HMAC over the parts, each ended by a newline, which none of them can hold. */
static int download_token(
	const struct lambda_scope *scope, str name, str version, uint64_t expires, str *ret_token)
{
	uint8_t key[DOWNLOAD_KEY_LEN], mac[32];

	int r = download_key(scope, key);
	if (r < 0)
		return err_pass(r);
	str text = arena_strf(scope->arena,
		STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT "\n%" PRIu64 "\n",
		STR_ARG(scope->account), STR_ARG(scope->region), STR_ARG(name), STR_ARG(version),
		expires);
	if (!text.at)
		return err_raise(-ENOMEM);
	digest_hmac_sha256((str){ (const char *)key, sizeof(key) }, text, mac);

	struct buf hex;
	buf_init(&hex, sizeof(mac) * 2);
	hex_put(&hex, (str){ (const char *)mac, sizeof(mac) });
	*ret_token = hex.err ? (str){} : arena_str(scope->arena, buf_str(&hex));
	buf_done(&hex);
	return ret_token->at ? 0 : err_raise(-ENOMEM);
}

int lambda_code_address(
	struct call *call, const struct lambda_ref *ref, str version, str *ret_address)
{
	uint64_t expires = clock_real_ms() / 1000 + DOWNLOAD_SECONDS;
	str token;

	int r = download_token(&ref->scope, ref->name, version, expires, &token);
	if (r < 0)
		return err_pass(r);
	str path = CODE_PATH;
	str address = arena_strf(call->arena,
		"%s://" STR_FMT STR_FMT STR_FMT "/" STR_FMT "/" STR_FMT "/" STR_FMT
		"?expires=%" PRIu64 "&token=" STR_FMT,
		call->is_secure ? "https" : "http", STR_ARG(call->host), STR_ARG(path),
		STR_ARG(ref->scope.account), STR_ARG(ref->scope.region), STR_ARG(ref->name),
		STR_ARG(version), expires, STR_ARG(token));
	if (!address.at)
		return err_raise(-ENOMEM);
	*ret_address = address;
	return 0;
}

/* --- the way back --- */

struct download_parts {
	str account, region, name, version, expires, token;
};

/* Cut an address into its parts; false when it is not of the form. */
static bool download_cut(str target, struct download_parts *ret_parts)
{
	struct download_parts parts = {};
	str rest = target, head;

	if (!str_starts(rest, CODE_PATH))
		return false;
	rest = str_from(rest, CODE_PATH.len);
	if (!str_cut(&rest, '/', &parts.account) || !str_cut(&rest, '/', &parts.region) ||
		!str_cut(&rest, '/', &parts.name) || !str_cut(&rest, '?', &parts.version))
		return false;
	if (!str_cut(&rest, '&', &head) || !str_starts(head, S("expires=")) ||
		!str_starts(rest, S("token=")))
		return false;
	parts.expires = str_from(head, 8);
	parts.token = str_from(rest, 6);
	/* clients may encode the sign of $LATEST */
	if (str_eq_fold(parts.version, S("%24LATEST")))
		parts.version = S("$LATEST");
	*ret_parts = parts;
	return true;
}

static int download_check(
	const struct lambda_scope *scope, const struct download_parts *parts, uint64_t now_ms)
{
	uint64_t expires;
	str token;

	if (str_to_u64(parts->expires, INT64_MAX, &expires) < 0)
		return CODE_FORBIDDEN;
	int r = download_token(scope, parts->name, parts->version, expires, &token);
	if (r < 0)
		return err_pass(r);
	if (token.len != parts->token.len ||
		CRYPTO_memcmp(token.at, parts->token.at, token.len) != 0)
		return CODE_FORBIDDEN;
	return now_ms / 1000 > expires ? CODE_EXPIRED : CODE_GIVEN;
}

/* The digest of a function's version: 0, RECORD_ABSENT or a fault. */
static int download_function(
	const struct lambda_scope *scope, str name, str version, uint8_t digest[static 32])
{
	scoped_function function = {};
	json_auto_t *version_doc = NULL;
	json_t *config;

	int r = function_record_get(scope, name, &function);
	if (r == RECORD_FOUND)
		r = lambda_version_read(&function, version, &version_doc, &config);
	return r ? err_pass(r) : err_pass(record_digest(config, digest));
}

/* The same of a layer's. */
static int download_layer(
	const struct lambda_scope *scope, str name, str version, uint8_t digest[static 32])
{
	json_auto_t *doc = NULL;
	uint64_t number;

	if (str_to_u64(version, RECORD_VERSION_MAX, &number) < 0)
		return RECORD_ABSENT;
	int r = lambda_layer_get(scope, name, number, &doc, NULL);
	return r ? err_pass(r) : err_pass(record_digest(json_object_get(doc, "Layer"), digest));
}

static int download_open(
	const struct lambda_scope *scope, str name, str version, int *ret_fd, uint64_t *ret_size)
{
	uint8_t digest[32];

	int r = str_starts(name, CODE_LAYER)
		? download_layer(scope, str_from(name, CODE_LAYER.len), version, digest)
		: download_function(scope, name, version, digest);
	if (r == RECORD_ABSENT)
		return CODE_ABSENT;
	if (r == 0)
		r = blobs_get(scope->platform->blobs, digest, ret_fd, ret_size);
	return r == BLOBS_ABSENT ? CODE_ABSENT : err_pass(r);
}

int lambda_code_open(struct platform *platform, str account, str region, str name, str version,
	int *ret_fd, uint64_t *ret_size)
{
	struct arena arena;
	struct lambda_scope scope = {
		.platform = platform, .arena = &arena, .account = account, .region = region
	};

	arena_init(&arena, DOWNLOAD_ARENA_MAX);
	int r = download_open(&scope, name, version, ret_fd, ret_size);
	arena_done(&arena);
	return err_pass(r);
}

int lambda_code_download(struct platform *platform, str target, int *ret_fd, uint64_t *ret_size)
{
	struct download_parts parts;
	struct arena arena;

	if (!download_cut(target, &parts))
		return CODE_FORBIDDEN;
	arena_init(&arena, DOWNLOAD_ARENA_MAX);
	struct lambda_scope scope = {
		.platform = platform,
		.arena = &arena,
		.account = parts.account,
		.region = parts.region,
	};
	int r = download_check(&scope, &parts, clock_real_ms());
	if (r == CODE_GIVEN)
		r = download_open(&scope, parts.name, parts.version, ret_fd, ret_size);
	arena_done(&arena);
	return err_pass(r);
}
