#pragma once
/*
 * The extensions of an execution environment and their states, as the Lambda Extensions API has
 * them: see extensions.c. Nothing here talks to anybody.
 */
#include "base/str.h"
#include "engine/runtime_api.h"
#include "os/random.h"

struct http_conn;

enum {
	EXTENSIONS_MAX = 10,	  /* "up to 10 extensions" for a function */
	EXTENSION_NAME_MAX = 256, /* that of a file, with its NUL */
};

/* What an extension may be told of; bits. */
enum extension_event { EXTENSION_INVOKE = 1, EXTENSION_SHUTDOWN = 2 };

enum extension_state {
	EXTENSION_STARTED, /* its process was started; only external ones */
	EXTENSION_REGISTERED,
	EXTENSION_READY, /* it has asked for its next event */
	EXTENSION_RUNNING,
	EXTENSION_INIT_ERROR, /* it has told that it fails, and will exit */
	EXTENSION_EXIT_ERROR,
	EXTENSION_LAUNCH_ERROR, /* its program could not be executed */
	EXTENSION_STATES
};

struct extension {
	char name[EXTENSION_NAME_MAX];
	char id[UUID_LEN + 1];
	enum extension_state state;
	unsigned events; /* that it has registered for */
	bool is_external;
	bool is_gone;			 /* its process has ended */
	char error_type[ERROR_TYPE_MAX]; /* what it said, or why it could not be launched */
	struct http_conn *next;		 /* its parked question for the next event */
};

struct extensions {
	struct extension list[EXTENSIONS_MAX];
	unsigned count;
	bool is_closed; /* the runtime has initialised: nobody registers any more */
};

/* A new one of a name that is not there yet, STARTED; NULL when there are too many. */
struct extension *extensions_add(struct extensions *all, str name, bool is_external);
/* By its name, or the id that it was given; NULL: there is none. */
struct extension *extensions_by_name(struct extensions *all, str name);
struct extension *extensions_by_id(struct extensions *all, str id);
/* Have all whose processes were started registered? */
[[nodiscard]] bool extensions_are_registered(const struct extensions *all);
/* Has each asked for its next event? Without that no phase ends. */
[[nodiscard]] bool extensions_are_ready(const struct extensions *all);
/* Does any external one still run? */
[[nodiscard]] bool extensions_have_processes(const struct extensions *all);

/* May it go there? Not a question of READY alone: see extension_may_ask(). */
[[nodiscard]] bool extension_may(const struct extension *extension, enum extension_state next);
/* May it ask for its next event now? Also again, when its last question has lost its connection. */
[[nodiscard]] bool extension_may_ask(const struct extension *extension);
/* The only writer of its state. It must be allowed. */
void extension_enter(struct extension *extension, enum extension_state next);
/* "Ready", as AWS names it in logs and errors. */
const char *extension_state_name(enum extension_state state);
/* What it said is wrong with it, cut to what can be printed. The first time counts. */
void extension_set_error(struct extension *extension, str type);
/* The bit of "INVOKE" or "SHUTDOWN" (of external ones only), or 0. */
[[nodiscard]] unsigned extension_event_of(str name, bool is_external);
