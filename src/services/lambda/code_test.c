#include "services/lambda/code.h"

#include "base/test.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "os/fd.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"
#include "store/blobs.h"
#include "wire/digest.h"

#include <stdio.h>
#include <string.h>

/* The address of the code of `fn` (of a version), without scheme and host. */
static void address_of(struct world *world, const char *qualifier, char *to, size_t size)
{
	struct answer got = world_call(world, lambda_get_function, "GetFunction", "{s:s,s:s*}",
		"FunctionName", "fn", "Qualifier", qualifier);
	str location = answer_text(&got, "Code.Location");
	str origin = S("http://localhost:4566");

	CHECK(str_starts(location, origin));
	CHECK(str_to_array(str_from(location, origin.len), to, size) == 0);
}

static int download(struct world *world, const char *target, char to[static 64])
{
	scoped_fd file = -1;
	uint64_t size = 0;
	size_t len = 0;

	int r = lambda_code_download(world->platform, str_of(target), &file, &size);
	if (r == CODE_GIVEN) {
		CHECK(fd_read_all(file, to, 63, &len) == 0 && len == size);
		to[len] = 0;
	}
	return r;
}

static void test_an_address_gives_the_zip_of_its_version(void)
{
	struct world *world = world_new();
	char latest[1024], first[1024], bytes[64];

	world_create(world, "fn");
	CHECK_OK(world_call(
		world, lambda_publish_version, "PublishVersion", "{s:s}", "FunctionName", "fn"));
	CHECK_OK(world_call(world, lambda_update_function_code, "UpdateFunctionCode", "{s:s,s:o}",
		"FunctionName", "fn", "ZipFile", world_zip("two")));
	address_of(world, NULL, latest, sizeof(latest));
	CHECK(strstr(latest, "/_mayfly/code/123456789012/us-east-1/fn/$LATEST?expires="));
	CHECK(download(world, latest, bytes) == CODE_GIVEN && strcmp(bytes, "PK\3\4two") == 0);
	address_of(world, "1", first, sizeof(first));
	CHECK(download(world, first, bytes) == CODE_GIVEN && strcmp(bytes, "PK\3\4one") == 0);

	CHECK_OK(world_call(
		world, lambda_delete_function, "DeleteFunction", "{s:s}", "FunctionName", "fn"));
	CHECK(download(world, first, bytes) == CODE_ABSENT);
	world_free(world);
}

static void test_an_address_that_was_changed_gives_nothing(void)
{
	struct world *world = world_new();
	char right[1024], wrong[1024], bytes[64];

	world_create(world, "fn");
	world_create(world, "other");
	address_of(world, NULL, right, sizeof(right));
	CHECK(download(world, right, bytes) == CODE_GIVEN);
	size_t len = strlen(right), from = strlen("/_mayfly/code/");
	for (size_t i = from; i < len; i++) { /* every byte of it counts */
		memcpy(wrong, right, len + 1);
		wrong[i] = wrong[i] == '0' ? '1' : '0';
		CHECK(download(world, wrong, bytes) == CODE_FORBIDDEN);
		memcpy(wrong, right, i);
		wrong[i] = 0; /* and so does its end */
		CHECK(download(world, wrong, bytes) == CODE_FORBIDDEN);
	}
	world_free(world);
}

static void test_an_address_expires(void)
{
	struct world *world = world_new();
	char address[1024], bytes[64], *expires;

	world_create(world, "fn");
	address_of(world, NULL, address, sizeof(address));
	expires = strstr(address, "expires=") + 8;
	uint64_t until = 0, now = clock_real_ms() / 1000;
	CHECK(sscanf(expires, "%lu", &until) == 1);
	CHECK(until >= now + 590 && until <= now + 610);

	/* One that is as old is made with the key of the node. */
	json_t *secret = NULL;
	uint8_t key[32], mac[32];
	struct buf text;
	CHECK(record_get(&world->scope, KIND_SECRET, S("code"), &secret, NULL) == RECORD_FOUND);
	CHECK(hex_parse(json_get_str(secret, "Key"), key, sizeof(key)) == 0);
	digest_hmac_sha256((str){ (char *)key, 32 },
		S("123456789012\nus-east-1\nfn\n$LATEST\n1700000000\n"), mac);
	buf_init(&text, 1024);
	buf_put(&text,
		S("/_mayfly/code/123456789012/us-east-1/fn/$LATEST?expires=1700000000&token="));
	hex_put(&text, (str){ (char *)mac, 32 });
	CHECK(download(world, buf_cstr(&text), bytes) == CODE_EXPIRED);
	buf_done(&text);
	json_decref(secret);
	world_free(world);
}

