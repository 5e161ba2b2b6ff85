#pragma once
/* What names lead to: see directory.c. */
#include "base/list.h"
#include "base/map.h"
#include "base/str.h"

#include <stdint.h>

struct engine;
struct function_version;
struct pool;
struct invocation;

/* An account in a region, as long as a function of it is known. */
struct account_scope {
	str key;	    /* account/region: into `text` */
	unsigned functions; /* entries that point here */
	unsigned in_flight; /* invocations between admission and end */
	char text[];
};

/* A function as far as the node has met it. */
struct function_entry {
	struct engine *engine;
	struct account_scope *scope;
	str key;	    /* account/region/name: into `text` */
	struct map targets; /* qualifier → struct target_entry */
	struct list pools;
	int32_t reserved_concurrency; /* -1: none */
	unsigned in_flight;	      /* invocations between admission and end */
	unsigned invocations;	      /* all that name it */
	unsigned loads;		      /* with workers */
	uint64_t generation;	      /* counts its changes */
	char text[];
};

/* Find what the name leads to and go on with invocation_admit(), now or later, or refuse. */
/* The pool of a version, made when missing; NULL when out of memory. */
struct pool *directory_pool(struct engine *engine, struct function_version *version);
void directory_resolve(struct engine *engine, struct invocation *invocation);
/* Something about this function changed in the store. */
void directory_changed(struct engine *engine, str account, str region, str name);
/* Its targets must be read again. */
void function_entry_forget(struct function_entry *function);
/* Free its pools that nothing uses, and then the entry, if nothing uses that. */
void function_entry_reap(struct function_entry *function);
