#pragma once
/*
 * What is set aside of an account's concurrency in a region: reserved for functions, provisioned for their versions and
 * aliases. One document, because what one function may have depends on all others.
 */
#include "services/lambda/records.h"

/* The document; made up when there is none (revision DOCS_NEW). The caller's to json_decref(). 0 or a fault. */
[[nodiscard]] int lambda_reserved_get(
	const struct lambda_scope *scope, json_t **ret_doc, uint64_t *ret_revision);

/* What a function has reserved, or -1. */
int64_t lambda_reserved_of(const json_t *doc, str name);

/* What is provisioned for the qualifiers of a function: borrowed, or NULL for nothing. */
const json_t *lambda_provisioned_of(const json_t *doc, str name);

/* The sum of it, without one qualifier (empty: without none). */
int64_t lambda_provisioned_sum(const json_t *doc, str name, str without);

/*
 * The sum of what is set aside for all functions, without one of them (empty: without none): what each has reserved,
 * or else provisioned.
 */
int64_t lambda_reserved_sum(const json_t *doc, str without);

/* Let the engine know what is set aside by now, after a change was committed. 0 or a fault. */
[[nodiscard]] int lambda_reserved_tell(const struct lambda_scope *scope);

/* Set, or take away with -1. Put into the batch with the revision that was read. 0 or a fault. */
[[nodiscard]] int lambda_reserved_set(
	struct batch *batch, json_t *doc, uint64_t revision, str name, int64_t amount);

struct provisioned_entry {
	str name;
	str qualifier; /* empty: all of the function's; only to take away */
	json_t *value; /* {"Requested", "LastModified"}, borrowed; NULL: take away */
};
/* Set, or take away. Put into the batch with the revision that was read. 0 or a fault. */
[[nodiscard]] int lambda_provisioned_set(
	struct batch *batch, json_t *doc, uint64_t revision, const struct provisioned_entry *entry);

/* Take away all that a function has. False in *ret_had when that is nothing. 0 or a fault. */
[[nodiscard]] int lambda_reserved_forget(struct batch *batch, str name, bool *ret_had);
