/*
 * The engine's functions that handlers call are here: they count, and unpack by looking at the first bytes. The store is
 * the real one, because what is tested is how the two fit.
 */
#include "services/lambda/test_world.h"

#include "base/mem.h"
#include "base/test.h"
#include "engine/engine.h"
#include "engine/platform.h"
#include "engine/snapshot.h"
#include "services/lambda/operations.h"
#include "services/lambda/settle.h"
#include "store/blobs.h"
#include "store/docs.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct platform world_platform;
static struct world *the_world;
static struct call the_call;
static pthread_mutex_t told = PTHREAD_MUTEX_INITIALIZER; /* what the engine was told */

/* --- the engine --- */

int platform_unpack(
	struct platform *platform, const struct unpack_ask *ask, struct unpacked *ret_unpacked)
{
	char head[16] = "";

	(void)platform;
	CHECK(ask->bytes_max == 262144000);
	the_world->unpacks++;
	if (ask->meanwhile)
		ask->meanwhile(ask->context);
	*ret_unpacked = (struct unpacked){ .answer = UNPACK_DONE };
	ssize_t len = pread(ask->zip_fd, head, sizeof(head) - 1, 0);
	ret_unpacked->has_extensions = strstr(head, "EXT") != NULL;
	ret_unpacked->bytes = strstr(head, "BIG") ? WORLD_BIG : 0;
	if (!the_world->is_unpacking || len < 4 || memcmp(head, "PK", 2) != 0)
		ret_unpacked->answer = UNPACK_NOT_A_ZIP;
	else
		ret_unpacked->answer = strstr(head, "LARGE") ? UNPACK_TOO_LARGE : UNPACK_DONE;
	return 0;
}

void platform_function_changed(struct platform *platform, str account, str region, str name)
{
	(void)platform;
	(void)account;
	(void)region;
	(void)name;
	the_world->changes++;
}

int engine_snapshot(struct engine *engine, const struct snapshot_ask *ask)
{
	(void)engine;
	(void)ask;
	return -ENOSYS;
}

void platform_expect_runtime(struct platform *platform, str runtime)
{
	(void)platform;
	(void)runtime;
}

void platform_set_aside(
	struct platform *platform, str account, str region, uint32_t amount, uint64_t revision)
{
	(void)platform;
	(void)account;
	(void)region;
	pthread_mutex_lock(&told);
	if (revision >= the_world->set_aside_revision) {
		the_world->set_aside = amount;
		the_world->set_aside_revision = revision;
	}
	pthread_mutex_unlock(&told);
}

void platform_provision(struct platform *platform, str account, str region, str name,
	const struct provision_plan *plan)
{
	struct buf *out = &the_world->provisioned;

	(void)platform;
	CHECK_STR(account, S("123456789012"));
	(void)region;
	pthread_mutex_lock(&told);
	buf_clear(out);
	buf_put(out, name);
	for (size_t i = 0; i < plan->count; i++) {
		const struct provision_item *item = &plan->items[i];
		buf_putf(out, " " STR_FMT "=" STR_FMT "*%u", STR_ARG(item->qualifier),
			STR_ARG(item->target->version->version), item->requested);
		if (item->target->other)
			buf_putf(out, "+" STR_FMT "@%u", STR_ARG(item->target->other->version),
				item->target->other_per_million);
	}
	pthread_mutex_unlock(&told);
}

bool platform_provision_figures(struct platform *platform, str account, str region, str name,
	str qualifier, struct provision_figures *ret_figures)
{
	(void)platform;
	(void)account;
	(void)region;
	(void)name;
	(void)qualifier;
	if (!the_world->has_figures)
		return false;
	*ret_figures = the_world->figures;
	return true;
}

void platform_forget_code(struct platform *platform, const uint8_t digest[static 32])
{
	(void)platform;
	(void)digest;
	the_world->forgotten++;
}

enum runtime_match platform_runtime(
	const struct platform *platform, str name, struct installed_runtime *ret_runtime)
{
	(void)platform;
	if (str_eq(name, S("python3.11")) || str_eq(name, S("python3.12"))) {
		*ret_runtime = (struct installed_runtime){
			.pack = S("python"), .version = S("3.11.2"), .index = 1
		};
		return str_ends(name, S("11")) ? RUNTIME_EXACT : RUNTIME_NEAREST;
	}
	return RUNTIME_NONE;
}

/* --- the world --- */

struct world *world_new(void)
{
	struct world *world = mem_one(struct world);

