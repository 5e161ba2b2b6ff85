#pragma once
/*
 * The statements of resource-based policies, as AddPermission and AddLayerVersionPermission make them, and whom they let
 * through. Every statement allows, so a policy allows what one of its statements does. Pure rules over views.
 */
#include "base/str.h"

enum policy_principal {
	POLICY_NOBODY,	/* in no form that is known here */
	POLICY_ANYBODY, /* "*" */
	POLICY_SERVICE, /* "s3.amazonaws.com" */
	POLICY_AWS,	/* an account ("arn:aws:iam::ACCOUNT:root") or one identity, by its ARN */
};

/* What a condition asks about. Each is a condition key of AWS's. */
enum policy_key {
	POLICY_SOURCE_ACCOUNT, /* AWS:SourceAccount */
	POLICY_SOURCE_ARN,     /* AWS:SourceArn */
	POLICY_URL_AUTH_TYPE,  /* lambda:FunctionUrlAuthType */
	POLICY_VIA_URL,	       /* lambda:InvokedViaFunctionUrl */
	POLICY_EVENT_TOKEN,    /* lambda:EventSourceToken */
	POLICY_ORGANIZATION,   /* aws:PrincipalOrgID */
	POLICY_KEYS
};

enum policy_operator { POLICY_STRING_EQUALS, POLICY_BOOL, POLICY_ARN_LIKE };

/* How a condition on the key is written: under which operator, by which name. The name is a constant. */
struct policy_key_form {
	enum policy_operator operator;
	const char *name;
};
const struct policy_key_form *policy_key_form(enum policy_key key);
/* "StringEquals", "Bool", "ArnLike" */
const char *policy_operator_name(enum policy_operator operator);

struct policy_statement {
	enum policy_principal kind;
	str principal;
	str action;		 /* "lambda:InvokeFunction", "lambda:*" or "*" */
	str wanted[POLICY_KEYS]; /* at == NULL: no condition on it */
};

/* Who wants to do what. */
struct policy_request {
	str action;   /* "lambda:InvokeFunction" */
	str service;  /* "s3.amazonaws.com"; empty: it is no service */
	str account;  /* of an identity; empty: it is none */
	str identity; /* its ARN; empty: not known, or none */
	str role;     /* the name of the role whose session it is; empty: of none */
	str given
		[POLICY_KEYS]; /* what is known of it; at == NULL: nothing, which meets no condition */
};

/* Does the statement let it through? */
[[nodiscard]] bool policy_statement_allows(
	const struct policy_statement *statement, const struct policy_request *request);

/*
 * IAM's ArnLike: each of the six parts between colons is compared by itself (the last one is all the rest), with `*` for any
 * run of characters and `?` for one.
 */
[[nodiscard]] bool policy_arn_is_like(str arn, str pattern);
