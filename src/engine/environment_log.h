#pragma once
/* What an environment prints, and what is said about it in its log: see environment_log.c. */
#include "base/str.h"

struct environment;

enum { LOG_LINE_MAX = 256 * 1024 };

/* A pipe for the output of a sandbox, close-on-exec, its read end not blocking: 0 or a fault. */
[[nodiscard]] int environment_log_pipe(int *ret_read, int *ret_write);
/* Watch the read end of the log pipe (taken, also on a fault). */
[[nodiscard]] int environment_log_open(struct environment *env, int fd);
/* Read what is in the pipe, unless the writer is full. */
void environment_log_drain(struct environment *env);
/* What has come is an event, newline or not. */
void environment_log_end_line(struct environment *env);
/* Both, however full the writer is: nobody will read the pipe later. */
void environment_log_finish(struct environment *env);
/* Stop watching. Twice is once. */
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
