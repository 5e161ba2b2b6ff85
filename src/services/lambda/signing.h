#pragma once
/*
 * Code signing configurations. No ZIP has a signature that a node could verify (AWS Signer's are its own), so all code is
 * untrusted: with UntrustedArtifactOnDeployment = Enforce none is deployed, with Warn it is, and the log says so.
 *
 *	lambda.signing  account/region/csc-id        {"Schema", "Tags", "Config": {...}}
 *	lambda.signed   account/region/csc-id/name   a function that has it; its document names the ARN, too
 */
#include "services/lambda/names.h"

#define KIND_SIGNING S("lambda.signing")
#define KIND_SIGNED  S("lambda.signed")

/*
 * May code or layers be deployed to a function with this configuration (empty: with none)? 0; CALL_ERROR: there is no such
 * configuration, or it enforces; or a fault.
 */
[[nodiscard]] int lambda_signing_check(struct call *call, str name, str arn);
/* The same by the function. */
[[nodiscard]] int lambda_signing_check_function(
	struct call *call, const struct function_record *function);

/*
 * Give a function this configuration, which must exist, or none (empty): what its document and the batch must say. 0,
 * CALL_ERROR or a fault.
 */
[[nodiscard]] int lambda_signing_put(
	struct call *call, struct function_record *function, struct batch *batch, str arn);
/* The function goes. */
void lambda_signing_forget(struct batch *batch, const struct function_record *function);

/* A configuration's document by its ARN: RECORD_FOUND and *ret_doc (the caller's), RECORD_ABSENT or a fault. */
[[nodiscard]] int lambda_signing_get(
	const struct lambda_scope *scope, str arn, json_t **ret_doc, uint64_t *ret_revision);
/* Its key, or an ARN that is none: a view with at == NULL, as when out of memory. */
str lambda_signing_key(const struct lambda_scope *scope, str arn);
