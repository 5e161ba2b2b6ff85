#pragma once
/* Versions whose initialised process is saved: see snapshot.c. For the loop thread only. */
#include "base/str.h"

struct engine;
struct environment;
struct function_version;

enum snapshot_kind {
	SNAPSHOT_SAVED,
	SNAPSHOT_UNSAFE,  /* initialised, but what is there cannot be saved: `reason` says why */
	SNAPSHOT_FAILED,  /* the initialisation failed */
	SNAPSHOT_DROPPED, /* the daemon stops, or the function is gone: ask again, or never */
};

struct snapshot_result {
	enum snapshot_kind kind;
	str reason; /* a sentence; views die when the callback returns */
	str code;   /* a StateReasonCode */
};

struct snapshot_ask {
	struct function_version *version; /* a reference is taken */
	int image;			  /* an empty file to write to; borrowed until `done` */
	void (*done)(void *context, const struct snapshot_result *result); /* once, from the loop */
	void *context;
};

/*
 * Run the initialisation of a version in an environment of its own and have its process saved. 0, or a
 * fault (then `done` is never called).
 */
[[nodiscard]] int engine_snapshot(struct engine *engine, const struct snapshot_ask *ask);

/* --- snapshot.c: what became of one that is to save itself --- */

/* Its bootstrap says that it is saved, or why it could not be. */
void snapshot_on_said(struct environment *env, str trouble);
/* It asks for an invocation instead: it does not know how. */
void snapshot_on_next(struct environment *env);
/* It goes, without having told anything. */
void snapshot_on_gone(struct environment *env);
/* Its initialisation failed: a sentence and a StateReasonCode. */
void snapshot_on_failed(struct environment *env, const char *words, const char *code);
