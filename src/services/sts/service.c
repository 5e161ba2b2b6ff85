/*
 * STS as far as the clients of Lambda need it. Credentials that are given out here are accepted wherever any are
 * (a loopback endpoint); an endpoint that checks signatures knows only the keys of its settings, and AssumeRole says so.
 */
#include "services/sts/service.h"

#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "os/random.h"
#include "store/docs.h"

#include <errno.h>
#include <string.h>

extern const struct aws_service aws_service_sts;

enum {
	SESSION_S_DEFAULT = 3600,
	SESSION_TOKEN_S_DEFAULT = 43'200,
	ID_LEN = 16,
	SECRET_LEN = 40,
	TOKEN_LEN = 128
};

/* Random text of upper-case letters and digits (ids), or of base64's letters (secrets). */
static str random_text(struct call *call, const char *prefix, size_t len, str letters)
{
	unsigned char bytes[TOKEN_LEN];
	char text[TOKEN_LEN];

	random_bytes(bytes, len);
	for (size_t i = 0; i < len; i++)
		text[i] = letters.at[bytes[i] % letters.len];
	return arena_strf(call->arena, "%s%.*s", prefix, (int)len, text);
}

#define ID_LETTERS     S("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
#define SECRET_LETTERS S("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

static json_t *credentials(struct call *call, int64_t seconds)
{
	str key = random_text(call, "ASIA", ID_LEN, ID_LETTERS);
	str secret = random_text(call, "", SECRET_LEN, SECRET_LETTERS);
	str token = random_text(call, "FwoGZXIvYXdz", TOKEN_LEN, SECRET_LETTERS);

	if (!key.at || !secret.at || !token.at)
		return NULL;
	return json_pack("{s:o, s:o, s:o, s:I}", "AccessKeyId", json_from_str(key),
		"SecretAccessKey", json_from_str(secret), "SessionToken", json_from_str(token),
		"Expiration", (json_int_t)(clock_real_ms() + (uint64_t)seconds * 1000));
}

static int sts_get_caller_identity(struct call *call)
{
	str arn = arena_strf(call->arena, "arn:aws:iam::" STR_FMT ":root", STR_ARG(call->account));

	if (!arn.at)
		return err_raise(-ENOMEM);
	int r = json_put(call->out, "UserId", json_from_str(call->account));
	if (r == 0)
		r = json_put(call->out, "Account", json_from_str(call->account));
	if (r == 0)
		r = json_put(call->out, "Arn", json_from_str(arn));
	return err_pass(r);
}

/* arn:aws:iam::ACCOUNT:role/PATH/NAME → ACCOUNT and NAME. */
static bool role_arn_cut(str arn, str *ret_account, str *ret_name)
{
	str rest = arn, part;

	for (int i = 0; i < 4; i++) {
		if (!str_cut(&rest, ':', &part))
			return false;
	}
	if (!str_cut(&rest, ':', ret_account) || !str_starts(rest, S("role/")))
		return false;
	*ret_name = rest;
	while (str_cut(&rest, '/', &part))
		*ret_name = rest;
	return ret_name->len > 0;
}

static int role_exists(struct call *call, str account, str name, bool *ret_exists)
{
	str key = arena_strf(call->arena, STR_FMT "/" STR_FMT, STR_ARG(account), STR_ARG(name));
	if (!key.at)
		return err_raise(-ENOMEM);

	int r = docs_get(call->platform->docs, S("iam.role"), key, NULL, NULL);
	if (r < 0)
		return err_pass(r);
	*ret_exists = r == DOCS_DONE;
	return 0;
}

static int assumed_role_user(struct call *call, str account, str name, str session)
{
	str id = random_text(call, "AROA", ID_LEN + 1, ID_LETTERS);
	str arn = arena_strf(call->arena,
		"arn:aws:sts::" STR_FMT ":assumed-role/" STR_FMT "/" STR_FMT, STR_ARG(account),
		STR_ARG(name), STR_ARG(session));
	str role_id = arena_strf(call->arena, STR_FMT ":" STR_FMT, STR_ARG(id), STR_ARG(session));

	if (!id.at || !arn.at || !role_id.at)
		return err_raise(-ENOMEM);
	return err_pass(json_put(call->out, "AssumedRoleUser",
		json_pack("{s:o, s:o}", "AssumedRoleId", json_from_str(role_id), "Arn",
			json_from_str(arn))));
}

static int sts_assume_role(struct call *call)
{
	str arn = call_str(call, "RoleArn"), session = call_str(call, "RoleSessionName"), account,
	    name;
	bool exists;

	if (!role_arn_cut(arn, &account, &name))
		return call_error(call, "ValidationError", STR_FMT " is invalid", STR_ARG(arn));
	int r = role_exists(call, account, name, &exists);
	if (r < 0)
		return err_pass(r);
	if (!exists)
		return call_error(call, "AccessDenied",
			"User: arn:aws:iam::" STR_FMT
			":root is not authorized to perform: sts:AssumeRole on resource: " STR_FMT,
			STR_ARG(call->account), STR_ARG(arn));
	r = json_put(call->out, "Credentials",
		credentials(call, call_int(call, "DurationSeconds", SESSION_S_DEFAULT)));
	if (r == 0)
		r = assumed_role_user(call, account, name, session);
	return err_pass(r);
}

static int sts_get_session_token(struct call *call)
{
	return err_pass(json_put(call->out, "Credentials",
		credentials(call, call_int(call, "DurationSeconds", SESSION_TOKEN_S_DEFAULT))));
}

static const struct call_route routes[] = {
	{ "AssumeRole", sts_assume_role },
	{ "GetCallerIdentity", sts_get_caller_identity },
	{ "GetSessionToken", sts_get_session_token },
};

const struct call_service sts_service = {
	.model = &aws_service_sts,
	.routes = routes,
	.route_count = ARRAY_LEN(routes),
	.validation_code = "ValidationError",
};
