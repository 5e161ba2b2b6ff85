#pragma once
/*
 * Layers: ZIPs with a name and versions, which functions have at /opt. A version never changes; its number is never given
 * again, also when all versions are gone.
 *
 *	lambda.layer         account/region/name              {"Schema", "Name", "NextVersion"}
 *	lambda.layerversion  account/region/name/9999999998   {"Schema", "Layer": {...}}: the newest come first
 *	lambda.layerpolicy   account/region/name/9999999998   a policy, see statements.h
 *
 * "Layer" has the members of AWS's answers, CodeSha256, CodeSize, and "Unpacked", the bytes of all its files.
 */
#include "services/lambda/names.h"
#include "services/lambda/tree.h"

#define KIND_LAYER	   S("lambda.layer")
#define KIND_LAYER_VERSION S("lambda.layerversion")
#define KIND_LAYER_POLICY  S("lambda.layerpolicy")

/* The ARN of a layer (number 0) or of one of its versions, in the arena. */
str lambda_layer_arn(const struct lambda_scope *scope, str name, uint64_t number);

/*
 * Read the parameter LayerName, a name or an ARN. ret_ref->scope is the layer's, which may be of another account. 0;
 * CALL_ERROR when it names another region; or a fault.
 */
[[nodiscard]] int lambda_layer_ref(struct call *call, struct lambda_ref *ret_ref);
/* The same for what only the account itself may do: other accounts are refused. */
[[nodiscard]] int lambda_layer_ref_own(struct call *call, struct lambda_ref *ret_ref);

/* The parameter VersionNumber: 0 or CALL_ERROR. */
[[nodiscard]] int lambda_layer_number(struct call *call, uint64_t *ret_number);

/* The key of a version and of its policy; at == NULL when out of memory. */
str lambda_layer_key(const struct lambda_scope *scope, str name, uint64_t number);

/* A version's document: RECORD_FOUND and *ret_doc (the caller's), RECORD_ABSENT or a fault. */
[[nodiscard]] int lambda_layer_get(const struct lambda_scope *scope, str name, uint64_t number,
	json_t **ret_doc, uint64_t *ret_revision);

/*
 * The same for a caller who wants to have it: another account's version must let the caller's do that. 0 and
 * *ret_doc (the caller's; NULL: there is none), CALL_ERROR or a fault.
 */
[[nodiscard]] int lambda_layer_have(struct call *call, const struct lambda_scope *scope, str name,
	uint64_t number, json_t **ret_doc);

/* What lists and answers show of a version in common, without Content. */
void lambda_layer_show(
	struct tree *out, const struct lambda_scope *scope, str name, const json_t *layer);

/* --- of functions --- */

/*
 * Put the parameter Layers, if it was given, into a configuration: "Layers" as AWS shows them, and "LayerCode", which is
 * ours: their ZIPs, so that a layer which is deleted stays with the functions that have it. 0, CALL_ERROR or a fault.
 */
[[nodiscard]] int lambda_layers_set(struct call *call, struct tree *config);

/* Code and layers must not be too large together when they are unpacked: 0 or CALL_ERROR. */
[[nodiscard]] int lambda_layers_check_size(struct call *call, const json_t *config);
