#pragma once
/* Which service a request is for, and who sends it. */
#include "aws/front.h"
#include "wire/session.h"
#include "wire/sigv4.h"

/* What a request says of itself; views into the request and into tables. */
struct identity {
	const struct call_service *service; /* built in, or NULL */
	const struct aws_service *model;    /* of it, in the protocol of the request */
	const struct aws_catalog_row *row;  /* a service of AWS's that is not, or NULL */
	uint8_t protocol; /* to answer errors in: of the service, or the likeliest */
	struct sigv4_claim claim;
	bool is_claim_malformed;
	/* Its credentials are temporary ones of ours: whose, and the secret to check against. It says so, no more. */
	bool has_session;
	struct session session;
	struct session_credentials credentials;
};

/*
 * Told by, in this order: X-Amz-Target, the signature's scope, the Action of a form or query, a path of Lambda's, the
 * host. `body` is looked at for an Action only. Cheap: no allocation.
 */
void identify(const struct front_options *options, const struct http_head *head, str body,
	struct identity *ret_identity);

/* The part of it that is about who signed it: no service is looked for, errors are REST JSON's. */
void identify_signer(const struct front_options *options, const struct http_head *head,
	struct identity *ret_identity);

/* The Action of a query-protocol request, from its query string or its form; at == NULL when there is none. */
[[nodiscard]] str identify_action(const struct http_head *head, str body);

/* The part of X-Amz-Target behind the dot; at == NULL when there is none. */
[[nodiscard]] str identify_target(const struct http_head *head);