	strncpy(world->folder, "/tmp/lambda-test-XXXXXX", sizeof(world->folder) - 1);
	if (!mkdtemp(world->folder) || chdir(world->folder) < 0)
		abort();
	world_platform = (struct platform){ .account = S("123456789012"),
		.account_concurrency = 1000 };
	if (docs_open("docs.db", &world_platform.docs) < 0 ||
		blobs_open("zips", &world_platform.blobs) < 0)
		abort();
	buf_init(&world->provisioned, 65536);
	arena_init(&world->arena, 64 * 1024 * 1024);
	world->platform = &world_platform;
	world->is_unpacking = true;
	world->scope = (struct lambda_scope){
		.platform = world->platform,
		.arena = &world->arena,
		.account = S("123456789012"),
		.region = S("us-east-1"),
	};
	the_world = world;
	return world;
}

static void call_forget(void)
{
	json_decref(the_call.in);
	json_decref(the_call.out);
	json_decref(the_call.error_extra);
	if (the_call.arena)
		arena_done(the_call.arena);
	the_call = (struct call){};
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

void world_free(struct world *world)
{
	call_forget();
	docs_close(world_platform.docs);
	blobs_close(world_platform.blobs);
	arena_done(&world->arena);
	buf_done(&world->provisioned);
	CHECK(chdir("/") == 0);
	CHECK(nftw(world->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
	mem_free(world);
	the_world = NULL;
}

static struct answer world_run(struct world *world, int blob_fd, call_fn *run,
	const char *operation, const char *format, va_list args)
{
	static struct arena arena;
	json_error_t error;

	call_forget();
	arena_init(&arena, 16 * 1024 * 1024);
	json_t *in = json_vpack_ex(&error, 0, format, args);
	if (!in) {
		(void)fprintf(stderr, "%s: %s\n", format, error.text);
		abort();
	}
	the_call = (struct call){
		.service = &aws_service_lambda,
		.operation = aws_operation_find(&aws_service_lambda, str_of(operation)),
		.in = in,
		.out = json_object(),
		.account = world->scope.account,
		.region = world->scope.region,
		.host = world->host.len ? world->host : S("localhost:4566"),
		.blob_fd = blob_fd,
		.arena = &arena,
		.platform = world->platform,
	};
	int r = run(&the_call);
	return (struct answer){
		.result = r,
		.out = the_call.out,
		.status = the_call.error_status,
		.code = the_call.error_code,
		.message = the_call.error_message,
		.type = the_call.error_type,
		.success = the_call.status,
	};
}

struct answer world_call(
	struct world *world, call_fn *run, const char *operation, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	struct answer answer = world_run(world, -1, run, operation, format, args);
	va_end(args);
	return answer;
}

struct answer world_call_with_blob(struct world *world, int blob_fd, call_fn *run,
	const char *operation, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	struct answer answer = world_run(world, blob_fd, run, operation, format, args);
	va_end(args);
	return answer;
}

json_t *world_zip(const char *text)
{
	char bytes[64];
	int len = snprintf(bytes, sizeof(bytes), "PK\3\4%s", text);

	return json_stringn(bytes, (size_t)len);
}

void world_settle(struct world *world, const char *name)
{
	CHECK(lambda_settle(&world->scope, str_of(name), SETTLE_NEXT) == 0);
}

void world_create(struct world *world, const char *name)
{
	struct answer answer = world_call(world, lambda_create_function, "CreateFunction",
		"{s:s,s:s,s:s,s:s,s:{s:o}}", "FunctionName", name, "Runtime", "python3.12",
		"Handler", "index.handler", "Role", "arn:aws:iam::123456789012:role/any", "Code",
		"ZipFile", world_zip("one"));

	CHECK_OK(answer);
	world_settle(world, name);
}

/* --- looking at answers --- */

json_t *answer_at(const struct answer *answer, const char *path)
{
	json_t *at = answer->out;
	str rest = str_of(path), name;
	char key[256];

	while (at && str_next(&rest, '.', &name)) {
		CHECK(str_to_array(name, key, sizeof(key)) == 0);
		if (json_is_array(at))
			at = json_array_get(at, strtoul(key, NULL, 10));
		else
			at = json_object_get(at, key);
	}
	return at;
}

str answer_text(const struct answer *answer, const char *path)
{
	return json_view(answer_at(answer, path));
}

static bool answer_is_other(struct answer answer)
{
	(void)fprintf(stderr, "  answered %d: %d " STR_FMT ": " STR_FMT "\n", answer.result,
		answer.status, STR_ARG(answer.code), STR_ARG(answer.message));
	return false;
}

bool answer_is_ok(struct answer answer)
{
	return answer.result == 0 || answer_is_other(answer);
}

bool answer_is_error(struct answer answer, int status, const char *code, const char *message)
{
	bool is_it = answer.result == CALL_ERROR && answer.status == status &&
		str_eq(answer.code, str_of(code)) && str_eq(answer.message, str_of(message));

	return is_it || answer_is_other(answer);
}
