#pragma once
/*
 * The ZIPs of functions: taking them in, giving them out by an address that a client can download from, and dropping
 * those that no version uses any more.
 */
#include "services/lambda/names.h"
#include "services/lambda/tree.h"

/* A ZIP that was taken in: it is kept and unpacked. */
struct lambda_code {
	uint8_t digest[32];
	str sha256; /* base64 of the digest, in the call's arena */
	uint64_t size;
	uint64_t unpacked;	   /* bytes of all its files */
	bool has_extensions;	   /* a layer: of processes to start */
	struct platform *platform; /* not NULL: in use by this call, see lambda_code_done() */
	bool is_used;		   /* a version has it: set after the commit */
};

/*
 * Take in the code of a function or layer: `code` is the object that holds ZipFile and its likes. Until
 * lambda_code_done() it is not dropped. 0 and *ret_code, CALL_ERROR, or a fault. Blocks until it is unpacked.
 */
[[nodiscard]] int lambda_code_take(
	struct call *call, const json_t *code, struct lambda_code *ret_code);
void lambda_code_done(struct lambda_code *code);
#define scoped_code [[gnu::cleanup(lambda_code_done)]] struct lambda_code

/*
 * Put into a configuration what its code is: CodeSha256, CodeSize, and "Unpacked" and "HasExtensions", which are ours.
 */
void lambda_code_put(struct tree *config, const struct lambda_code *code);

/*
 * A version begins, or ends, to use the code and the layers that its configuration names: what the batch must say about
 * that. At most LAMBDA_CODE_WRITES writes. To change one, leave the old configuration and then use the new one.
 */
enum { LAMBDA_CODE_WRITES = 12 };
void lambda_code_use(struct batch *batch, const struct function_record *function,
	const json_t *config, str version);
void lambda_code_leave(struct batch *batch, const struct function_record *function,
	const json_t *config, str version);

/* The same for one ZIP (whatever has its CodeSha256) and any other user: see record_code_key(). */
void lambda_code_use_by(struct batch *batch, const json_t *zip, str user);
void lambda_code_leave_by(struct batch *batch, const json_t *zip, str user);

/* Drop ZIPs that have had no user for so long that nothing can still run them. Worker; blocks. */
void lambda_code_sweep(struct platform *platform);
/* The same, unless it was done in the last minute: for calls that have changed who uses what. */
void lambda_code_sweep_sometimes(struct platform *platform);

/*
 * The address to download a version's ZIP from, in the call's arena, good for ten minutes: 0 or a fault.
 *
 *	http://HOST/_mayfly/code/ACCOUNT/REGION/NAME/VERSION?expires=SECONDS&token=HEX
 *
 * The reference is of a function, or of a layer with the name CODE_LAYER NAME.
 */
[[nodiscard]] int lambda_code_address(
	struct call *call, const struct lambda_ref *ref, str version, str *ret_address);

enum code_answer {
	CODE_GIVEN = 0,
	CODE_ABSENT,	/* no such version any more */
	CODE_FORBIDDEN, /* not an address that was given out */
	CODE_EXPIRED,	/* it was one */
};

#define CODE_PATH S("/_mayfly/code/")
/* What stands before the name when the code is a layer's: no function's name has a colon. */
#define CODE_LAYER S("layer:")

/* Open the ZIP of a version: CODE_GIVEN and *ret_fd (the caller's), CODE_ABSENT, or a fault. Worker; blocks. */
[[nodiscard]] int lambda_code_open(struct platform *platform, str account, str region, str name,
	str version, int *ret_fd, uint64_t *ret_size);

/*
 * Open what a request's target (path and query, beginning with CODE_PATH) names, if it is an address that
 * lambda_code_address() gave out less than ten minutes ago. A code_answer, or a fault. Worker; blocks.
 */
[[nodiscard]] int lambda_code_download(
	struct platform *platform, str target, int *ret_fd, uint64_t *ret_size);
