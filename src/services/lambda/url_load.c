/*
 * From the documents of a URL, its function and its policy to what is served. Of the policy only the answer is kept: who
 * may come in. "NONE: Lambda doesn't perform any authentication before invoking your function. However, your function's
 * resource-based policy is always in effect and must grant public access before your function URL can receive
 * requests." (Control access to Lambda function URLs)
 */
#include "services/lambda/url_book.h"

#include "aws/call.h"
#include "base/err.h"
#include "base/mem.h"
#include "services/lambda/records.h"
#include "services/lambda/tree.h"

#include <errno.h>

enum { LOAD_ARENA_MAX = 1024 * 1024, URL_ARENA_MAX = 1024 * 1024, ACCOUNT_LEN = 12 };

/* --- the policy --- */

/* Is this what is known about a request by URL? A key that is not known of it is not met. */
static bool condition_holds(str operator, str key, const json_t *value, str auth_type)
{
	if (str_eq(operator, S("StringEquals")) && str_eq(key, S("lambda:FunctionUrlAuthType")))
		return str_eq(json_view(value), auth_type);
	if (str_eq(operator, S("Bool")) && str_eq(key, S("lambda:InvokedViaFunctionUrl")))
		return str_eq(json_view(value), S("true"));
	return false;
}

static bool conditions_hold(const json_t *statement, str auth_type)
{
	const char *operator, * key;
	json_t *group, *value;

	json_object_foreach(json_object_get(statement, "Condition"), operator, group)
	{
		json_object_foreach(group, key, value)
		{
			if (!condition_holds(str_of(operator), str_of(key), value, auth_type))
				return false;
		}
	}
	return true;
}

static bool statement_is_about_urls(const json_t *statement, str auth_type)
{
	str action = json_get_str(statement, "Action");

	return (str_eq(action, S("lambda:InvokeFunctionUrl")) || str_eq(action, S("lambda:*")) ||
		       str_eq(action, S("*"))) &&
		conditions_hold(statement, auth_type);
}

/* "arn:aws:iam::123456789012:root" → the account; empty for everything else. */
static str principal_account(str arn)
{
	str rest = arn, part = {};

	for (int i = 0; i < 5; i++)
		if (!str_cut(&rest, ':', &part))
			return S("");
	return part.len == ACCOUNT_LEN && str_eq(rest, S("root")) ? part : S("");
}

static int url_read_policy(struct function_url *url, const json_t *policy)
{
	const json_t *statements = json_object_get(policy, "Statement");
	str *accounts = arena_new(&url->arena, (json_array_size(statements) + 1) * sizeof(str));
	str auth_type = url->is_iam ? S("AWS_IAM") : S("NONE");
	size_t i;
	json_t *statement;

	if (!accounts)
		return err_raise(-ENOMEM);
	url->accounts = accounts;
	json_array_foreach(statements, i, statement)
	{
		const json_t *principal = json_object_get(statement, "Principal");
		if (!statement_is_about_urls(statement, auth_type))
			continue;
		str account = principal_account(json_get_str(principal, "AWS"));
		if (json_is_string(principal) && str_eq(json_view(principal), S("*")))
			url->is_open = true;
		else if (account.len)
			accounts[url->account_count++] = arena_str(&url->arena, account);
		if (url->account_count && !accounts[url->account_count - 1].at)
			return err_raise(-ENOMEM);
	}
	return 0;
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
	const json_t *config, const json_t *policy)
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
	int r = url_read_cors(url, json_object_get(config, "Cors"));
	return r < 0 ? err_pass(r) : err_pass(url_read_policy(url, policy));
}

static int url_make(const struct function_record *function, const json_t *config,
	const json_t *policy, struct function_url **ret_url)
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
