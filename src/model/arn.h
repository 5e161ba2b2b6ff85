#pragma once
/*
 * Names of Lambda resources in every form that AWS accepts: function name, name:qualifier, partial ARN
 * (account:function:name[:qualifier]) and full ARN.
 */
#include "base/buf.h"
#include "base/str.h"

struct function_name {
	str account; /* empty when the form does not say */
	str region;  /* empty when the form does not say */
	str name;
	str qualifier; /* empty when none */
};

/*
 * Take a FunctionName parameter apart: views into `text`. 0, or -EINVAL when it is none of the forms.
 * (The pattern and length of the parameter were checked by the model's constraints before.)
 */
[[nodiscard]] int function_name_parse(str text, struct function_name *ret_name);

/* arn:aws:lambda:REGION:ACCOUNT:layer:NAME[:VERSION], taken apart: views into the text. */
struct layer_name {
	str region, account, name;
	str version; /* empty when none */
};

/* 0, or -EINVAL when it is none (arn:aws:lambda:::awslayer:NAME is not). */
[[nodiscard]] int layer_name_parse(str arn, struct layer_name *ret_name);

enum qualifier_kind { QUALIFIER_LATEST, QUALIFIER_VERSION, QUALIFIER_ALIAS, QUALIFIER_BAD };
/* "$LATEST" (or empty), digits, an alias name ([a-zA-Z0-9$_-]+, not all digits), or none of them. */
[[nodiscard]] enum qualifier_kind qualifier_kind(str qualifier);

/* The partition that ARNs of a region begin with: "aws", "aws-cn" or "aws-us-gov". */
[[nodiscard]] str arn_partition(str region);

/*
 * "arn:aws:lambda:REGION::runtime:HASH" of what runs a runtime name here: the hash changes when another
 * version of the language is installed.
 */
void runtime_put_arn(struct buf *out, str region, str name, str pack, str version);
