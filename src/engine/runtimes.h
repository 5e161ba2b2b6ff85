#pragma once
/*
 * The runtimes installed on this node, as `mayfly serve` found them, and the match from an AWS
 * runtime name ("python3.12") to one of them.
 */
#include "engine/platform.h"

struct runtimes;

enum { RUNTIME_ENV_MAX = 16 };

struct runtime_pack {
	str name;		  /* "python" */
	str language;		  /* for people: "Python" */
	str version;		  /* "3.11.2", empty when it has none (provided) */
	str names;		  /* the AWS runtime names it serves, separated by spaces */
	str env[RUNTIME_ENV_MAX]; /* "NAME=value" defaults of its environments */
	str start_env;	    /* variables read only while it starts: "NAME" and "PREFIX*" words */
	bool is_incomplete; /* it lacks files, and serves nothing until they are installed */
	uint32_t env_count;
	uint32_t index;
	enum start_mode start; /* FORK: its bootstrap can be a zygote */
	bool has_stem;	       /* its bootstrap can wait for its function */
};

/* Copies of all views are made. */
[[nodiscard]] int runtimes_new(struct runtimes **ret_runtimes);
void runtimes_free(struct runtimes *runtimes);
[[nodiscard]] int runtimes_add(struct runtimes *runtimes, const struct runtime_pack *pack);

/*
 * Which pack serves a runtime name: the same version (its digits are a prefix of the pack's version
 * at a dot), else the nearest version of the same pack name (the smallest distance, the newer of
 * two), else none. Packs that are incomplete serve nothing.
 */
[[nodiscard]] enum runtime_match runtimes_find(
	const struct runtimes *runtimes, str name, const struct runtime_pack **ret_pack);

/* The pack that would serve a runtime name if it were complete, or NULL. */
const struct runtime_pack *runtimes_find_incomplete(const struct runtimes *runtimes, str name);

/*
 * Is a variable read by this runtime only while it starts, so that a function which sets it cannot
 * be given to a runtime that runs already?
 */
[[nodiscard]] bool runtime_reads_at_start(const struct runtime_pack *pack, str variable);

/* The i-th pack, or NULL. */
const struct runtime_pack *runtimes_at(const struct runtimes *runtimes, size_t i);

/* "python3.12" → "3.12", "nodejs20.x" → "20", "java8.al2" → "8", "provided.al2" → "". */
[[nodiscard]] str runtime_name_version(str name);
