/*
 * From the documents of a URL, its function and its policy to what is served. "Starting in October 2025, new function URLs
 * will require both lambda:InvokeFunctionUrl and lambda:InvokeFunction permissions": so it is for other accounts. "NONE: Lambda doesn't perform any authentication before invoking your function. However, your function's
 * resource-based policy is always in effect and must grant public access before your function URL can receive
 * requests." (Control access to Lambda function URLs)
 */
#include "services/lambda/url_book.h"

#include "aws/call.h"
#include "base/err.h"
#include "base/mem.h"
#include "services/lambda/caller.h"
#include "services/lambda/records.h"
#include "services/lambda/tree.h"

#include <errno.h>

enum { LOAD_ARENA_MAX = 1024 * 1024, URL_ARENA_MAX = 1024 * 1024 };

/* --- the policy --- */

/* What is known about a request by URL is the same for all; who sends it is not. */
static void url_read_policy(struct function_url *url, json_t *policy)
{
	const struct policy_request anybody = {
		.action = S("lambda:InvokeFunctionUrl"),
		.given = { [POLICY_URL_AUTH_TYPE] = S("NONE"), [POLICY_VIA_URL] = S("true") },
	};

	if (url->is_iam)
		url->policy = json_incref(policy);
	else
		url->is_open = lambda_policy_allows(policy, &anybody);
}

bool function_url_lets_in(const struct function_url *url, const struct lambda_caller *caller)
{
	struct policy_request call = lambda_caller_request(caller, S("lambda:InvokeFunctionUrl"));
	struct policy_request invoke = lambda_caller_request(caller, S("lambda:InvokeFunction"));

	if (str_eq(url->account, str_of(caller->account)))
		return true;
	call.given[POLICY_URL_AUTH_TYPE] = S("AWS_IAM");
	call.given[POLICY_VIA_URL] = S("true");
	invoke.given[POLICY_VIA_URL] = S("true");
	return lambda_policy_allows(url->policy, &call) &&
		lambda_policy_allows(url->policy, &invoke);
}

/* --- Cors --- */

/* The items; NULL when out of memory. */
static const str *load_list(struct arena *arena, const json_t *list)
{
	str *items = arena_new(arena, (json_array_size(list) + 1) * sizeof(str));
	size_t i;
	json_t *item;

	if (!items)
		return NULL;
	json_array_foreach(list, i, item)
	{
		items[i] = arena_str(arena, json_view(item));
		if (!items[i].at)
			return NULL;
	}
	return items;
}

/* The items with commas between; at == NULL when out of memory. */
static str load_joined(struct arena *arena, const json_t *list)
{
	struct buf joined;
	size_t i;
	json_t *item;

	buf_init(&joined, URL_ARENA_MAX);
	json_array_foreach(list, i, item)
	{
		if (i)
			buf_put_char(&joined, ',');
		buf_put(&joined, json_view(item));
	}
	str text = joined.err ? (str){} : arena_str(arena, buf_str(&joined));
	buf_done(&joined);
	return text;
}

static int url_read_cors(struct function_url *url, const json_t *cors)
{
	struct arena *arena = &url->arena;
	const json_t *age = json_object_get(cors, "MaxAge");

	if (!cors)
		return 0;
	url->has_cors = true;
	url->cors = (struct url_cors){
		.origins = load_list(arena, json_object_get(cors, "AllowOrigins")),
		.origin_count = json_array_size(json_object_get(cors, "AllowOrigins")),
		.methods = load_joined(arena, json_object_get(cors, "AllowMethods")),
		.headers = load_joined(arena, json_object_get(cors, "AllowHeaders")),
		.expose = load_joined(arena, json_object_get(cors, "ExposeHeaders")),
		.max_age_s = (uint32_t)json_integer_value(age),
		.has_max_age = age != NULL,
		.has_credentials = json_is_true(json_object_get(cors, "AllowCredentials")),
	};
	if (!url->cors.origins || !url->cors.methods.at || !url->cors.headers.at ||
		!url->cors.expose.at)
		return err_raise(-ENOMEM);
	return 0;
}

/* --- the URL --- */

static int url_fill(struct function_url *url, const struct function_record *function,
	const json_t *config, json_t *policy)
{
	struct arena *arena = &url->arena;
	const struct lambda_scope *scope = function->scope;
	str qualifier = json_get_str(config, "Qualifier");

	url->id = arena_str(arena, json_get_str(config, "Id"));
	url->account = arena_str(arena, scope->account);
	url->region = arena_str(arena, scope->region);
	url->name = arena_str(arena, function->name);
	url->qualifier = arena_str(arena, qualifier);
	url->is_iam = str_eq(json_get_str(config, "AuthType"), S("AWS_IAM"));
	url->is_streaming = str_eq(json_get_str(config, "InvokeMode"), S("RESPONSE_STREAM"));
	if (!url->id.at || !url->account.at || !url->region.at || !url->name.at ||
		!url->qualifier.at)
		return err_raise(-ENOMEM);
	url_read_policy(url, policy);
	return err_pass(url_read_cors(url, json_object_get(config, "Cors")));
}

static int url_make(const struct function_record *function, const json_t *config, json_t *policy,
	struct function_url **ret_url)
{
	struct function_url *url = mem_one(struct function_url);
	if (!url)
		return err_raise(-ENOMEM);

	url->refs = 1;
	list_init(&url->recent);
	arena_init(&url->arena, URL_ARENA_MAX);
	int r = url_fill(url, function, config, policy);
	if (r < 0) {
		function_url_unref(url);
		return err_pass(r);
	}
	*ret_url = url;
	return URL_LOADED;
}

/* The function that the id's document names, if it still is that one. RECORD_FOUND, RECORD_ABSENT or a fault. */
static int url_read_function(
	const struct lambda_scope *scope, const json_t *owner, struct function_record *ret_function)
{
	struct function_record function;

	int r = function_record_get(scope, json_get_str(owner, "Name"), &function);
	if (r != RECORD_FOUND)
		return err_pass(r);
	if (!str_eq(function.id, json_get_str(owner, "Function"))) {
		function_record_done(&function);
		return RECORD_ABSENT;
	}
	*ret_function = function;
	return RECORD_FOUND;
}

static int url_read(struct lambda_scope *scope, str id, struct function_url **ret_url)
{
	scoped_function function = {};
	json_auto_t *owner = NULL, *config = NULL, *policy = NULL;

	int r = record_get(scope, KIND_URL_OWNER, id, &owner, NULL);
	if (r != RECORD_FOUND)
		return r < 0 ? err_pass(r) : URL_NONE;
	scope->account = json_get_str(owner, "Account");
	scope->region = json_get_str(owner, "Region");
	r = url_read_function(scope, owner, &function);
	if (r == RECORD_FOUND)
		r = url_record_get(&function, json_get_str(owner, "Qualifier"), &config, NULL);
	if (r != RECORD_FOUND)
		return r < 0 ? err_pass(r) : URL_NONE;
	r = policy_record_get(&function, json_get_str(owner, "Qualifier"), &policy, NULL);
	return r < 0 ? err_pass(r) : err_pass(url_make(&function, config, policy, ret_url));
}

int url_load(struct platform *platform, str id, struct function_url **ret_url)
{
	struct arena arena;
	struct lambda_scope scope = { .platform = platform, .arena = &arena };

	arena_init(&arena, LOAD_ARENA_MAX);
	int r = url_read(&scope, id, ret_url);
	arena_done(&arena);
	return err_pass(r);
}
