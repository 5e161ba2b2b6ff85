#pragma once
/* What names lead to: see directory.c. */
#include "base/list.h"
#include "base/map.h"
#include "base/str.h"
#include "model/bucket.h"

#include <stdint.h>

struct engine;
struct function_version;
struct pool;
struct invocation;
struct provision_figures;
struct provision_plan;

/* An account in a region, as long as a function of it is known. */
struct account_scope {
	str key;	    /* account/region: into `text` */
	unsigned functions; /* entries that point here */
	unsigned
		unreserved; /* invocations of its functions on seats that no function has for itself */
	uint32_t set_aside; /* seats of its functions, see engine_set_aside() */
	uint64_t set_aside_revision;
	struct bucket requests; /* to functions without a reservation */
	char text[];
};

/* A function as far as the node has met it. */
struct function_entry {
	struct engine *engine;
	struct account_scope *scope;
	str key;	    /* account/region/name: into `text` */
	struct map targets; /* qualifier → struct target_entry */
	struct list pools;
	struct list provisions; /* see provision.c */
	uint32_t provisioned;	/* seats, of all of them */
	uint64_t provisions_revision;
	int32_t reserved_concurrency; /* -1: none */
	unsigned on_demand;	      /* invocations between admission and end, but for those on
					 provisioned seats */
	struct bucket requests;	      /* with a reservation */
	struct bucket starts;	      /* of environments */
	unsigned invocations;	      /* all that name it */
	unsigned loads;		      /* with workers */
	uint64_t generation;	      /* counts its changes */
	char text[];
};

/* Find what the name leads to and go on with invocation_admit(), now or later, or refuse. */
/* The pool of a version, made when missing; NULL when out of memory. */
struct pool *directory_pool(struct engine *engine, struct function_version *version);
void directory_resolve(struct engine *engine, struct invocation *invocation);
/* See engine_set_aside(). */
void directory_set_aside(
	struct engine *engine, str account, str region, uint32_t amount, uint64_t revision);
/* See engine_provision() and engine_provision_figures(). */
void directory_provision(struct engine *engine, str account, str region, str name,
	const struct provision_plan *plan);
[[nodiscard]] bool directory_provision_figures(const struct engine *engine, str account, str region,
	str name, str qualifier, struct provision_figures *ret_figures);
/* Something about this function changed in the store. */
void directory_changed(struct engine *engine, str account, str region, str name);
/* Its targets must be read again. */
void function_entry_forget(struct function_entry *function);
/* Free its pools that nothing uses, and then the entry, if nothing uses that. */
void function_entry_reap(struct function_entry *function);
