/*
 * Taking in: the ZIP's digest is its name. It is unpacked first, by the jailed process, and kept when that went
 * well, so what is no ZIP leaves nothing.
 *
 * Who uses a ZIP is told by documents of the kind lambda.code, one per version of a function or layer and one per layer that a
 * version of a function has, written and deleted with them: a layer that was deleted lives on in the functions that use it. When a version leaves, the ZIP becomes garbage *if* nobody else has it; that is looked at later, when the time
 * has passed in which an environment of the version could still be running (AWS's 15 minutes, twice).
 *
 * One race is left: a call takes in a ZIP that is there already while another call drops it as garbage. Documents
 * cannot hold the two apart (the file is not in their transaction), so a gate does: taking in holds it shared from the
 * first look until the commit, dropping needs it alone and does not wait for it.
 */
#include "services/lambda/code.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/platform.h"
#include "model/limits.h"
#include "os/clock.h"
#include "os/fd.h"
#include "services/lambda/snapshot.h"
#include "services/lambda/tree.h"
#include "store/blobs.h"
#include "wire/digest.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CODE_SWEEP_MS = 60'000, /* between two sweeps that calls cause */
	CODE_GARBAGE_MS = 2 * LIMIT_TIMEOUT_S_MAX * 1000,
	CODE_SWEEP_MAX = 16,
	CODE_ARENA_MAX = 256 * 1024
};

/* A ZIP is left in two writes. */
static_assert(LAMBDA_CODE_WRITES == 2 * (1 + LIMIT_LAYERS));

static pthread_rwlock_t code_gate = PTHREAD_RWLOCK_INITIALIZER;

/* --- taking in --- */

static int code_refuse_unavailable(struct call *call, const json_t *code)
{
	if (json_object_get(code, "S3Bucket") || json_object_get(code, "S3Key") ||
		json_object_get(code, "S3ObjectVersion") ||
		json_object_get(code, "S3ObjectStorageMode"))
		return lambda_refuse(call, INVALID,
			"Code from S3 (S3Bucket, S3Key) is not available in mayfly yet. Send the ZIP itself "
			"as ZipFile.");
	if (json_object_get(code, "ImageUri"))
		return lambda_refuse(call, INVALID,
			"Container images (ImageUri) are not available in mayfly yet. Send a ZIP as ZipFile.");
	if (json_get_str(code, "SourceKMSKeyArn").len)
		return lambda_refuse(
			call, INVALID, "SourceKMSKeyArn is not available in mayfly yet.");
	return 0;
}

/* The ZIP as a file: what the front has spooled, or the bytes of the tree. The caller's to close. */
static int code_open_given(struct call *call, const json_t *code, int *ret_zip)
{
	str bytes = json_get_str(code, "ZipFile");

	if (call->blob_fd > 0) {
		int zip = fcntl(call->blob_fd, F_DUPFD_CLOEXEC, 0);
		if (zip < 0)
			return err_raise(-errno);
		*ret_zip = zip;
		return 0;
	}
	if (!json_object_get(code, "ZipFile"))
		return lambda_refuse(call, INVALID, "Please provide a source for function code.");
	return err_pass(fd_sealed("zip", bytes, ret_zip));
}

/* An archive without entries is its end record alone. */
static bool code_is_empty(int zip, uint64_t size)
{
	char magic[4];

	if (size == 0)
		return true;
	return pread(zip, magic, sizeof(magic), 0) == sizeof(magic) &&
		memcmp(magic, "PK\5\6", 4) == 0;
}

static int code_check_size(struct call *call, int zip)
{
	struct stat st;

	if (fstat(zip, &st) < 0)
		return err_raise(-errno);
	if (st.st_size > LIMIT_ZIP_BYTES) {
		call->error_status = 413;
		return call_error(call, "RequestEntityTooLargeException",
			"Zipped size must be smaller than %d bytes", LIMIT_ZIP_BYTES);
	}
	if (code_is_empty(zip, (uint64_t)st.st_size))
		return lambda_refuse(call, INVALID, "Uploaded file must be a non-empty zip");
	return 0;
}

/* The draft on its way to the disk. Whether it got there says blobs_keep(). */
static void code_sync(void *draft)
{
	(void)!blobs_sync(draft);
}

