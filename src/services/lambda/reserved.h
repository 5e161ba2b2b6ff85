#pragma once
/*
 * Reserved concurrency of all functions of an account in a region: one document, because what one function may
 * reserve depends on all others.
 */
#include "services/lambda/records.h"

/* The document; made up when there is none (revision DOCS_NEW). The caller's to json_decref(). 0 or a fault. */
[[nodiscard]] int lambda_reserved_get(
	const struct lambda_scope *scope, json_t **ret_doc, uint64_t *ret_revision);

/* What a function has reserved, or -1. */
int64_t lambda_reserved_of(const json_t *doc, str name);

/* The sum of what all have reserved, without one of them (empty: without none). */
int64_t lambda_reserved_sum(const json_t *doc, str without);

/* Set, or take away with -1. Put into the batch with the revision that was read. 0 or a fault. */
[[nodiscard]] int lambda_reserved_set(
	struct batch *batch, json_t *doc, uint64_t revision, str name, int64_t amount);
