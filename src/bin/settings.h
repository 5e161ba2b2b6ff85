#pragma once
/*
 * Every setting of mayfly is one row here: its name, default, bounds, unit and what it is for. Each can be set in the
 * file (name = value), in the environment (MAYFLY_NAME) and by flag (--name value); flags win over the
 * environment, which wins over the file. SIGHUP reads the file again.
 */
#include "base/buf.h"
#include "base/str.h"

#include <stdio.h>

enum setting_kind { SETTING_TEXT, SETTING_NUMBER, SETTING_SWITCH, SETTING_CHOICE };
enum setting_when { SETTING_AT_START, SETTING_LIVE };

/*
 * X(ID, "name", kind, "default", min, max, when, "unit", "what it is for") — choices stand in `unit`, separated by |.
 * When: SETTING_LIVE rows are read again from the file at SIGHUP, SETTING_AT_START rows need a restart.
 */
#define SETTINGS(X)                                                                                \
	X(LISTEN, "listen", SETTING_TEXT, "127.0.0.1:4566", 0, 0, SETTING_AT_START,                \
		"address:port", "where the AWS endpoint is served")                                \
	X(TLS_CERT, "tls-cert", SETTING_TEXT, "", 0, 0, SETTING_AT_START, "file",                  \
		"a certificate in PEM form, its issuers behind it: with it HTTPS is served, too, " \
		"on the same port; SIGHUP reads the file again")                                   \
	X(TLS_KEY, "tls-key", SETTING_TEXT, "", 0, 0, SETTING_AT_START, "file",                    \
		"its private key in PEM form, without a passphrase; only root needs to read it")   \
	X(DATA, "data", SETTING_TEXT, "/var/lib/mayfly", 0, 0, SETTING_AT_START, "directory",      \
		"where everything is kept")                                                        \
	X(CONFIG, "config", SETTING_TEXT, "", 0, 0, SETTING_AT_START, "file",                      \
		"settings as lines of name = value")                                               \
	X(ACCOUNT, "account", SETTING_TEXT, "000000000000", 0, 0, SETTING_AT_START, "12 digits",   \
		"the account of callers whose access key does not name one")                       \
	X(AUTH, "auth", SETTING_CHOICE, "auto", 0, 0, SETTING_LIVE, "auto|always|never",           \
		"must requests be signed: auto asks for it on any address but loopback")           \
	X(ACCESS_KEYS, "access-keys", SETTING_TEXT, "", 0, 0, SETTING_LIVE, "id:secret,…",         \
		"the credentials that signatures are checked against")                             \
	X(RUNTIMES, "runtimes", SETTING_CHOICE, "nearest", 0, 0, SETTING_LIVE, "nearest|strict",   \
		"may the nearest installed version stand in for the one that a function asks for") \
	X(RUNTIMES_DIR, "runtimes-dir", SETTING_TEXT, "", 0, 0, SETTING_AT_START, "directory",     \
		"the runtime packs; empty: beside the program")                                    \
	X(ACCOUNT_CONCURRENCY, "account-concurrency", SETTING_NUMBER, "1000", 1, 1'000'000,        \
		SETTING_LIVE, "invocations", "how many invocations may run at a time")             \
	X(INVOCATION_RATE, "invocation-rate", SETTING_NUMBER, "10", 0, 1'000'000, SETTING_LIVE,    \
		"a second",                                                                        \
		"requests a second for each unit of concurrency (AWS: 10); 0: any number")         \
	X(SCALING_RATE, "scaling-rate", SETTING_NUMBER, "1000", 1, 1'000'000, SETTING_LIVE,        \
		"in 10 seconds",                                                                   \
		"how many execution environments of one function may be started in 10 seconds")    \
	X(ENVIRONMENTS, "environments", SETTING_NUMBER, "1000", 1, 4096, SETTING_AT_START,         \
		"environments", "how many execution environments may live at a time on this node") \
	X(STARTS, "starts", SETTING_NUMBER, "0", 0, 4096, SETTING_LIVE, "environments",            \
		"how many of them may be starting at a time; 0: by processors and load")           \
	X(HOLD, "hold", SETTING_NUMBER, "0", 0, 100'000, SETTING_LIVE, "invocations",              \
		"with so many of a version running, others wait for their environments before "    \
		"idle ones are woken, while the processors are busy; 0: two a processor")          \
	X(MEMORY, "memory", SETTING_NUMBER, "0", 0, 1'000'000'000, SETTING_LIVE, "MB",             \
		"what all of them may use together; 0: nine tenths of what the host has")          \
	X(MEMORY_COUNT, "memory-count", SETTING_CHOICE, "used", 0, 0, SETTING_LIVE,                \
		"used|reserved",                                                                   \
		"by what they have used so far, or by MemorySize: then nothing is over-committed") \
	X(FREEZE, "freeze", SETTING_NUMBER, "5000", 0, 86'400'000, SETTING_LIVE, "milliseconds",   \
		"an execution environment without work is frozen after it; 0: never")              \
	X(PREPARED, "prepared", SETTING_NUMBER, "8", 0, 1024, SETTING_AT_START, "sandboxes",       \
		"how many sandboxes are made ready ahead, for whatever function comes next")       \
	X(STEMS, "stems", SETTING_NUMBER, "4", 0, 256, SETTING_LIVE, "runtimes",                   \
		"how many booted runtimes of a language may wait for whatever function comes")     \
	X(SPARES, "spares", SETTING_NUMBER, "1", 0, 64, SETTING_LIVE, "environments",              \
		"how many environments a function in use has initialised more than it needs")      \
	X(IDLE, "idle", SETTING_NUMBER, "600", 1, 86'400, SETTING_LIVE, "seconds",                 \
		"an execution environment without work is stopped after it")                       \
	X(LIFETIME, "lifetime", SETTING_NUMBER, "43200", 1, 604'800, SETTING_LIVE, "seconds",      \
		"an execution environment is replaced after it, when it is not working")           \
	X(INIT, "init", SETTING_NUMBER, "10000", 100, 900'000, SETTING_LIVE, "milliseconds",       \
		"how long initialisation may take; after it, it begins again on the invocation's " \
		"own time (AWS: 10,000)")                                                          \
	X(QUEUE, "queue", SETTING_NUMBER, "10000", 1, 900'000, SETTING_LIVE, "milliseconds",       \
		"how long an invocation waits for room on a full node before it is throttled")     \
	X(DRAIN, "drain", SETTING_NUMBER, "30", 0, 3600, SETTING_AT_START, "seconds",              \
		"how long SIGTERM waits for what is in flight")                                    \
	X(LOG_RATE, "log-rate", SETTING_NUMBER, "4096", 16, 1'000'000, SETTING_LIVE,               \
		"KB a second",                                                                     \
		"what an execution environment may log for long; four seconds of it at once")      \
	X(CPU, "cpu", SETTING_CHOICE, "weight", 0, 0, SETTING_LIVE, "weight|strict",               \
		"a function's share of CPU by its memory: as a weight, or as a hard ceiling")      \
	X(CREDENTIALS, "function-credentials", SETTING_SWITCH, "true", 0, 0, SETTING_LIVE, "",     \
		"give functions temporary credentials of their role, and the endpoint's address")  \
	X(ASYNC_WAIT, "async-wait", SETTING_NUMBER, "60000", 10, 600'000, SETTING_LIVE,            \
		"milliseconds",                                                                    \
		"the wait before the first retry of an asynchronous invocation (AWS: 60,000); "    \
		"all other waits shrink with it")                                                  \
	X(ASYNC_KEEP, "async-keep", SETTING_NUMBER, "24", 0, 336, SETTING_LIVE, "hours",           \
		"how long a failed asynchronous invocation without a destination is kept")         \
	X(ASYNC_QUEUE, "async-queue", SETTING_NUMBER, "4096", 1, 1'000'000, SETTING_LIVE, "MB",    \
		"what all queued asynchronous invocations may have; above it they are throttled")  \
	X(DESTINATIONS, "destinations", SETTING_TEXT, "", 0, 0, SETTING_AT_START, "URL",           \
		"the AWS-compatible endpoint of queues, topics, event buses and buckets that "     \
		"destinations and dead-letter queues name")                                        \
	X(DESTINATIONS_KEY, "destinations-key", SETTING_TEXT, "", 0, 0, SETTING_AT_START,          \
		"id:secret", "the credentials that requests to it are signed with")                \
	X(DESTINATIONS_CA, "destinations-ca", SETTING_TEXT, "", 0, 0, SETTING_AT_START, "file",    \
		"certificates (PEM) of whom an https endpoint is believed, by absolute path, "     \
		"readable by router-uid; empty: the system's")                                     \
	X(LIMITS, "limits", SETTING_CHOICE, "strict", 0, 0, SETTING_AT_START, "strict|relaxed",    \
		"relaxed: functions tagged mayfly:limits = relaxed have the next four limits, "    \
		"all others AWS's")                                                                \
	X(RELAXED_TIMEOUT, "relaxed-timeout", SETTING_NUMBER, "86400", 900, 604'800,               \
		SETTING_AT_START, "seconds", "the longest Timeout of a relaxed function")          \
	X(RELAXED_MEMORY, "relaxed-memory", SETTING_NUMBER, "40960", 10'240, 40'960,               \
		SETTING_AT_START, "MB", "the largest MemorySize of a relaxed function")            \
	X(RELAXED_TMP, "relaxed-tmp", SETTING_NUMBER, "40960", 10'240, 40'960, SETTING_AT_START,   \
		"MB", "the largest EphemeralStorage of a relaxed function")                        \
	X(RELAXED_PAYLOAD, "relaxed-payload", SETTING_NUMBER, "64", 6, 1024, SETTING_AT_START,     \
		"MB", "the largest event and answer of a relaxed function")                        \
	X(CONNECTIONS, "connections", SETTING_NUMBER, "4096", 16, 60'000, SETTING_LIVE,            \
		"connections", "client connections at a time")                                     \
	X(WORKERS, "workers", SETTING_NUMBER, "4", 1, 64, SETTING_AT_START, "threads",             \
		"threads for API calls and storage")                                               \
	X(LOG_LEVEL, "log-level", SETTING_CHOICE, "info", 0, 0, SETTING_LIVE,                      \
		"debug|info|warn|error", "what the daemon writes to standard error")               \
	X(LOG_FORMAT, "log-format", SETTING_CHOICE, "text", 0, 0, SETTING_LIVE, "text|json",       \
		"as key=value or as JSON")                                                         \
	X(ROUTER_UID, "router-uid", SETTING_NUMBER, "64100", 1, 4'000'000'000, SETTING_AT_START,   \
		"uid", "the user that reads the network")                                          \
	X(UNPACK_UID, "unpack-uid", SETTING_NUMBER, "64101", 1, 4'000'000'000, SETTING_AT_START,   \
		"uid", "the user that unpacks archives")                                           \
	X(SANDBOX_UID, "sandbox-uid", SETTING_NUMBER, "1879048192", 1, 4'000'000'000,              \
		SETTING_AT_START, "uid",                                                           \
		"the first of the users that functions run as, one a sandbox")                     \
	X(TEST_CONTROLS, "test-controls", SETTING_SWITCH, "false", 0, 0, SETTING_AT_START, "",     \
		"serve the requests that wipe everything, for test suites")

enum setting {
#define X(id, ...) SET_##id,
	SETTINGS(X)
#undef X
		SETTINGS_COUNT
};

struct settings {
	char *values[SETTINGS_COUNT];
	bool is_pinned[SETTINGS_COUNT]; /* by a flag or a variable: no file changes it */
};

/* All defaults. 0 or -ENOMEM. */
[[nodiscard]] int settings_init(struct settings *settings);
void settings_done(struct settings *settings);

enum settings_answer { SETTINGS_DONE = 0, SETTINGS_BAD };

/*
 * Set one by its name (dashes and underscores alike). SETTINGS_BAD: `error` says what is wrong and what
 * would be right; or a fault. A row that the source "flag" or "environment" sets is pinned.
 */
[[nodiscard]] int settings_set(
	struct settings *settings, str name, str value, const char *source, struct buf *error);
/* Every MAYFLY_NAME of the environment. */
[[nodiscard]] int settings_from_environment(struct settings *settings, struct buf *error);
/* Every line of a file. */
[[nodiscard]] int settings_from_file(
	struct settings *settings, const char *path, struct buf *error);
/* The same of a file that somebody has opened; `path` is for the error. */
[[nodiscard]] int settings_from_stream(
	struct settings *settings, FILE *file, const char *path, struct buf *error);
/*
 * Take the flags out of the command line: --name value, --name=value, --switch. *argc and argv keep what is no
 * flag (and everything after --).
 */
[[nodiscard]] int settings_from_flags(
	struct settings *settings, int *argc, char **argv, struct buf *error);

/* What a setting is: as text, as a number (of SETTING_NUMBER rows), or whether it is this text. */
str settings_text(const struct settings *settings, enum setting setting);
uint64_t settings_number(const struct settings *settings, enum setting setting);
bool settings_is(const struct settings *settings, enum setting setting, str value);

/* As lines of name=value. */
void settings_put(const struct settings *settings, struct buf *out);
/* The names of the pinned ones, as lines of pinned=name. */
void settings_put_pinned(const struct settings *settings, struct buf *out);
/* Pin one by its name, for a reader of these lines; false when there is none of the name. */
bool settings_pin(struct settings *settings, str name);

/* A row whose value in the file is another than before. */
typedef void settings_changed_fn(void *context, str name, bool is_applied);
/*
 * Take over from `fresh` (the defaults, and then what the file says now) the SETTING_LIVE rows that are not pinned;
 * `changed` hears of each row that differs, also of those that need a restart and stay as they are.
 */
void settings_take_live(struct settings *settings, struct settings *fresh,
	settings_changed_fn *changed, void *context);
/* The rows as help text. */
void settings_help(FILE *out);
/* Is this the name of a setting? For readers of what settings_put() wrote. */
bool settings_has(str name);
