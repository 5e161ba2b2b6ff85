/*
 *	PublishVersion ── commit: version Pending, a note ──► load (worker) ──► engine: an environment runs
 *	the init and saves itself (loop) ──► finish (worker): version Active with its image, or without one
 *	and why, or Failed
 *
 * The note (kind lambda.snapshot) is written with the version and gets the image's name at the end;
 * a start goes on with notes that have none. Images are files in `snapshots`, under random names: a
 * file that no note names, or whose note's version is gone, is removed by the next sweep.
 *
 * What cannot be saved safely (a process with several threads, open connections…) is no failure: the
 * version works without a snapshot, OptimizationStatus stays Off and StateReason says why.
 */
#include "services/lambda/snapshot.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/platform.h"
#include "engine/snapshot.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/loop.h"
#include "os/random.h"
#include "services/lambda/load.h"
#include "services/lambda/names.h"
#include "services/lambda/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SNAPSHOT_ARENA_MAX = 1024 * 1024,
	SNAPSHOT_TRIES_MAX = 16,
	NAME_SIZE = 33,
	OLD_SECONDS = 3600
};

#define FOLDER "snapshots"

struct snapshot_job {
	struct message message;
	struct work work;
	struct platform *platform;
	str account, region, name, id; /* views into `text` */
	uint64_t number;
	char version[16];
	char image[NAME_SIZE];
	struct function_target *target;
	int image_fd;
	struct snapshot_result result;
	char reason[512], code[64];
	char text[];
};

bool lambda_snapshot_is_wanted(const json_t *config)
{
	return str_eq(json_get_str(json_object_get(config, "SnapStart"), "ApplyOn"),
		S("PublishedVersions"));
}

void lambda_snapshot_note(
	struct batch *batch, const struct function_record *function, uint64_t number)
{
	json_auto_t *note = json_pack("{s:i}", "Schema", RECORD_SCHEMA);

	if (!note)
		batch->err = err_raise(-ENOMEM);
	else
		batch_put(
			batch, KIND_SNAPSHOT, record_version_key(function, number), note, DOCS_ANY);
}

/* --- the end: what became of it --- */

static void snapshot_settle(struct snapshot_job *job, struct tree *config)
{
	const struct snapshot_result *result = &job->result;
	struct tree snap = tree_object(config, "SnapStart");

	tree_put_text(&snap, "ApplyOn", "PublishedVersions");
	tree_put_text(&snap, "OptimizationStatus", result->kind == SNAPSHOT_SAVED ? "On" : "Off");
	tree_join(config, &snap);
	tree_put(config, "RevisionId", record_revision());
	tree_put(config, "Build", record_revision()); /* its environments begin otherwise now */
	tree_drop(config, "StateReason");
	tree_drop(config, "StateReasonCode");
	tree_put_text(config, "LastUpdateStatus", "Successful");
	tree_put_text(config, "State", result->kind == SNAPSHOT_FAILED ? "Failed" : "Active");
	if (result->kind == SNAPSHOT_SAVED)
		tree_put_text(config, "Snapshot", job->image);
	else
		tree_put_text(config, "StateReason", job->reason);
	if (result->kind == SNAPSHOT_FAILED)
		tree_put_text(config, "StateReasonCode", job->code);
}

static int snapshot_finish_once(struct snapshot_job *job, const struct lambda_scope *scope)
{
	scoped_function function = {};
	json_auto_t *doc = NULL, *note = NULL;
	struct batch batch = { .scope = scope };
	uint64_t revision;

	int r = function_record_get(scope, job->name, &function);
	if (r == RECORD_FOUND)
		r = str_eq(function.id, job->id)
			? version_record_get(&function, job->number, &doc, &revision)
			: RECORD_ABSENT;
	if (r != RECORD_FOUND)
		return err_pass(r); /* deleted meanwhile */
	struct tree config = { .at = json_object_get(doc, "Config") };
	snapshot_settle(job, &config);
	note = json_pack("{s:i,s:s}", "Schema", RECORD_SCHEMA, "Image", job->image);
	if (config.err || !note)
		return config.err ? err_pass(config.err) : err_raise(-ENOMEM);
	str key = record_version_key(&function, job->number);
	batch_put(&batch, KIND_VERSION, key, doc, revision);
	if (job->result.kind == SNAPSHOT_SAVED)
		batch_put(&batch, KIND_SNAPSHOT, key, note, DOCS_ANY);
	else
		batch_delete(&batch, KIND_SNAPSHOT, key, DOCS_ANY);
	return err_pass(lambda_commit(&batch, job->name));
}

static void image_name(const struct snapshot_job *job, const char *suffix, char *to, size_t size)
{
	(void)snprintf(to, size, FOLDER "/%s%s", job->image, suffix);
}

/* On the disk, and under its name. */
static int image_keep(struct snapshot_job *job)
{
	char before[64], after[64];

	image_name(job, ".new", before, sizeof(before));
	image_name(job, "", after, sizeof(after));
	if (fsync(job->image_fd) < 0 || rename(before, after) < 0)
		return err_raise(-errno);
	return 0;
}

