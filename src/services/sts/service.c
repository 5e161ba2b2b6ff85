/*
 * STS as far as the clients of Lambda need it. What it gives out is known to every endpoint of this installation (see
 * wire/session.h), also to those that check signatures, and says there in whose name a request comes. What a role may do
 * is not decided anywhere: whoever may sign may do everything in its account.
 */
#include "services/sts/service.h"

#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "os/random.h"
#include "store/docs.h"
#include "wire/digest.h"
#include "wire/session.h"

#include <errno.h>
#include <string.h>

extern const struct aws_service aws_service_sts;

enum { SESSION_S_DEFAULT = 3600, SESSION_TOKEN_S_DEFAULT = 43'200, ROLE_ID_LEN = 21 };

/* Who asks: its ARN, as AWS writes it. The account's root where no temporary credentials say otherwise. */
static str caller_arn(struct call *call)
{
	char arn[SESSION_ARN_MAX];

	if (!call->session)
		return arena_strf(
			call->arena, "arn:aws:iam::" STR_FMT ":root", STR_ARG(call->account));
	session_put_arn(call->session, arn);
	return arena_str(call->arena, str_of(arn));
}

static json_t *credentials_json(struct call *call, const struct session *holder, int64_t seconds)
{
	struct session session = *holder;
	struct session_credentials made;
	uint8_t nonce[SESSION_NONCE_LEN];

	session.expires_s = clock_real_ms() / 1000 + (uint64_t)seconds;
	random_bytes(nonce, sizeof(nonce));
	session_seal(call->platform->session_key, nonce, &session, &made);
	return json_pack("{s:s, s:s, s:s, s:I}", "AccessKeyId", made.access_key, "SecretAccessKey",
		made.secret, "SessionToken", made.token, "Expiration",
		(json_int_t)session.expires_s * 1000);
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

/* The id of a role that nobody has made: always the same for the same name. */
static str role_id_derive(struct call *call, str account, str name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	char id[ROLE_ID_LEN + 1] = "AROA";
	uint8_t digest[32];

	str key = arena_strf(call->arena, STR_FMT "/" STR_FMT, STR_ARG(account), STR_ARG(name));
	if (!key.at)
		return key;
	digest_sha256(key, digest);
	for (size_t i = 4; i < ROLE_ID_LEN; i++)
		id[i] = letters[digest[i] % 32];
	return arena_str(call->arena, (str){ id, ROLE_ID_LEN });
}

/* A role's id, as IAM keeps it: 0 and *ret_id (at == NULL: there is no such role), or a fault. */
static int role_id_find(struct call *call, str account, str name, str *ret_id)
{
	str key = arena_strf(call->arena, STR_FMT "/" STR_FMT, STR_ARG(account), STR_ARG(name));
	struct buf text;

	if (!key.at)
		return err_raise(-ENOMEM);
	buf_init(&text, DOCS_VALUE_MAX);
	int r = docs_get(call->platform->docs, S("iam.role"), key, &text, NULL);
	json_t *role = r == DOCS_DONE ? json_loadb(text.at, text.len, 0, NULL) : NULL;
	if (r >= 0)
		*ret_id = role ? arena_str(call->arena, json_get_str(role, "RoleId")) : (str){};
	json_decref(role);
	buf_done(&text);
	return r < 0 ? err_pass(r) : 0;
}

/* "AROA…:session", or the account. */
static int caller_id(struct call *call, str *ret_id)
{
	const struct session *session = call->session;
	str id;

	*ret_id = call->account;
	if (!session || !session->role[0])
		return 0;
	int r = role_id_find(call, call->account, str_of(session->role), &id);
	if (r < 0)
		return err_pass(r);
	if (!id.at)
		id = role_id_derive(call, call->account, str_of(session->role));
	if (!id.at)
		return err_raise(-ENOMEM);
	*ret_id = arena_strf(call->arena, STR_FMT ":%s", STR_ARG(id), session->name);
	return ret_id->at ? 0 : err_raise(-ENOMEM);
}

static int sts_get_caller_identity(struct call *call)
{
	str arn = caller_arn(call), id;

	int r = arn.at ? caller_id(call, &id) : err_raise(-ENOMEM);
	if (r == 0)
		r = json_put(call->out, "UserId", json_from_str(id));
	if (r == 0)
		r = json_put(call->out, "Account", json_from_str(call->account));
	if (r == 0)
		r = json_put(call->out, "Arn", json_from_str(arn));
	return err_pass(r);
}

static int assumed_role_user(struct call *call, const struct session *session, str id)
{
	char arn[SESSION_ARN_MAX];
	str role_id = arena_strf(call->arena, STR_FMT ":%s", STR_ARG(id), session->name);

	if (!role_id.at)
		return err_raise(-ENOMEM);
	session_put_arn(session, arn);
	return err_pass(json_put(call->out, "AssumedRoleUser",
		json_pack("{s:o, s:s}", "AssumedRoleId", json_from_str(role_id), "Arn", arn)));
}

/* The parts of a session: false when one is longer than AWS allows. */
static bool session_of(str account, str role, str name, struct session *ret_session)
{
	*ret_session = (struct session){};
	return str_to_array(account, ret_session->account, sizeof(ret_session->account)) == 0 &&
		str_to_array(role, ret_session->role, sizeof(ret_session->role)) == 0 &&
		str_to_array(name, ret_session->name, sizeof(ret_session->name)) == 0;
}

/* An error that is in no operation's model. */
#define sts_deny(call, ...) \
	((call)->error_status = 403, call_error((call), "AccessDenied", __VA_ARGS__))

static int sts_assume_role(struct call *call)
{
	str arn = call_str(call, "RoleArn"), account, name, id;
	struct session session;

	if (!role_arn_cut(arn, &account, &name) ||
		!session_of(account, name, call_str(call, "RoleSessionName"), &session))
		return call_error(call, "ValidationError", STR_FMT " is invalid", STR_ARG(arn));
	int r = role_id_find(call, account, name, &id);
	if (r < 0)
		return err_pass(r);
	str caller = caller_arn(call);
	if (!id.at)
		return sts_deny(call,
			"User: " STR_FMT
			" is not authorized to perform: sts:AssumeRole on resource: " STR_FMT,
			STR_ARG(caller), STR_ARG(arn));
	r = json_put(call->out, "Credentials",
		credentials_json(
			call, &session, call_int(call, "DurationSeconds", SESSION_S_DEFAULT)));
	if (r == 0)
		r = assumed_role_user(call, &session, id);
	return err_pass(r);
}

/* "You cannot call any STS API except AssumeRole or GetCallerIdentity" with what this gives out. */
static int sts_get_session_token(struct call *call)
{
	struct session session;

	if (call->session)
		return sts_deny(call, "Cannot call GetSessionToken with session credentials");
	if (!session_of(call->account, S(""), S(""), &session))
		return err_raise(-EINVAL);
	return err_pass(json_put(call->out, "Credentials",
		credentials_json(call, &session,
			call_int(call, "DurationSeconds", SESSION_TOKEN_S_DEFAULT))));
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
