#pragma once
/* Provisioned concurrency: environments that are there before anybody asks. See provision.c. */
#include "base/list.h"
#include "engine/platform.h"
#include "os/loop.h"

struct engine;
struct environment;
struct function_entry;
struct pool;
struct provision_share;

/* What is provisioned for a version or an alias. */
struct provision {
	struct function_entry *function;
	struct list link;   /* in function->provisions */
	struct list shares; /* in pools: of the version, of the second one of an alias with routing,
			       and of those that it led to before */
	char qualifier[PROVISION_QUALIFIER_MAX];
	uint32_t requested;
	unsigned failures; /* starts that failed since the last that did not */
	bool is_resting;   /* after a failure: nothing is started until `retry` */
	struct timer *retry;
	const char *reason; /* of the last failure */
	bool is_current;    /* in the plan that is being applied */
};

/* Its part in one pool. */
struct provision_share {
	struct provision *provision;
	struct pool *pool;
	struct list in_provision;
	struct list in_pool;
	struct list members; /* environments, alive */
	uint32_t wanted;     /* 0: an earlier version's, kept until the new ones are ready */
	uint32_t count;	     /* of members */
	uint32_t ready;	     /* of members that have initialised */
};

/* This is what is provisioned for the function from now on, unless the plan is older than the last. */
void provisions_apply(struct function_entry *function, const struct provision_plan *plan);
/* Free all provisions; their shares are gone. */
void provisions_free(struct function_entry *function);
/* The pool is ending: its shares go, their environments become ordinary ones. */
void provisions_leave_pool(struct pool *pool);

/* How many invocations of this version run on provisioned seats at a time. */
[[nodiscard]] uint32_t provision_seats(const struct pool *pool);
/* How many environments are missing in this pool, and may be started now. */
[[nodiscard]] unsigned provision_shortage(const struct pool *pool);
/* One share that misses one, or NULL. */
struct provision_share *provision_next(const struct pool *pool);

/* An environment was started for the share. */
void provision_join(struct environment *env, struct provision_share *share);
/* It has initialised. */
void provision_on_ready(struct environment *env);
/* It is DEAD; `was_starting`: it has not initialised. It belongs to no share any more. */
void provision_on_dead(struct environment *env, bool was_starting);
/* It could not even be started. */
void provision_on_no_start(struct provision_share *share);

/* How it stands: false when nothing is provisioned for the qualifier. */
[[nodiscard]] bool provision_figures(const struct function_entry *function, str qualifier,
	struct provision_figures *ret_figures);
