#pragma once
/*
 * Functions, versions, aliases and policies as documents of the store.
 *
 *	lambda.function   account/region/name                     the function and its $LATEST
 *	lambda.version    account/region/name/id/0000000007       a published version
 *	lambda.alias      account/region/name/id/alias
 *	lambda.policy     account/region/name/id/qualifier        "" for the function itself
 *	lambda.url        account/region/name/id/qualifier        a function URL; "$LATEST" for the function itself
 *	lambda.url-owner  url-id                                  whose URL it is
 *	lambda.event      account/region/name/id/qualifier        how it is invoked asynchronously
 *	lambda.unsettled  account/region/name                     this function has states to finish
 *	lambda.snapshot   account/region/name/id/0000000007       an image of the version is kept, or being made
 *	lambda.deleted    account/region/name/id                  what was below it is still to be removed
 *	lambda.reserved   account/region                          reserved and provisioned concurrency of all functions
 *	lambda.code       DIGEST/account/region/name/id/version   who uses a ZIP, see record_code_key()
 *	lambda.garbage    DIGEST                                  a ZIP that lost a user, and when
 *	lambda.secret     code                                    the key that signs download addresses
 *
 * `id` is random and made anew with each function: what is left of a deleted one is invisible to the next of its name.
 * Whatever changes something below a function also writes the function's own document with the revision it has read, so
 * all changes of one function are in one order, and none is made to a function that is gone.
 */
#include "base/arena.h"
#include "store/docs.h"

#include <jansson.h>

struct platform;

#define KIND_FUNCTION	  S("lambda.function")
#define KIND_VERSION	  S("lambda.version")
#define KIND_ALIAS	  S("lambda.alias")
#define KIND_POLICY	  S("lambda.policy")
#define KIND_URL	  S("lambda.url")
#define KIND_URL_OWNER	  S("lambda.url-owner")
#define KIND_EVENT_INVOKE S("lambda.event")
#define KIND_UNSETTLED	  S("lambda.unsettled")
#define KIND_SNAPSHOT	  S("lambda.snapshot")
#define KIND_DELETED	  S("lambda.deleted")
#define KIND_RESERVED	  S("lambda.reserved")
#define KIND_CODE	  S("lambda.code")
#define KIND_GARBAGE	  S("lambda.garbage")
#define KIND_SECRET	  S("lambda.secret")

enum { RECORD_SCHEMA = 1, RECORD_VERSION_MAX = 999'999'999 };

/* Whose functions: what every access to the store needs. Keys and values are made in the arena. */
struct lambda_scope {
	struct platform *platform;
	struct arena *arena;
	str account;
	str region;
};

enum record_answer { RECORD_FOUND = 0, RECORD_ABSENT };

/* A document, parsed; the caller's to json_decref(). RECORD_FOUND, RECORD_ABSENT or a fault. */
[[nodiscard]] int record_get(const struct lambda_scope *scope, str kind, str key, json_t **ret_doc,
	uint64_t *ret_revision);

/* One function as it is stored. Zeroed is empty; function_record_done() lets go. */
struct function_record {
	const struct lambda_scope *scope;
	str name;
	json_t *doc;
	uint64_t revision;
	json_t *latest; /* borrowed from doc: the configuration of $LATEST */
	str id;		/* borrowed from doc */
};

/* Read one: RECORD_FOUND and *ret_function (the caller's), RECORD_ABSENT, or a fault. */
[[nodiscard]] int function_record_get(
	const struct lambda_scope *scope, str name, struct function_record *ret_function);
/* Begin a new one (revision DOCS_NEW) around the configuration of its $LATEST, which is taken. */
[[nodiscard]] int function_record_new(const struct lambda_scope *scope, str name, json_t *latest,
	struct function_record *ret_function);
void function_record_done(struct function_record *function);
#define scoped_function [[gnu::cleanup(function_record_done)]] struct function_record

/* The keys; a view with at == NULL when out of memory, which a batch notices. */
str record_account_key(const struct lambda_scope *scope, str name);
str record_child_key(const struct function_record *function, str child);
str record_version_key(const struct function_record *function, uint64_t number);

/* A published version's document: {"Schema", "Config": {...}, "Source": fingerprint of the $LATEST it was made of}. */
[[nodiscard]] int version_record_get(const struct function_record *function, uint64_t number,
	json_t **ret_doc, uint64_t *ret_revision);
/* An alias: {"Schema", "Alias": {...}}. A policy: {"Schema", "RevisionId", "Statement": [...]}. */
[[nodiscard]] int alias_record_get(
	const struct function_record *function, str name, json_t **ret_doc, uint64_t *ret_revision);
[[nodiscard]] int policy_record_get(const struct function_record *function, str qualifier,
	json_t **ret_doc, uint64_t *ret_revision);

/* A URL: {"Schema", "Id", "Qualifier", …} with the model's members; of an alias, or of the function ("" or "$LATEST"). */
[[nodiscard]] int url_record_get(const struct function_record *function, str qualifier,
	json_t **ret_doc, uint64_t *ret_revision);
str record_url_key(const struct function_record *function, str qualifier);

/* Documents of a kind below a function, after a child key, at most `limit` (0: all), appended to an array. */
[[nodiscard]] int record_list(const struct function_record *function, str kind, str after,
	size_t limit, json_t *ret_array);
/* Documents of a kind whose key begins with a prefix: as above; keys are not kept. */
[[nodiscard]] int record_list_prefix(const struct lambda_scope *scope, str kind, str prefix,
	str after, size_t limit, json_t *ret_array);

/* The digest of what a configuration (or whatever else has a CodeSha256) names, as raw bytes: 0 or a fault. */
[[nodiscard]] int record_digest(const json_t *config, uint8_t to[static 32]);
/*
 * DIGEST/USER: that somebody uses the ZIP of this CodeSha256. A version of a function is account/region/name/id/version, and
 * with "/layers" behind it for the ZIPs of its layers; a layer's version is account/region/layer:name/version.
 */
str record_code_key(const struct lambda_scope *scope, const json_t *config, str user);

/* Documents that are written together or not at all. */
struct batch {
	const struct lambda_scope *scope;
	struct docs_write writes[DOCS_BATCH_MAX];
	size_t count;
	int err;      /* sticky */
	bool is_soon; /* committed by docs_write_soon() */
};

/* Put or delete a document, if its revision is still `expect` (see docs.h), with the rest of the batch. */
void batch_put(struct batch *batch, str kind, str key, const json_t *doc, uint64_t expect);
void batch_delete(struct batch *batch, str kind, str key, uint64_t expect);
/* The function's own document, as it is now. Every change of or below a function has this in its batch. */
void batch_put_function(struct batch *batch, const struct function_record *function);
/* DOCS_DONE; DOCS_CONFLICT: something has changed since it was read; or a fault. */
[[nodiscard]] int batch_commit(struct batch *batch);

/*
 * What the configuration of a version is, as one number in hex: equal means that nothing that a version
 * freezes differs. State, revisions and times do not count.
 */
[[nodiscard]] str record_fingerprint(struct arena *arena, const json_t *config);

/* A value as JSON text in the arena; a view with at == NULL when out of memory. `flags` are jansson's. */
[[nodiscard]] str record_text(struct arena *arena, const json_t *doc, size_t flags);

/* A new random UUID as a JSON string, for RevisionId; NULL when out of memory. */
[[nodiscard]] json_t *record_revision(void);
