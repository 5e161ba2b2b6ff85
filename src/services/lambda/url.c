/*
 * Create, Get, Update, Delete and List of FunctionUrlConfig.
 *
 * A URL is of a function or of one of its aliases, and has two documents: what it is, below the function, and whose it is,
 * by its id. Both are written together. The id is random: "creating a new function URL results in a different URL address".
 * The address is made anew for each answer from the host by which the client reaches us, because one that it cannot
 * reach is of no use.
 *
 * AWS keeps the URL of an alias that is deleted; without the alias' policy it lets nobody in.
 */
#include "services/lambda/url.h"

#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "model/arn.h"
#include "model/limits.h"
#include "os/clock.h"
#include "os/random.h"
#include "services/lambda/names.h"
#include "services/lambda/operations.h"
#include "services/lambda/page.h"
#include "services/lambda/tree.h"
#include "wire/timestamp.h"

#include <errno.h>

static const char URL_MISSING[] = "The resource you requested does not exist.";
static const char URL_NO_FUNCTION[] = "Function does not exist";

/* --- its address --- */

/* "127.0.0.1", "[::1]", "10.1.2.3": nothing that could have a subdomain. */
static bool host_is_number(str host)
{
	bool has_digit = false;

	for (size_t i = 0; i < host.len; i++) {
		char c = host.at[i];
		if (c == '[')
			return true;
		if (c != '.' && !(c >= '0' && c <= '9'))
			return false;
		has_digit = has_digit || c != '.';
	}
	return has_digit;
}

/* Into its name and ":port" (or nothing). */
static void host_split(str host, str *ret_name, str *ret_port)
{
	*ret_name = http_host_name(host);
	*ret_port = str_from(host, ret_name->len);
}

/* Without what an endpoint of Lambda has before the part that all services share. */
static str host_base(str name, str region)
{
	if (str_starts_fold(name, S("lambda.")))
		name = str_from(name, 7);
	if (str_starts_fold(name, region) && name.len > region.len && name.at[region.len] == '.')
		name = str_from(name, region.len + 1);
	return name;
}

/* In the arena; at == NULL when out of memory. */
static str url_address(const struct call *call, str id)
{
	const char *scheme = call->is_secure ? "https" : "http";
	str name, port;

	host_split(call->host, &name, &port);
	bool is_loopback = str_eq(name, S("[::1]")) || str_starts(name, S("127."));
	if (host_is_number(name) && !is_loopback)
		return arena_strf(call->arena, "%s://" STR_FMT STR_FMT STR_FMT "/", scheme,
			STR_ARG(call->host), STR_ARG(URL_PATH), STR_ARG(id));
	if (host_is_number(name))
		name = S("localhost");
	name = host_base(name, call->region);
	return arena_strf(call->arena, "%s://" STR_FMT STR_FMT STR_FMT "." STR_FMT STR_FMT "/",
		scheme, STR_ARG(id), STR_ARG(URL_HOST), STR_ARG(call->region), STR_ARG(name),
		STR_ARG(port));
}

/* --- answers --- */

static json_t *url_time(uint64_t ms)
{
	char text[64];
	struct buf time;

	buf_init_over(&time, text, sizeof(text));
	timestamp_put_iso8601(&time, ms, true);
	return time.err ? NULL : json_from_str(buf_str(&time));
}

static int url_show(
	struct call *call, const struct lambda_ref *ref, const json_t *config, struct tree *out)
{
	static const char *const members[] = { "AuthType", "Cors", "CreationTime",
		"LastModifiedTime", "InvokeMode" };

	tree_put_str(out, "FunctionUrl", url_address(call, json_get_str(config, "Id")));
	tree_put_str(out, "FunctionArn",
		lambda_arn(&ref->scope, ref->name, json_get_str(config, "Qualifier")));
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		tree_copy(out, members[i], json_object_get(config, members[i]));
	return err_pass(out->err);
}

/* The parameters into a configuration: what is given replaces what is there. */
static void url_apply(const struct call *call, struct tree *config)
{
	const json_t *cors = call_get(call, "Cors");
	uint64_t now_ms = clock_real_ms();

	tree_copy(config, "AuthType", call_get(call, "AuthType"));
	tree_copy(config, "InvokeMode", call_get(call, "InvokeMode"));
	if (cors) {
		tree_drop(config, "Cors");
		if (json_object_size(cors))
			tree_copy(config, "Cors", cors);
	}
	if (!json_object_get(config->at, "CreationTime"))
		tree_put(config, "CreationTime", url_time(now_ms));
	tree_put(config, "LastModifiedTime", url_time(now_ms));
}

