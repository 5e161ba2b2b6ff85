#pragma once
/*
 * The second half of a change: a function that was created is Pending until this has run, one that was updated has
 * an update InProgress. It runs on a worker as soon as the change was committed, by a message to the loop; a change
 * whose process died in between is finished at the next start, or by whoever reads the function first.
 */
#include "services/lambda/records.h"

struct call;

enum settle_why {
	SETTLE_NEXT, /* the code was unpacked by the change itself, moments ago */
	SETTLE_LOST, /* after a crash: make sure that the code is unpacked, or the state is Failed */
};

/* Finish what is unfinished of a function, if anything is and if it exists. Worker; blocks. */
[[nodiscard]] int lambda_settle(const struct lambda_scope *scope, str name, enum settle_why why);

/* The same soon, on another worker. Never fails visibly: what does not happen is found as lost. */
void lambda_settle_later(const struct lambda_scope *scope, str name);

/* Finish everything that is unfinished: at the start, before the first call. Worker; blocks. */
[[nodiscard]] int lambda_settle_all(struct platform *platform);

/* Note in the function's document, and in the batch, that the states of $LATEST and of a version (0: none) wait. */
void lambda_unsettle(struct function_record *function, struct batch *batch, uint64_t version);

/*
 * Read a function as function_record_get() does; what waits there for longer than a living process would take is
 * finished first. (If that fails, it is logged and the function read as it is.)
 */
[[nodiscard]] int lambda_settled_get(
	const struct lambda_scope *scope, str name, struct function_record *ret_function);

/*
 * AWS refuses changes of a function that is still being created or updated: ResourceConflictException. 0 when it is
 * not, or CALL_ERROR.
 */
[[nodiscard]] int lambda_refuse_busy(struct call *call, const struct function_record *function);