static int code_unpack(struct call *call, struct blob_draft *draft, struct lambda_code *code)
{
	struct unpacked unpacked;

	int r = platform_unpack(call->platform,
		&(struct unpack_ask){
			.digest = code->digest,
			.zip_fd = draft->fd,
			.bytes_max = LIMIT_UNZIPPED_BYTES,
			.meanwhile = code_sync,
			.context = draft,
		},
		&unpacked);
	if (r < 0)
		return err_pass(r);
	code->unpacked = unpacked.bytes;
	code->has_extensions = unpacked.has_extensions;
	switch (unpacked.answer) {
	case UNPACK_DONE:
		return 0;
	case UNPACK_TOO_LARGE:
		return lambda_refuse(call, INVALID, "Unzipped size must be smaller than %d bytes",
			LIMIT_UNZIPPED_BYTES);
	default:
		return lambda_refuse(call, INVALID,
			"Could not unzip uploaded file. Please check your file, then try to upload again.");
	}
}

static str code_base64(struct arena *arena, const uint8_t digest[static 32])
{
	struct buf text;

	buf_init(&text, 64);
	base64_put(&text, (str){ (const char *)digest, 32 });
	str made = text.err ? (str){} : arena_str(arena, buf_str(&text));
	buf_done(&text);
	return made;
}

/* What is no ZIP never gets a name: it is kept after it was unpacked. */
static int code_keep(struct call *call, int zip, struct lambda_code *code)
{
	struct blob_draft draft;

	int r = blobs_draft(call->platform->blobs, zip, &draft);
	if (r < 0)
		return err_pass(r);
	memcpy(code->digest, draft.digest, sizeof(code->digest));
	code->size = draft.size;
	r = code_unpack(call, &draft, code);
	if (r == 0)
		r = blobs_keep(&draft);
	if (r == 0) {
		code->sha256 = code_base64(call->arena, code->digest);
		r = code->sha256.at ? 0 : err_raise(-ENOMEM);
	}
	blobs_draft_done(&draft);
	return err_pass(r);
}

int lambda_code_take(struct call *call, const json_t *code, struct lambda_code *ret_code)
{
	scoped_fd zip = -1;

	int r = code_refuse_unavailable(call, code);
	if (r == 0)
		r = code_open_given(call, code, &zip);
	if (r == 0)
		r = code_check_size(call, zip);
	if (r)
		return err_pass(r);

	struct lambda_code taken = { .platform = call->platform };
	if (pthread_rwlock_rdlock(&code_gate) != 0)
		return err_raise(-EDEADLK);
	r = code_keep(call, zip, &taken);
	if (r) {
		(void)pthread_rwlock_unlock(&code_gate);
		return err_pass(r);
	}
	*ret_code = taken;
	return 0;
}

/* --- who uses what --- */

static str code_hex(struct arena *arena, const uint8_t digest[static 32])
{
	struct buf text;

	buf_init(&text, 64);
	hex_put(&text, (str){ (const char *)digest, 32 });
	str made = text.err ? (str){} : arena_str(arena, buf_str(&text));
	buf_done(&text);
	return made;
}

/* Note that this ZIP may have no user. */
static void code_put_garbage(struct batch *batch, str hex)
{
	json_auto_t *mark = json_pack(
		"{s:i,s:I}", "Schema", RECORD_SCHEMA, "Since", (json_int_t)clock_real_ms());

	batch_put(batch, KIND_GARBAGE, hex, mark, DOCS_ANY);
}

void lambda_code_done(struct lambda_code *code)
{
	if (!code->platform)
		return;
	if (!code->is_used) {
		struct arena arena;
		arena_init(&arena, CODE_ARENA_MAX);
		struct lambda_scope scope = { .platform = code->platform, .arena = &arena };
		struct batch batch = { .scope = &scope };
		code_put_garbage(&batch, code_hex(&arena, code->digest));
		int r = batch_commit(&batch);
		if (r < 0)
			err_log(r, "note that a ZIP has no user");
		arena_done(&arena);
	}
	(void)pthread_rwlock_unlock(&code_gate);
	*code = (struct lambda_code){};
}

void lambda_code_put(struct tree *config, const struct lambda_code *code)
{
	tree_put_str(config, "CodeSha256", code->sha256);
	tree_put_int(config, "CodeSize", (int64_t)code->size);
	tree_put_int(config, "Unpacked", (int64_t)code->unpacked);
	tree_put_bool(config, "HasExtensions", code->has_extensions);
}

void lambda_code_use_by(struct batch *batch, const json_t *zip, str user)
{
	json_auto_t *mark = json_pack("{s:i}", "Schema", RECORD_SCHEMA);

	batch_put(batch, KIND_CODE, record_code_key(batch->scope, zip, user), mark, DOCS_ANY);
}

