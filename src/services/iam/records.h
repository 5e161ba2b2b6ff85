#pragma once
/*
 * Roles and policies as documents of the store.
 *
 *	iam.role    account/name   {RoleName, Path, RoleId, CreateDate, …, Tags: [], Attached: [], Inline: {name: text}}
 *	iam.policy  account/name   {PolicyName, PolicyId, Path, …, Tags: [], Versions: [{VersionId, Document, CreateDate}]}
 *
 * A change reads the document, changes it, and writes it if nobody else has; otherwise it begins again.
 */
#include "aws/call.h"

#define KIND_ROLE   S("iam.role")
#define KIND_POLICY S("iam.policy")

enum record_answer { RECORD_FOUND = 0, RECORD_ABSENT };

/* RECORD_FOUND and *ret_doc (the caller's), RECORD_ABSENT, or a fault. */
[[nodiscard]] int iam_get(struct call *call, str kind, str name, json_t **ret_doc);

/* Write a new one: 0, CALL_ERROR ("EntityAlreadyExists"), or a fault. */
[[nodiscard]] int iam_create(struct call *call, str kind, str name, const json_t *doc);

/* Change one in place: 0; CALL_ERROR (NoSuchEntity, or what `change` answered); or a fault. */
typedef int iam_change_fn(struct call *call, json_t *doc);
[[nodiscard]] int iam_change(struct call *call, str kind, str name, iam_change_fn *change);

/* Delete one when `may_delete` answers 0: as iam_change(). */
[[nodiscard]] int iam_delete(struct call *call, str kind, str name, iam_change_fn *may_delete);

/* All of a kind in the order of their names: a new array of documents, or a fault. */
[[nodiscard]] int iam_list(struct call *call, str kind, json_t **ret_docs);

/*
 * One page of an array, as Marker and MaxItems ask: each element passes `shape`, which gives the element of the answer
 * (NULL: left out) ; `member` is filled, with IsTruncated and Marker. 0, CALL_ERROR or a fault.
 */
typedef json_t *iam_shape_fn(struct call *call, const json_t *element);
[[nodiscard]] int iam_page(
	struct call *call, const json_t *elements, const char *member, iam_shape_fn *shape);

/* Elements that are shown as they are kept. */
json_t *iam_as_it_is(struct call *call, const json_t *element);

/* The role that the call's RoleName names: 0 and *ret_role (the caller's), CALL_ERROR NoSuchEntity, or a fault. */
[[nodiscard]] int iam_role_get(struct call *call, json_t **ret_role);

/* "The role with name x cannot be found." Returns CALL_ERROR. */
[[nodiscard]] int iam_no_such(struct call *call, str kind, str name);
