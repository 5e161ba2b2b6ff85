/*
 * SnapStart. An environment of the version is started as any other, but with a file to save itself to
 * and a word that it should (MAYFLY_SNAPSHOT). Its bootstrap runs the initialisation and the
 * function's hooks, has the process saved (src/snapshot) and says how that went: then it is ended.
 * Nobody waits for it, and it serves nothing. What says "next" instead cannot save itself.
 */
#include "engine/snapshot.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/core.h"
#include "engine/directory.h"
#include "engine/environment.h"
#include "engine/pool.h"
#include "engine/runtimes.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define OFF "SnapStart is not in effect for this version: "

int engine_snapshot(struct engine *engine, const struct snapshot_ask *ask)
{
	struct pool *pool = directory_pool(engine, ask->version);
	if (!pool)
		return err_raise(-ENOMEM);

	struct snapshot_ask *kept = mem_one(struct snapshot_ask);
	int r = kept ? 0 : err_raise(-ENOMEM);
	if (r == 0) {
		*kept = *ask;
		r = environment_start_snapshot(pool, kept);
	}
	if (r < 0) {
		mem_free(kept);
		pool_reap(pool);
		return err_pass(r);
	}
	return 0;
}

/* Tell, once; the environment has no more to do. */
static void snapshot_tell(struct environment *env, const struct snapshot_result *result)
{
	struct snapshot_ask *ask = env->snapshot;

	assert(ask);
	env->snapshot = NULL;
	ask->done(ask->context, result);
	mem_free(ask);
}

void snapshot_on_said(struct environment *env, str trouble)
{
	char text[512];

	if (!trouble.len) {
		snapshot_tell(env, &(struct snapshot_result){ SNAPSHOT_SAVED, S(""), S("") });
		return;
	}
	int len = snprintf(text, sizeof(text), OFF STR_FMT, STR_ARG(trouble));
	snapshot_tell(env,
		&(struct snapshot_result){
			SNAPSHOT_UNSAFE, { text, MIN((size_t)len, sizeof(text) - 1) }, S("") });
}

void snapshot_on_next(struct environment *env)
{
	snapshot_on_said(env, S("its runtime cannot save its state."));
}

void snapshot_on_gone(struct environment *env)
{
	if (env->snapshot)
		snapshot_tell(env, &(struct snapshot_result){ SNAPSHOT_DROPPED, S(""), S("") });
}

void snapshot_on_failed(struct environment *env, const char *words, const char *code)
{
	snapshot_tell(
		env, &(struct snapshot_result){ SNAPSHOT_FAILED, str_of(words), str_of(code) });
}
