#pragma once
/*
 * Runtime packs on this host: reads runtimes/NAME/pack.ini (see runtimes/README.md), finds the interpreters
 * that they name, and asks each for its version. Runs as root before the daemon starts; what it learned is kept
 * in a cache file, because asking an interpreter takes longer than starting the daemon.
 */
#include "base/buf.h"
#include "wire/frames.h"

struct pack_found {
	struct pack_spec spec;
	char language[64];
	char runtimes[1024]; /* the AWS runtime names it serves, separated by spaces */
	char env[1024];	     /* NAME=value words, separated by spaces */
	char start[16]; /* exec, fork, or stem: exec, but its bootstrap can wait for its function */
	char start_env[512]; /* variables that are read at the start only: NAME and PREFIX* words */
	char interpreter[PACK_PATH_MAX];
	bool is_incomplete; /* files that its manifest needs are not there: 'mayfly runtime install' */
};

struct packs {
	struct pack_found *found;
	size_t count;
};

/*
 * Look for packs under `folder`. `cache` (may be NULL) is the path of the cache file. Packs that are
 * broken are reported as lines in `problems` and left out. 0 or a fault.
 */
[[nodiscard]] int packs_find(
	const char *folder, const char *cache, struct packs *ret_packs, struct buf *problems);
void packs_done(struct packs *packs);