/* Make all garbage old enough. */
static void age_garbage(struct world *world, const char *text)
{
	uint8_t digest[32];
	struct buf hex;
	char bytes[64];
	int len = snprintf(bytes, sizeof(bytes), "PK\3\4%s", text);
	struct batch batch = { .scope = &world->scope };
	json_t *mark = json_pack("{s:i,s:i}", "Schema", RECORD_SCHEMA, "Since", 1000);

	digest_sha256((str){ bytes, (size_t)len }, digest);
	buf_init(&hex, 64);
	hex_put(&hex, (str){ (char *)digest, 32 });
	batch_put(&batch, KIND_GARBAGE, buf_str(&hex), mark, DOCS_ANY);
	CHECK(batch_commit(&batch) == DOCS_DONE);
	json_decref(mark);
	buf_done(&hex);
}

static bool is_kept(struct world *world, const char *text)
{
	uint8_t digest[32];
	char bytes[64];
	scoped_fd file = -1;
	uint64_t size;
	int len = snprintf(bytes, sizeof(bytes), "PK\3\4%s", text);

	digest_sha256((str){ bytes, (size_t)len }, digest);
	return blobs_get(world->platform->blobs, digest, &file, &size) == BLOBS_DONE;
}

static unsigned garbage(struct world *world)
{
	json_auto_t *docs = json_array();

	CHECK(record_list_prefix(&world->scope, KIND_GARBAGE, S(""), S(""), 0, docs) == 0);
	return (unsigned)json_array_size(docs);
}

static void test_code_is_dropped_when_nobody_has_it_for_long(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	world_create(world, "same");
	CHECK(garbage(world) == 0);
	CHECK_OK(world_call(
		world, lambda_delete_function, "DeleteFunction", "{s:s}", "FunctionName", "fn"));
	CHECK(garbage(world) == 1);
	age_garbage(world, "one");
	lambda_code_sweep(world->platform);
	CHECK(is_kept(world, "one") && garbage(world) == 0); /* "same" has it */

	CHECK_OK(world_call(world, lambda_update_function_code, "UpdateFunctionCode", "{s:s,s:o}",
		"FunctionName", "same", "ZipFile", world_zip("two")));
	lambda_code_sweep(world->platform);
	CHECK(is_kept(world, "one")); /* an environment may still run it */
	age_garbage(world, "one");
	lambda_code_sweep(world->platform);
	CHECK(!is_kept(world, "one") && is_kept(world, "two") && garbage(world) == 0);
	CHECK(world->forgotten == 1);
	world_free(world);
}

static void test_published_versions_keep_their_code(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(world_call(
		world, lambda_publish_version, "PublishVersion", "{s:s}", "FunctionName", "fn"));
	CHECK_OK(world_call(world, lambda_update_function_code, "UpdateFunctionCode", "{s:s,s:o}",
		"FunctionName", "fn", "ZipFile", world_zip("two")));
	age_garbage(world, "one");
	lambda_code_sweep(world->platform);
	CHECK(is_kept(world, "one"));
	CHECK_OK(world_call(world, lambda_delete_function, "DeleteFunction", "{s:s,s:s}",
		"FunctionName", "fn", "Qualifier", "1"));
	age_garbage(world, "one");
	lambda_code_sweep(world->platform);
	CHECK(!is_kept(world, "one"));
	world_free(world);
}

static void test_a_dry_run_leaves_garbage_and_a_refused_zip_nothing(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(world_call(world, lambda_update_function_code, "UpdateFunctionCode",
		"{s:s,s:o,s:b}", "FunctionName", "fn", "ZipFile", world_zip("dry"), "DryRun", 1));
	CHECK(garbage(world) == 1 && is_kept(world, "dry"));
	age_garbage(world, "dry");
	lambda_code_sweep(world->platform);
	CHECK(!is_kept(world, "dry") && is_kept(world, "one"));
	CHECK(world_call(world, lambda_update_function_code, "UpdateFunctionCode", "{s:s,s:o}",
		      "FunctionName", "fn", "ZipFile", world_zip("LARGE"))
			.result == CALL_ERROR);
	CHECK(!is_kept(world, "LARGE") && garbage(world) == 0);
	world_free(world);
}

TESTS(TEST(test_an_address_gives_the_zip_of_its_version),
	TEST(test_an_address_that_was_changed_gives_nothing), TEST(test_an_address_expires),
	TEST(test_code_is_dropped_when_nobody_has_it_for_long),
	TEST(test_published_versions_keep_their_code),
	TEST(test_a_dry_run_leaves_garbage_and_a_refused_zip_nothing))
