#pragma once
/*
 * What the tests of this folder share: a real store in a temporary folder, a stand-in for the engine, and calls
 * whose parameters are written as JSON.
 */
#include "aws/call.h"
#include "engine/platform.h"
#include "services/lambda/records.h"

struct world {
	struct platform *platform;
	struct lambda_scope scope; /* account 123456789012 in us-east-1 */
	struct arena arena;
	_Atomic unsigned changes; /* platform_function_changed() was called so often */
	_Atomic unsigned unpacks; /* platform_unpack() too */
	uint32_t set_aside;	  /* what platform_set_aside() was told at last */
	uint64_t set_aside_revision;
	struct buf provisioned; /* the last platform_provision(): "NAME QUALIFIER=VERSION*COUNT…" */
	struct provision_figures figures; /* what the engine says, if it knows */
	bool has_figures;
	unsigned forgotten; /* and platform_forget_code() */
	str host;	    /* by which clients reach the node */
	bool is_unpacking;  /* false: it answers that there is no ZIP */
	char folder[64];
};

/* One world at a time. It has no loop, so nothing is finished later: see world_settle(). */
struct world *world_new(void);
void world_free(struct world *world);

/* What an operation answered. Valid until the next world_call(). */
struct answer {
	int result; /* 0, CALL_ERROR or a fault */
	json_t *out;
	int status; /* of the error */
	str code, message, type;
	int success; /* call->status */
};

/*
 * Call an operation: `format` and the rest are json_pack()'s, of the parameters. The name must be one of the model.
 */
struct answer world_call(
	struct world *world, call_fn *run, const char *operation, const char *format, ...);

/* The same with a blob that the front has spooled to a file (the caller's). */
struct answer world_call_with_blob(struct world *world, int blob_fd, call_fn *run,
	const char *operation, const char *format, ...);

/* CreateFunction with the least parameters, settled. The code is that of world_zip("one"). */
void world_create(struct world *world, const char *name);

/* Finish what is pending of a function. */
void world_settle(struct world *world, const char *name);

/*
 * Bytes that the stand-in takes for a ZIP, different for each text. A new JSON string of them. One whose text begins with BIG is
 * WORLD_BIG bytes when it is unpacked; one with LARGE is too large.
 */
enum { WORLD_BIG = 90'000'000 };
json_t *world_zip(const char *text);

/* A member of a tree by a path ("Configuration.State"), or NULL. */
json_t *answer_at(const struct answer *answer, const char *path);
str answer_text(const struct answer *answer, const char *path);

/* Is it what it should be? Prints what came instead. */
bool answer_is_ok(struct answer answer);
bool answer_is_error(struct answer answer, int status, const char *code, const char *message);
#define CHECK_OK(answer) CHECK(answer_is_ok(answer))
#define CHECK_ERROR(answer, status, code, message) \
	CHECK(answer_is_error((answer), (status), (code), (message)))