void lambda_code_leave_by(struct batch *batch, const json_t *zip, str user)
{
	str key = record_code_key(batch->scope, zip, user);

	batch_delete(batch, KIND_CODE, key, DOCS_ANY);
	code_put_garbage(batch, str_slice(key, 0, 64));
}

/* Its code and its layers, by one of the two above. */
static void code_each(struct batch *batch, const struct function_record *function,
	const json_t *config, str version, void (*each)(struct batch *, const json_t *, str))
{
	str user = record_child_key(function, version);
	str layers_user = arena_strf(batch->scope->arena, STR_FMT "/layers", STR_ARG(user));
	size_t i;
	json_t *layer;

	if (!user.at || !layers_user.at) {
		batch->err = err_raise(-ENOMEM);
		return;
	}
	each(batch, config, user);
	json_array_foreach(json_object_get(config, "LayerCode"), i, layer)
		each(batch, layer, layers_user);
}

void lambda_code_use(struct batch *batch, const struct function_record *function,
	const json_t *config, str version)
{
	code_each(batch, function, config, version, lambda_code_use_by);
}

void lambda_code_leave(struct batch *batch, const struct function_record *function,
	const json_t *config, str version)
{
	code_each(batch, function, config, version, lambda_code_leave_by);
}

/* --- dropping --- */

struct code_garbage {
	str hex[CODE_SWEEP_MAX];
	size_t count;
	struct arena *arena;
	uint64_t now_ms;
};

static int code_garbage_each(void *context, str key, str value, uint64_t revision)
{
	struct code_garbage *garbage = context;
	json_auto_t *mark = json_loadb(value.at, value.len, 0, NULL);
	uint64_t since = (uint64_t)json_integer_value(json_object_get(mark, "Since"));

	(void)revision;
	if (since + CODE_GARBAGE_MS > garbage->now_ms)
		return 0;
	str hex = arena_str(garbage->arena, key);
	if (hex.at)
		garbage->hex[garbage->count++] = hex;
	return garbage->count == CODE_SWEEP_MAX;
}

static int code_count_each(void *context, str key, str value, uint64_t revision)
{
	size_t *count = context;

	(void)key;
	(void)value;
	(void)revision;
	++*count;
	return 1;
}

/*
 * The gate is held alone. The mark goes last: after a crash in between all of it is done once more, and a version that
 * has come to use the ZIP by then is seen.
 */
static int code_drop_one(const struct lambda_scope *scope, str hex)
{
	struct batch batch = { .scope = scope };
	uint8_t digest[32];
	size_t users = 0;
	str prefix = arena_strf(scope->arena, STR_FMT "/", STR_ARG(hex));

	if (!prefix.at)
		return err_raise(-ENOMEM);
	if (hex_parse(hex, digest, sizeof(digest)) < 0)
		return err_raise(-EBADMSG);
	int r = docs_list(
		scope->platform->docs, KIND_CODE, prefix, S(""), 1, code_count_each, &users);
	if (r == 0 && users == 0) {
		log_info("code_dropped", LOG_STR("sha256", hex));
		platform_forget_code(scope->platform, digest);
		r = blobs_drop(scope->platform->blobs, digest);
	}
	if (r < 0)
		return err_pass(r);
	batch_delete(&batch, KIND_GARBAGE, hex, DOCS_ANY);
	return err_pass(batch_commit(&batch));
}

void lambda_code_sweep_sometimes(struct platform *platform)
{
	static _Atomic uint64_t last_ms;
	uint64_t now_ms = clock_mono_ms(), last = atomic_load(&last_ms);

	if (now_ms - last < CODE_SWEEP_MS ||
		!atomic_compare_exchange_strong(&last_ms, &last, now_ms))
		return;
	lambda_code_sweep(platform);
	lambda_snapshot_sweep(platform);
}

void lambda_code_sweep(struct platform *platform)
{
	struct arena arena;
	struct lambda_scope scope = { .platform = platform, .arena = &arena };
	struct code_garbage garbage = { .arena = &arena, .now_ms = clock_real_ms() };

	if (pthread_rwlock_trywrlock(&code_gate) != 0)
		return; /* somebody takes in a ZIP: another time */
	arena_init(&arena, CODE_ARENA_MAX);
	int r = docs_list(
		platform->docs, KIND_GARBAGE, S(""), S(""), 0, code_garbage_each, &garbage);
	for (size_t i = 0; r == 0 && i < garbage.count; i++)
		r = code_drop_one(&scope, garbage.hex[i]);
	if (r < 0)
		err_log(r, "drop code that nobody uses");
	(void)pthread_rwlock_unlock(&code_gate);
	arena_done(&arena);
}
