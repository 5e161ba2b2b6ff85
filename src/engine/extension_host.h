#pragma once
/*
 * What an environment has when it has extensions: their states, the guard that starts them, and what
 * waits for them. extension_host.c has its life and how extensions fail, extension_api.c the
 * Extensions API, extension_shutdown.c the Shutdown phase.
 */
#include "engine/extensions.h"
#include "engine/log_lines.h"
#include "engine/recent.h"
#include "wire/guard.h"

struct environment;
struct guard;
struct http_conn;
struct http_request;
struct http_head;
struct invocation;
struct telemetry;
struct timer;

/* The Shutdown phase: first the runtime goes, then the extensions. */
enum shutdown_phase { SHUTDOWN_NOT, SHUTDOWN_RUNTIME, SHUTDOWN_EXTENSIONS, SHUTDOWN_OVER };

struct extension_host {
	struct environment *env;
	struct extensions all;
	struct guard *guard;			 /* NULL: there are only internal ones */
	struct telemetry *telemetry;		 /* with a guard */
	struct extension *external[GUARDED_MAX]; /* by the guard's numbers */
	bool is_listed;				 /* the guard has started all that there are */
	bool is_runtime_started, is_runtime_gone;
	struct timer *timer; /* of the Shutdown phase; else of a failure */
	/* a process has ended that must not; told when what it said before has been read */
	bool is_failing;
	unsigned looks;
	const char *failure; /* "Extension.Crash"; NULL: the runtime's, see env->exit_frame */
	char words[96];
	/* an invocation that has been answered, and is reported when the extensions are done with it */
	bool has_report;
	struct log_report report;
	uint64_t report_from_us;       /* when it began */
	uint64_t answered_us;	       /* when its answer came */
	char reported[RECENT_KEY_MAX]; /* account/region/name of the function */
	char qualifier[RECENT_KEY_MAX];
	enum shutdown_phase phase;
	uint64_t end_ms;      /* of the Shutdown phase: loop time */
	uint64_t end_real_ms; /* wall clock */
};

/* --- extension_host.c --- */

/*
 * Make env->host. With `ret_socket` its sandbox has a guard: *ret_socket is the guard's end, to be passed
 * on and closed. 0 or a fault.
 */
[[nodiscard]] int extension_host_new(struct environment *env, int *ret_socket);
/* Free env->host, if there is one. Not from inside its callbacks. */
void extension_host_free(struct environment *env);
/* The guard said this; `fd` (or -1) is taken. */
void extension_host_on_frame(struct extension_host *host, const struct guard_frame *frame, int fd);
/* One has registered: when all have that were started, it is the runtime's turn. */
void extension_host_on_registered(struct extension_host *host);
/* Do none of its extensions (there may be none) keep this environment from going on? */
[[nodiscard]] bool extension_host_is_ready(const struct environment *env);
/* Why its initialisation or invocation fails, if an extension is to blame. */
[[nodiscard]] bool extension_host_cause(
	const struct environment *env, const char **ret_type, const char **ret_words);
/* How far each has come, for the log: at the end of an initialisation, good or bad. */
void extension_host_log(struct environment *env);
/*
 * The invocation is over for the runtime, not for the extensions: keep its report until it is. False: it
 * is over.
 */
[[nodiscard]] bool extension_host_keep_report(
	const struct invocation *invocation, const struct log_report *report);
/* Write the report that was kept, if one was: it is over now. NULL for success. */
void extension_host_report(struct environment *env, const char *status, const char *error_type);

/* --- extension_api.c --- */

/* Is this a request of the Extensions API? Then it has been answered, or waits. */
[[nodiscard]] bool extension_api_route(
	struct environment *env, struct http_conn *conn, const struct http_request *request);
/*
 * Who asks this? NULL when it has been refused; `unknown` is what one is called that is not there: "extension" is
 * followed by the id.
 */
struct extension *extension_api_asker(struct environment *env, struct http_conn *conn,
	const struct http_head *head, const char *unknown);
/* The runtime has this invocation: so do those that want to know. */
void extension_api_invoke(struct environment *env, const struct invocation *invocation);
/* Answer its parked question, if there is one: the Shutdown phase, and why. */
void extension_api_shut(struct extension_host *host, struct extension *extension);
/* A connection is gone. */
void extension_api_on_gone(struct environment *env, const struct http_conn *conn);

/* --- extension_shutdown.c --- */

/*
 * The environment goes (it is DEAD): give its runtime and extensions the time that they have for that. The
 * kill is asked for at its end. False: there is nobody to wait for.
 */
[[nodiscard]] bool extension_host_shut(struct extension_host *host, bool is_frozen);
/* Is it under way? */
[[nodiscard]] bool extension_host_is_shutting(const struct environment *env);
/* A process has ended, or asked for its next event, in the Shutdown phase. */
void extension_host_on_step(struct extension_host *host);
/* The time of a part of the Shutdown phase is over. */
void extension_host_on_shutdown_time(struct extension_host *host);