/* --- create --- */

static json_t *url_new_id(void)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char bytes[URL_ID_LEN];
	char id[URL_ID_LEN];

	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(id); i++)
		id[i] = letters[bytes[i] % 32];
	return json_stringn(id, sizeof(id));
}

/* The function, and the alias if one is named: 0, CALL_ERROR or a fault. */
static int url_read_target(
	struct call *call, const struct lambda_ref *ref, struct function_record *function)
{
	json_auto_t *alias = NULL;

	int r = function_record_get(&ref->scope, ref->name, function);
	if (r == RECORD_FOUND && ref->qualifier.len)
		r = alias_record_get(function, ref->qualifier, &alias, NULL);
	return r == RECORD_ABSENT ? lambda_refuse(call, NOT_FOUND, "%s", URL_NO_FUNCTION)
				  : err_pass(r);
}

/* Whose it is, to be found by its id. */
static json_t *url_owner(const struct function_record *function, str qualifier)
{
	json_t *owner = json_object();
	struct tree tree = { .at = owner };

	tree_put_int(&tree, "Schema", RECORD_SCHEMA);
	tree_put_str(&tree, "Account", function->scope->account);
	tree_put_str(&tree, "Region", function->scope->region);
	tree_put_str(&tree, "Name", function->name);
	tree_put_str(&tree, "Function", function->id);
	tree_put_str(&tree, "Qualifier", qualifier);
	if (!tree.err)
		return owner;
	json_decref(owner);
	return NULL;
}

/* Write both documents and let the node know. 0, LAMBDA_AGAIN or a fault. */
static int url_write_new(
	const struct lambda_ref *ref, const struct function_record *function, const json_t *config)
{
	struct batch batch = { .scope = &ref->scope };
	json_auto_t *owner = url_owner(function, ref->qualifier);

	if (!owner)
		return err_raise(-ENOMEM);
	batch_put(&batch, KIND_URL, record_url_key(function, ref->qualifier), config, DOCS_NEW);
	batch_put(&batch, KIND_URL_OWNER, json_get_str(config, "Id"), owner, DOCS_NEW);
	batch_put_function(&batch, function);
	return err_pass(lambda_commit(&batch, ref->name));
}

static int create_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *existing = NULL, *config = json_object();
	struct tree tree = { .at = config }, out = { .at = call->out };

	(void)context;
	int r = url_read_target(call, ref, &function);
	if (r == 0)
		r = lambda_check_no_tenants(call, &function, "FunctionUrlConfig");
	if (r)
		return err_pass(r);
	r = url_record_get(&function, ref->qualifier, &existing, NULL);
	if (r == RECORD_FOUND) {
		str arn = lambda_arn(&ref->scope, ref->name, ref->qualifier);
		return lambda_refuse(call, CONFLICT,
			"Failed to create function url config for [functionArn = " STR_FMT
			"]. Error message:  FunctionUrlConfig exists for this Lambda function",
			STR_ARG(arn));
	}
	if (r < 0)
		return err_pass(r);
	tree_put_int(&tree, "Schema", RECORD_SCHEMA);
	tree_put(&tree, "Id", url_new_id());
	tree_put_str(&tree, "Qualifier", ref->qualifier);
	tree_put_text(&tree, "InvokeMode", "BUFFERED");
	url_apply(call, &tree);
	r = tree.err ? err_pass(tree.err) : url_write_new(ref, &function, config);
	if (r)
		return err_pass(r);
	tree_drop(&tree, "LastModifiedTime"); /* is not a member of this answer */
	if (!call_has(call, "InvokeMode"))
		tree_drop(&tree, "InvokeMode"); /* told to those who have named one */
	return err_pass(url_show(call, ref, config, &out));
}

int lambda_create_function_url_config(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, create_once, NULL));
}

/* --- get, update, delete --- */

