/* ListMetrics: 500 a page; the token is the id of the last one. */
#include "services/cloudwatch/operations.h"

#include "base/err.h"
#include "engine/platform.h"
#include "os/clock.h"

#include <errno.h>

enum { PAGE = 500, ENOUGH = 1 };

#define RECENTLY_MS (3ULL * 3600 * 1000) /* PT3H, "with data points … in the past three hours" */

struct listing {
	struct call *call;
	json_t *metrics;
	uint64_t last;
	bool has_more;
};

static bool has_dimension(const json_t *dimensions, const json_t *filter)
{
	str name = json_get_str(filter, "Name"), value = json_get_str(filter, "Value");

	for (size_t i = 0; i < json_array_size(dimensions); i++) {
		const json_t *one = json_array_get(dimensions, i);
		if (str_eq(json_get_str(one, "Name"), name) &&
			(!json_object_get(filter, "Value") ||
				str_eq(json_get_str(one, "Value"), value)))
			return true;
	}
	return false;
}

static bool is_wanted(const json_t *dimensions, const json_t *filters)
{
	for (size_t i = 0; i < json_array_size(filters); i++) {
		if (!has_dimension(dimensions, json_array_get(filters, i)))
			return false;
	}
	return true;
}

static int list_one(void *context, const struct metric_series *series, uint64_t id)
{
	struct listing *listing = context;
	json_t *dimensions = dimensions_tree(series->dimensions);

	if (!dimensions)
		return err_raise(-ENOMEM);
	if (!is_wanted(dimensions, call_get(listing->call, "Dimensions"))) {
		json_decref(dimensions);
		return 0;
	}
	if (json_array_size(listing->metrics) == PAGE) {
		json_decref(dimensions);
		listing->has_more = true;
		return ENOUGH;
	}
	listing->last = id;
	int r = json_array_append_new(listing->metrics,
		json_pack("{s:o,s:o,s:o}", "Namespace", json_from_str(series->space), "MetricName",
			json_from_str(series->name), "Dimensions", dimensions));
	return r < 0 ? err_raise(-ENOMEM) : 0;
}

/* With IncludeLinkedAccounts: whose each metric is. There are no linked accounts, so all are the caller's. */
static int put_owners(struct call *call, size_t count)
{
	json_t *owners = json_array();
	int r = json_put(call->out, "OwningAccounts", owners);

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (json_array_append_new(owners, json_from_str(call->account)) < 0)
			r = err_raise(-ENOMEM);
	}
	return err_pass(r);
}

static int list_all(struct call *call, struct metrics_filter *filter)
{
	struct listing listing = { .call = call, .metrics = json_array() };

	int r = json_put(call->out, "Metrics", listing.metrics);
	if (r == 0)
		r = metrics_list(call->platform->metrics, filter, list_one, &listing);
	if (r < 0)
		return err_pass(r);
	r = 0;
	if (listing.has_more) {
		str token = arena_strf(call->arena, "%llu", (unsigned long long)listing.last);
		r = json_put(call->out, "NextToken", token.at ? json_from_str(token) : NULL);
	}
	if (r == 0 && call_bool(call, "IncludeLinkedAccounts", false))
		r = put_owners(call, json_array_size(listing.metrics));
	return err_pass(r);
}

int op_list_metrics(struct call *call)
{
	uint64_t now_ms = clock_real_ms();
	struct metrics_filter filter = {
		.scope = metric_scope(call),
		.space = call_str(call, "Namespace"),
		.name = call_str(call, "MetricName"),
		.since_ms = call_has(call, "RecentlyActive") ? now_ms - RECENTLY_MS : 0,
	};
	str token = call_str(call, "NextToken"), owner = call_str(call, "OwningAccount");

	if (!filter.scope.at)
		return err_raise(-ENOMEM);
	if (token.len && str_to_u64(token, INT64_MAX, &filter.after) < 0)
		return call_error(call, INVALID_VALUE, "The next token is invalid.");
	if (owner.len && !str_eq(owner, call->account))
		return err_pass(json_put(call->out, "Metrics", json_array()));
	platform_flush_metrics(call->platform);
	return err_pass(list_all(call, &filter));
}
