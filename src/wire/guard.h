#pragma once
/*
 * What the router and the guard of a sandbox say to each other: one struct a message, over a
 * SOCK_SEQPACKET that nobody else in the sandbox has. The guard (zygote/guard.c) is our code, but with
 * a function's identity: the router believes it no more than a function.
 */
#include <stdint.h>

enum {
	GUARDED_MAX = 10,     /* extensions of a function, "up to 10" */
	GUARD_RUNTIME = 10,   /* as `who`: not an extension */
	GUARD_NAME_MAX = 256, /* of a file, with its NUL */
};

enum guard_op {
	/* router → guard */
	GUARD_BEGIN = 1, /* start the extensions; with 1 descriptor: what they print to */
	GUARD_START,	 /* they have registered: start the runtime */
	GUARD_TERMINATE, /* SIGTERM for `who` */
	GUARD_KILL,	 /* SIGKILL for `who` and its process group */
	GUARD_CONNECT,	 /* a connection to 127.0.0.1:`value` is wanted */
	/* guard → router */
	GUARD_EXTENSION,   /* `who` is about to be started; `name` */
	GUARD_NOT_STARTED, /* the program of `who` could not be executed: `value` is the errno */
	GUARD_TOO_MANY,	   /* there are more extensions; `name` is the first of them */
	GUARD_LISTED,	   /* those were all extensions */
	GUARD_ENDED,	   /* `who` has ended: `kind` (enum exit_kind) and `value` */
	GUARD_CONNECTED,   /* with 1 descriptor; or `value` is the errno */
	GUARD_OPS
};

struct guard_frame {
	uint32_t op; /* enum guard_op */
	uint32_t who;
	uint32_t kind;
	uint32_t value;
	uint64_t ticket; /* of GUARD_CONNECT, given back */
	char name[GUARD_NAME_MAX];
};
