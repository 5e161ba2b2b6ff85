/*
 * GetFunction, GetFunctionConfiguration, ListFunctions, ListVersionsByFunction.
 *
 * The lists are in the order of names and numbers. ListFunctions with FunctionVersion ALL goes through functions one
 * after the other, $LATEST first, then the versions; a marker is "NAME" or "NAME:NUMBER", the last item that was shown.
 */
#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "model/limits.h"
#include "services/lambda/code.h"
#include "services/lambda/config.h"
#include "services/lambda/operations.h"
#include "services/lambda/page.h"
#include "services/lambda/reserved.h"

#include <errno.h>
#include <inttypes.h>

/* --- one --- */

int lambda_get_function_configuration(struct call *call)
{
	scoped_found found = {};
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r == 0)
		r = lambda_find(call, &ref, &found);
	if (r)
		return err_pass(r);
	str arn = lambda_arn(&ref.scope, ref.name, ref.qualifier);
	return err_pass(lambda_config_show(call->out, found.config, ref.name, arn, CONFIG_WHOLE));
}

static int get_put_code(
	struct call *call, const struct lambda_ref *ref, const json_t *config, struct tree *out)
{
	str address;

	int r = lambda_code_address(call, ref, json_get_str(config, "Version"), &address);
	if (r < 0)
		return err_pass(r);
	struct tree code = tree_object(out, "Code");
	tree_put_text(&code, "RepositoryType", "S3");
	tree_put_str(&code, "Location", address);
	tree_join(out, &code);
	return 0;
}

static int get_put_concurrency(const struct lambda_ref *ref, struct tree *out)
{
	json_auto_t *doc = NULL;
	uint64_t revision;

	int r = lambda_reserved_get(&ref->scope, &doc, &revision);
	if (r < 0)
		return err_pass(r);
	int64_t amount = lambda_reserved_of(doc, ref->name);
	if (amount < 0)
		return 0;
	struct tree concurrency = tree_object(out, "Concurrency");
	tree_put_int(&concurrency, "ReservedConcurrentExecutions", amount);
	tree_join(out, &concurrency);
	return 0;
}

int lambda_get_function(struct call *call)
{
	scoped_found found = {};
	struct tree out = { .at = call->out };
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r == 0)
		r = lambda_find(call, &ref, &found);
	if (r)
		return err_pass(r);
	str arn = lambda_arn(&ref.scope, ref.name, ref.qualifier);
	struct tree shown = tree_object(&out, "Configuration");
	if (shown.err)
		return err_pass(shown.err);
	r = lambda_config_show(shown.at, found.config, ref.name, arn, CONFIG_WHOLE);
	if (r == 0)
		r = get_put_code(call, &ref, found.config, &out);
	if (r == 0)
		r = get_put_concurrency(&ref, &out);
	if (r)
		return err_pass(r);
	const json_t *tags = json_object_get(found.function.doc, "Tags");
	if (json_object_size(tags))
		tree_copy(&out, "Tags", tags);
	return err_pass(out.err);
}

/* --- many --- */

/* A page being filled: stops at the item after the last one, which tells that there is more. */
struct listing {
	const struct lambda_scope *scope;
	struct lambda_page page;
	struct tree items;
	str last;
	bool is_full;  /* the page has all its items */
	bool has_more; /* and there was another one */
};

/* One configuration into the list; `place` is what a marker says to go on behind it. */
static int listing_add(
	struct listing *listing, const json_t *config, str name, str qualifier, str place)
{
	if (listing->is_full) {
		listing->has_more = true;
		return 0;
	}
	json_auto_t *shown = json_object();
	str arn = lambda_arn(listing->scope, name, qualifier);
	int r = shown ? lambda_config_show(shown, config, name, arn, CONFIG_LISTED)
		      : err_raise(-ENOMEM);
	if (r < 0)
		return err_pass(r);
	tree_add(&listing->items, json_incref(shown));
	listing->last = place;
	listing->is_full = json_array_size(listing->items.at) >= listing->page.limit;
	return err_pass(listing->items.err);
}

/* The versions of a function whose number is above `after`, as far as the page goes. */
static int listing_add_versions(
	struct listing *listing, const struct function_record *function, uint64_t after, str prefix)
{
	json_auto_t *docs = json_array();
	size_t i;
	json_t *doc;
	str from = arena_strf(listing->scope->arena, "%010" PRIu64, after);

	if (!docs || !from.at)
		return err_raise(-ENOMEM);
	int r = record_list(function, KIND_VERSION, from, listing->page.limit + 1, docs);
	json_array_foreach(docs, i, doc)
	{
		if (r < 0)
			break;
		const json_t *config = json_object_get(doc, "Config");
		str number = json_get_str(config, "Version");
		str place = arena_strf(
			listing->scope->arena, STR_FMT STR_FMT, STR_ARG(prefix), STR_ARG(number));
		r = place.at ? listing_add(listing, config, function->name, number, place)
			     : err_raise(-ENOMEM);
		if (listing->has_more)
			break;
	}
	return err_pass(r);
}

static void listing_finish(struct listing *listing, struct tree *out)
{
	tree_join(out, &listing->items);
	if (listing->has_more)
		lambda_page_more(&listing->page, out, listing->last);
}