static void image_remove(const struct snapshot_job *job)
{
	char path[64];

	image_name(job, ".new", path, sizeof(path));
	(void)unlink(path);
	image_name(job, "", path, sizeof(path));
	(void)unlink(path);
}

static void snapshot_fail(struct snapshot_job *job, const char *reason)
{
	job->result.kind = SNAPSHOT_UNSAFE;
	(void)snprintf(job->reason, sizeof(job->reason), "%s", reason);
}

static void snapshot_finish(struct work *work)
{
	struct snapshot_job *job = list_entry(work, struct snapshot_job, work);
	struct arena arena;
	struct lambda_scope scope = { job->platform, &arena, job->account, job->region };
	int r = job->result.kind == SNAPSHOT_SAVED ? image_keep(job) : 0;

	if (job->result.kind == SNAPSHOT_DROPPED) { /* the note stays: the next start goes on */
		image_remove(job);
		return;
	}
	if (r < 0) {
		err_log(r, "keep a snapshot");
		snapshot_fail(job,
			"SnapStart is not in effect: the snapshot could not be written to disk.");
	}
	arena_init(&arena, SNAPSHOT_ARENA_MAX);
	r = LAMBDA_AGAIN;
	for (int i = 0; i < SNAPSHOT_TRIES_MAX && r == LAMBDA_AGAIN; i++)
		r = snapshot_finish_once(job, &scope);
	arena_done(&arena);
	if (r < 0)
		err_log(r, "finish the snapshot of a version");
	if (r != 0 || job->result.kind != SNAPSHOT_SAVED)
		image_remove(job);
}

static void job_free(struct snapshot_job *job)
{
	fd_close(&job->image_fd);
	function_target_free(job->target);
	mem_free(job);
}

static void snapshot_finished(struct work *work)
{
	job_free(list_entry(work, struct snapshot_job, work));
}

static void job_work(
	struct snapshot_job *job, void (*run)(struct work *), void (*done)(struct work *))
{
	job->work.run = run;
	job->work.done = done;
	int r = loop_work(job->platform->loop, &job->work);
	if (r == 0)
		return;
	err_log(r, "make a snapshot"); /* the note stays: the next start goes on */
	job_free(job);
}

/* --- the middle: the engine --- */

static void snapshot_on_made(void *context, const struct snapshot_result *result)
{
	struct snapshot_job *job = context;

	job->result.kind = result->kind;
	(void)snprintf(job->reason, sizeof(job->reason), STR_FMT, STR_ARG(result->reason));
	(void)snprintf(job->code, sizeof(job->code), STR_FMT, STR_ARG(result->code));
	job_work(job, snapshot_finish, snapshot_finished);
}

static void snapshot_loaded(struct work *work)
{
	struct snapshot_job *job = list_entry(work, struct snapshot_job, work);

	if (!job->target || job->image_fd < 0) {
		job_free(job);
		return;
	}
	int r = engine_snapshot(job->platform->engine,
		&(struct snapshot_ask){
			job->target->version, job->image_fd, snapshot_on_made, job });
	if (r == 0)
		return;
	err_log(r, "make a snapshot");
	snapshot_fail(job,
		"SnapStart is not in effect: the environment for the snapshot could not be "
		"started.");
	job_work(job, snapshot_finish, snapshot_finished);
}

/* --- the beginning --- */