/* The function and its URL: RECORD_FOUND, RECORD_ABSENT (of either) or a fault. */
static int url_find(const struct lambda_ref *ref, struct function_record *function,
	json_t **ret_config, uint64_t *ret_revision)
{
	int r = function_record_get(&ref->scope, ref->name, function);

	if (r == RECORD_FOUND)
		r = url_record_get(function, ref->qualifier, ret_config, ret_revision);
	return err_pass(r);
}

int lambda_get_function_url_config(struct call *call)
{
	scoped_function function = {};
	json_auto_t *config = NULL;
	struct tree out = { .at = call->out };
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r)
		return err_pass(r);
	r = url_find(&ref, &function, &config, NULL);
	if (r == RECORD_ABSENT)
		return lambda_refuse(call, NOT_FOUND, "%s", URL_MISSING);
	return r < 0 ? err_pass(r) : err_pass(url_show(call, &ref, config, &out));
}

static int update_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *config = NULL;
	struct batch batch = { .scope = &ref->scope };
	struct tree out = { .at = call->out };
	uint64_t revision;

	(void)context;
	int r = url_read_target(call, ref, &function);
	if (r)
		return err_pass(r);
	r = url_record_get(&function, ref->qualifier, &config, &revision);
	if (r == RECORD_ABSENT)
		return lambda_refuse(call, NOT_FOUND, "%s", URL_MISSING);
	if (r < 0)
		return err_pass(r);
	struct tree tree = { .at = config };
	url_apply(call, &tree);
	if (tree.err)
		return err_pass(tree.err);
	batch_put(&batch, KIND_URL, record_url_key(&function, ref->qualifier), config, revision);
	batch_put_function(&batch, &function);
	r = lambda_commit(&batch, ref->name);
	return r ? err_pass(r) : err_pass(url_show(call, ref, config, &out));
}

int lambda_update_function_url_config(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, update_once, NULL));
}

static int delete_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *config = NULL;
	struct batch batch = { .scope = &ref->scope };
	uint64_t revision;

	(void)context;
	int r = url_find(ref, &function, &config, &revision);
	if (r == RECORD_ABSENT)
		return lambda_refuse(call, NOT_FOUND, "%s", URL_MISSING);
	if (r < 0)
		return err_pass(r);
	batch_delete(&batch, KIND_URL, record_url_key(&function, ref->qualifier), revision);
	batch_delete(&batch, KIND_URL_OWNER, json_get_str(config, "Id"), DOCS_ANY);
	batch_put_function(&batch, &function);
	return err_pass(lambda_commit(&batch, ref->name));
}

int lambda_delete_function_url_config(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, delete_once, NULL));
}

/* --- list --- */

static int url_list(struct call *call, const struct lambda_ref *ref, const json_t *configs,
	const struct lambda_page *page, struct tree *out)
{
	struct tree items = { .at = json_object_get(out->at, "FunctionUrlConfigs") };
	str last = {};
	size_t i;
	json_t *config;

	json_array_foreach(configs, i, config)
	{
		if (i == page->limit) {
			lambda_page_more(page, out, last);
			break;
		}
		json_auto_t *shown = json_object();
		struct tree item = { .at = shown };
		int r = shown ? url_show(call, ref, config, &item) : err_raise(-ENOMEM);
		if (r < 0)
			return err_pass(r);
		tree_add(&items, json_incref(shown));
		last = json_get_str(config, "Qualifier");
		if (!last.len)
			last = S("$LATEST");
	}
	tree_join(out, &items);
	return err_pass(out->err);
}

int lambda_list_function_url_configs(struct call *call)
{
	scoped_function function = {};
	json_auto_t *configs = json_array();
	struct tree out = { .at = call->out };
	struct lambda_page page;
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r == 0)
		r = lambda_page_read(call, "urls", LIMIT_LIST_PAGE, &page);
	if (r)
		return err_pass(r);
	r = function_record_get(&ref.scope, ref.name, &function);
	if (r == RECORD_ABSENT)
		return lambda_refuse(call, NOT_FOUND, "%s", URL_NO_FUNCTION);
	if (r == RECORD_FOUND)
		r = configs ? record_list(&function, KIND_URL, page.after, page.limit + 1, configs)
			    : err_raise(-ENOMEM);
	if (r < 0)
		return err_pass(r);
	tree_put(&out, "FunctionUrlConfigs", json_array());
	return err_pass(url_list(call, &ref, configs, &page, &out));
}