/* A record around a document of a list; borrows it. */
static struct function_record listing_function(const struct lambda_scope *scope, json_t *doc)
{
	return (struct function_record){
		.scope = scope,
		.name = json_get_str(doc, "Name"),
		.doc = doc,
		.latest = json_object_get(doc, "Latest"),
		.id = json_get_str(doc, "Id"),
	};
}

static int list_function(struct listing *listing, json_t *doc, bool is_all)
{
	struct function_record function = listing_function(listing->scope, doc);
	str name = arena_str(listing->scope->arena, function.name);

	if (!name.at)
		return err_raise(-ENOMEM);
	if (!is_all)
		return err_pass(listing_add(listing, function.latest, name, S(""), name));
	str prefix = arena_strf(listing->scope->arena, STR_FMT ":", STR_ARG(name));
	if (!prefix.at)
		return err_raise(-ENOMEM);
	int r = listing_add(listing, function.latest, name, S("$LATEST"), name);
	return r < 0 ? err_pass(r) : err_pass(listing_add_versions(listing, &function, 0, prefix));
}

/* The rest of the versions of the function at which the last page of ALL ended. */
static int list_function_rest(struct listing *listing, str name, str number)
{
	scoped_function function = {};
	uint64_t after = 0;

	if (number.len && str_to_u64(number, RECORD_VERSION_MAX, &after) < 0)
		after = RECORD_VERSION_MAX;
	int r = function_record_get(listing->scope, name, &function);
	if (r != RECORD_FOUND)
		return r < 0 ? err_pass(r) : 0; /* deleted meanwhile: the next one follows */
	str prefix = arena_strf(listing->scope->arena, STR_FMT ":", STR_ARG(name));
	if (!prefix.at)
		return err_raise(-ENOMEM);
	return err_pass(listing_add_versions(listing, &function, after, prefix));
}

static int list_functions(struct listing *listing, bool is_all)
{
	json_auto_t *docs = json_array();
	str name = listing->page.after, number = {};
	str key = record_account_key(listing->scope, S(""));
	size_t i;
	json_t *doc;
	int r = 0;

	if (is_all && name.len) {
		str rest = name;
		if (str_cut(&rest, ':', &name))
			number = rest;
		r = list_function_rest(listing, name, number);
	}
	if (r == 0 && !listing->has_more)
		r = docs ? record_list_prefix(listing->scope, KIND_FUNCTION, key,
				   name.len ? record_account_key(listing->scope, name) : S(""),
				   listing->page.limit + 1, docs)
			 : err_raise(-ENOMEM);
	json_array_foreach(docs, i, doc)
	{
		if (r < 0 || listing->has_more)
			break;
		r = list_function(listing, doc, is_all);
	}
	return err_pass(r);
}

/*
 * MasterRegion is about replicas of Lambda@Edge functions. There are none, so a region's list is empty, and ALL is no
 * other list than without it.
 */
static int list_check_master(struct call *call, bool *ret_is_none)
{
	str master = call_str(call, "MasterRegion");

	if (master.len && !call_has(call, "FunctionVersion"))
		return lambda_refuse(call, INVALID,
			"The combination MasterArn=" STR_FMT
			" and FunctionVersion=NULL is not supported. "
			"Please see our documentation for valid combinations of ListFunctions options.",
			STR_ARG(master));
	*ret_is_none = master.len && !str_eq(master, S("ALL"));
	return 0;
}

int lambda_list_functions(struct call *call)
{
	struct lambda_scope scope = lambda_scope_of(call);
	struct tree out = { .at = call->out };
	struct listing listing = { .scope = &scope };
	bool is_all = call_has(call, "FunctionVersion"), is_none = false;

	int r = list_check_master(call, &is_none);
	if (r == 0)
		r = lambda_page_read(
			call, is_all ? "versions" : "functions", LIMIT_LIST_PAGE, &listing.page);
	if (r)
		return err_pass(r);
	tree_put(&out, "Functions", json_array());
	listing.items.at = json_object_get(call->out, "Functions");
	if (!is_none)
		r = list_functions(&listing, is_all);
	if (r < 0)
		return err_pass(r);
	listing_finish(&listing, &out);
	return err_pass(out.err);
}

int lambda_list_versions_by_function(struct call *call)
{
	scoped_function function = {};
	struct tree out = { .at = call->out };
	struct listing listing = {};
	struct lambda_ref ref;
	uint64_t after = 0;

	int r = lambda_ref_read_latest(call, &ref);
	if (r == 0)
		r = lambda_page_read(call, "function-versions", LIMIT_LIST_PAGE, &listing.page);
	if (r == 0)
		r = lambda_function_read(call, &ref, S(""), &function);
	if (r)
		return err_pass(r);
	listing.scope = &ref.scope;
	tree_put(&out, "Versions", json_array());
	listing.items.at = json_object_get(call->out, "Versions");
	if (listing.page.after.len == 0)
		r = listing_add(&listing, function.latest, ref.name, S("$LATEST"), S("$LATEST"));
	else if (!str_eq(listing.page.after, S("$LATEST")) &&
		str_to_u64(listing.page.after, RECORD_VERSION_MAX, &after) < 0)
		after = RECORD_VERSION_MAX;
	if (r == 0)
		r = listing_add_versions(&listing, &function, after, S(""));
	if (r < 0)
		return err_pass(r);
	listing_finish(&listing, &out);
	return err_pass(out.err);
}
