#pragma once
/* What an environment prints, and what is said about it in its log: see environment_log.c. */
#include "base/buf.h"
#include "engine/log_cutter.h"

struct environment;
struct timer;
struct watch;

/* One pipe of an environment, cut into lines. */
struct log_source {
	struct environment *env;
	bool is_of_extensions;
	int fd; /* -1: there is none */
	struct watch *watch;
	bool is_paused, is_resting; /* the store is full; after a flood */
	struct timer *rest;	    /* of a flood: the pipe is read again after it; or NULL */
	struct log_cutter cutter;
};

/* A pipe for the output of a sandbox, close-on-exec, its read end not blocking: 0 or a fault. */
[[nodiscard]] int environment_log_pipe(int *ret_read, int *ret_write);
/* There is nothing to read yet. */
void environment_log_init_sources(struct environment *env);
/* Watch the read end of the log pipe (taken, also on a fault). */
[[nodiscard]] int environment_log_open(struct environment *env, int fd);
/* Make and watch another pipe, for extensions: *ret_write is the caller's. */
[[nodiscard]] int environment_log_open_extensions(struct environment *env, int *ret_write);
/* Read what is in the pipes, unless the writer is full. */
void environment_log_drain(struct environment *env);
/* What has come is an event, newline or not. */
void environment_log_end_line(struct environment *env);
/* Both, however full the writer is: nobody will read the pipe later. */
void environment_log_finish(struct environment *env);
/* Stop watching, forget what is not whole. Twice is once. */
void environment_log_close(struct environment *env);
/* A line of the platform's own, into the log and the running invocation's tail. */
[[gnu::format(printf, 2, 3)]] void environment_log_putf(
	struct environment *env, const char *format, ...);
/* The same, as it is. */
void environment_log_put(struct environment *env, str line);
/* It was restored from its version's snapshot, in init_us. */
void environment_log_restored(struct environment *env);
/* How its initialisation went: see struct log_init. */
void environment_log_init(struct environment *env, const char *status, const char *error_type);
