/*
 * ListLayers, ListLayerVersions. The keys of versions are counted downwards, so the newest is found first. Filters are applied
 * while reading: a page is full when it has its items, however many were passed over.
 */
#include "base/err.h"
#include "model/limits.h"
#include "services/lambda/layers.h"
#include "services/lambda/operations.h"
#include "services/lambda/page.h"

#include <errno.h>
#include <inttypes.h>

enum { LAYER_CHUNK = 64 };

static bool layer_lists(const json_t *layer, const char *member, str wanted)
{
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(layer, member), i,
		item) if (str_eq(json_view(item), wanted)) return true;
	return false;
}

/* Is it for what the call asks for? */
static bool layer_matches(struct call *call, const json_t *layer)
{
	str runtime = call_str(call, "CompatibleRuntime");
	str architecture = call_str(call, "CompatibleArchitecture");

	return (!runtime.len || layer_lists(layer, "CompatibleRuntimes", runtime)) &&
		(!architecture.len || layer_lists(layer, "CompatibleArchitectures", architecture));
}

/*
 * The next versions below `before` (0: from the newest) that match, at most `most` of them, appended to an array: 0 or a
 * fault.
 */
static int layer_collect(struct call *call, const struct lambda_scope *scope, str name,
	uint64_t before, size_t most, json_t *ret_layers)
{
	str prefix = arena_strf(scope->arena, STR_FMT "/", STR_ARG(name));
	size_t read = LAYER_CHUNK;

	prefix = prefix.at ? record_account_key(scope, prefix) : prefix;
	while (read == LAYER_CHUNK && json_array_size(ret_layers) < most) {
		json_auto_t *docs = json_array();
		size_t i;
		json_t *doc;
		str after = before ? lambda_layer_key(scope, name, before) : S("");
		int r = docs ? record_list_prefix(
				       scope, KIND_LAYER_VERSION, prefix, after, LAYER_CHUNK, docs)
			     : err_raise(-ENOMEM);
		if (r < 0)
			return err_pass(r);
		read = json_array_size(docs);
		json_array_foreach(docs, i, doc)
		{
			json_t *layer = json_object_get(doc, "Layer");
			before = (uint64_t)json_integer_value(json_object_get(layer, "Version"));
			if (layer_matches(call, layer) && json_array_size(ret_layers) < most &&
				json_array_append(ret_layers, layer) < 0)
				return err_raise(-ENOMEM);
		}
	}
	return 0;
}

/* --- ListLayerVersions --- */

int lambda_list_layer_versions(struct call *call)
{
	struct tree out = { .at = call->out };
	json_auto_t *layers = json_array();
	struct lambda_page page;
	struct lambda_ref ref;
	uint64_t before = 0;
	size_t i;
	json_t *layer;

	int r = lambda_layer_ref_own(call, &ref);
	if (r == 0)
		r = lambda_page_read(call, "layer-versions", LIMIT_LIST_PAGE, &page);
	if (r == 0 && page.after.len && str_to_u64(page.after, RECORD_VERSION_MAX, &before) < 0)
		before = 0;
	if (r == 0)
		r = layers
			? layer_collect(call, &ref.scope, ref.name, before, page.limit + 1, layers)
			: err_raise(-ENOMEM);
	if (r)
		return err_pass(r);
	tree_put(&out, "LayerVersions", json_array());
	struct tree items = { .at = json_object_get(call->out, "LayerVersions") };
	json_array_foreach(layers, i, layer)
	{
		if (i == page.limit) {
			lambda_page_more(&page, &out, arena_strf(call->arena, "%" PRIu64, before));
			break;
		}
		before = (uint64_t)json_integer_value(json_object_get(layer, "Version"));
		struct tree item = { .at = json_object() };
		lambda_layer_show(&item, &ref.scope, ref.name, layer);
		tree_join(&items, &item);
		tree_add(&items, item.at);
	}
	tree_join(&out, &items);
	return err_pass(out.err);
}

/* --- ListLayers --- */

struct layer_listing {
	struct call *call;
	const struct lambda_scope *scope;
	struct lambda_page page;
	struct tree items;
	str last;
	bool has_more;
};

/* One layer with its newest version that matches, if it has one. */
static int layer_list_one(struct layer_listing *listing, str name)
{
	json_auto_t *layers = json_array();

	int r = layers ? layer_collect(listing->call, listing->scope, name, 0, 1, layers)
		       : err_raise(-ENOMEM);
	if (r < 0)
		return err_pass(r);
	if (json_array_size(layers) == 0)
		return 0;
	if (json_array_size(listing->items.at) == listing->page.limit) {
		listing->has_more = true;
		return 0;
	}
	struct tree item = { .at = json_object() };
	tree_put_str(&item, "LayerName", name);
	tree_put_str(&item, "LayerArn", lambda_layer_arn(listing->scope, name, 0));
	struct tree newest = tree_object(&item, "LatestMatchingVersion");
	lambda_layer_show(&newest, listing->scope, name, json_array_get(layers, 0));
	tree_join(&item, &newest);
	tree_join(&listing->items, &item);
	tree_add(&listing->items, item.at);
	listing->last = name;
	return err_pass(listing->items.err);
}

static int layer_list(struct layer_listing *listing)
{
	str prefix = record_account_key(listing->scope, S("")), name = listing->page.after;
	size_t read = LAYER_CHUNK;

	while (read == LAYER_CHUNK && !listing->has_more) {
		json_auto_t *docs = json_array();
		size_t i;
		json_t *doc;
		str after = name.len ? record_account_key(listing->scope, name) : S("");
		int r = docs ? record_list_prefix(
				       listing->scope, KIND_LAYER, prefix, after, LAYER_CHUNK, docs)
			     : err_raise(-ENOMEM);
		read = json_array_size(docs);
		json_array_foreach(docs, i, doc)
		{
			if (r < 0 || listing->has_more)
				break;
			name = arena_str(listing->scope->arena, json_get_str(doc, "Name"));
			r = name.at ? layer_list_one(listing, name) : err_raise(-ENOMEM);
		}
		if (r < 0)
			return err_pass(r);
	}
	return 0;
}

int lambda_list_layers(struct call *call)
{
	struct lambda_scope scope = lambda_scope_of(call);
	struct tree out = { .at = call->out };
	struct layer_listing listing = { .call = call, .scope = &scope };

	int r = lambda_page_read(call, "layers", LIMIT_LIST_PAGE, &listing.page);
	if (r)
		return err_pass(r);
	tree_put(&out, "Layers", json_array());
	listing.items.at = json_object_get(call->out, "Layers");
	r = layer_list(&listing);
	if (r < 0)
		return err_pass(r);
	tree_join(&out, &listing.items);
	if (listing.has_more)
		lambda_page_more(&listing.page, &out, listing.last);
	return err_pass(out.err);
}