static int image_create(struct snapshot_job *job)
{
	uint8_t random[16];
	char path[64];

	random_id_bytes(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(job->image + 2 * i, 3, "%02x", random[i]);
	if (mkdir(FOLDER, 0700) < 0 && errno != EEXIST)
		return err_raise(-errno);
	image_name(job, ".new", path, sizeof(path));
	job->image_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	return job->image_fd < 0 ? err_raise(-errno) : 0;
}

static void snapshot_load(struct work *work)
{
	struct snapshot_job *job = list_entry(work, struct snapshot_job, work);

	int r = lambda_load_target(job->platform, job->account, job->region, job->name,
		str_of(job->version), &job->target);
	if (r == 0)
		r = image_create(job);
	if (r < 0)
		err_log(r, "begin the snapshot of a version");
}

static void snapshot_begin(struct message *message)
{
	job_work(list_entry(message, struct snapshot_job, message), snapshot_load, snapshot_loaded);
}

static str job_copy(char **to, str from)
{
	str copy = { *to, from.len };

	if (from.len)
		memcpy(*to, from.at, from.len);
	*to += from.len;
	return copy;
}

void lambda_snapshot_later(const struct function_record *function, uint64_t number)
{
	const struct lambda_scope *scope = function->scope;
	size_t len = scope->account.len + scope->region.len + function->name.len + function->id.len;

	if (!scope->platform->loop)
		return; /* no loop, no later */
	struct snapshot_job *job = mem_new(1, sizeof(*job) + len);
	if (!job) {
		err_log(err_raise(-ENOMEM), "make a snapshot");
		return;
	}
	char *text = job->text;
	job->platform = scope->platform;
	job->account = job_copy(&text, scope->account);
	job->region = job_copy(&text, scope->region);
	job->name = job_copy(&text, function->name);
	job->id = job_copy(&text, function->id);
	job->number = number;
	job->image_fd = -1;
	(void)snprintf(job->version, sizeof(job->version), "%" PRIu64, number);
	job->message.run = snapshot_begin;
	loop_post(scope->platform->loop, &job->message);
}

/* --- all notes --- */

/* A note's key in its parts: account/region/name/id/number. */
static bool note_parse(
	str key, struct lambda_scope *scope, struct function_record *function, uint64_t *ret_number)
{
	str rest = key;

	function->scope = scope;
	return str_cut(&rest, '/', &scope->account) && str_cut(&rest, '/', &scope->region) &&
		str_cut(&rest, '/', &function->name) && str_cut(&rest, '/', &function->id) &&
		str_to_u64(rest, RECORD_VERSION_MAX, ret_number) == 0;
}

/* Notes as a JSON object {key: image or ""}: a listing may hold what a write needs. */
static int notes_each(void *context, str key, str value, [[maybe_unused]] uint64_t revision)
{
	struct tree *notes = context;
	json_auto_t *note = json_loadb(value.at, value.len, 0, NULL);
	char name[DOCS_KEY_MAX + 1];

	if (note && str_to_array(key, name, sizeof(name)) == 0)
		tree_put_str(notes, name, json_get_str(note, "Image"));
	return notes->err;
}

static int notes_read(struct platform *platform, json_t **ret_notes)
{
	json_auto_t *made = json_object();
	struct tree notes = { .at = made };

	if (!made)
		return err_raise(-ENOMEM);
	int r = docs_list(platform->docs, KIND_SNAPSHOT, S(""), S(""), 0, notes_each, &notes);
	if (r == 0)
		r = notes.err;
	if (r < 0)
		return err_pass(r);
	*ret_notes = json_incref(made);
	return 0;
}

int lambda_snapshot_resume(struct platform *platform)
{
	json_auto_t *notes = NULL;
	const char *key;
	json_t *image;

	int r = notes_read(platform, &notes);
	if (r < 0)
		return err_pass(r);
	json_object_foreach(notes, key, image)
	{
		struct lambda_scope scope = { .platform = platform };
		struct function_record function = {};
		uint64_t number;
		if (json_view(image).len == 0 &&
			note_parse(str_of(key), &scope, &function, &number))
			lambda_snapshot_later(&function, number);
	}
	return 0;
}

/* Is the version of a note still there? */
static bool note_is_current(struct platform *platform, str key)
{
	struct arena arena;
	struct lambda_scope scope = { .platform = platform, .arena = &arena };
	struct function_record function = {};
	json_t *doc = NULL;
	uint64_t number;

	if (!note_parse(key, &scope, &function, &number))
		return false;
	arena_init(&arena, SNAPSHOT_ARENA_MAX);
	int r = version_record_get(&function, number, &doc, NULL);
	json_decref(doc);
	arena_done(&arena);
	return r != RECORD_ABSENT; /* on a fault: as it is */
}

static void note_remove(struct platform *platform, str key)
{
	struct docs_write write = { KIND_SNAPSHOT, key, {}, DOCS_ANY };

	int r = docs_write(platform->docs, &write, 1, NULL);
	if (r < 0)
		err_log(r, "forget a snapshot");
}

static bool has_image(json_t *notes, const char *name)
{
	const char *key;
	json_t *image;

	json_object_foreach(notes, key, image)
	{
		if (str_eq(json_view(image), str_of(name)))
			return true;
	}
	return false;
}

/* A young one may be on its way to its note. */
static bool is_old(int folder, const char *name)
{
	struct stat st;

	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		clock_real_ms() / 1000 > (uint64_t)st.st_mtime + OLD_SECONDS;
}

void lambda_snapshot_sweep(struct platform *platform)
{
	json_auto_t *notes = NULL;
	const char *key;
	json_t *image;
	void *next;

	DIR *folder = opendir(FOLDER);
	if (!folder)
		return; /* there has never been one */
	int r = notes_read(platform, &notes);
	json_object_foreach_safe(notes, next, key, image)
	{
		if (note_is_current(platform, str_of(key)))
			continue;
		note_remove(platform, str_of(key));
		(void)json_object_del(notes, key);
	}
	struct dirent *entry;
	while (r == 0 && (entry = readdir(folder)))
		if (entry->d_name[0] != '.' && !has_image(notes, entry->d_name) &&
			is_old(dirfd(folder), entry->d_name))
			(void)unlinkat(dirfd(folder), entry->d_name, 0);
	(void)closedir(folder);
	if (r < 0)
		err_log(r, "sweep snapshots");
}
