/*
 * Provisioned concurrency: Put, Get, List and Delete.
 *
 * What is wanted stands in the document that also has the reservations (reserved.h), because all of it is taken from the
 * account's concurrency and has to be checked together. What is there is known by the engine alone: it is told of every
 * change, and at the start of everything (so the environments are restored after a restart), and asked for its figures.
 *
 * The engine is told from worker threads, and two of them may overtake each other. The function's own document is written
 * with each change, so its revision says which plan is newer; and who has told looks once more whether it was the newest.
 */
#include "services/lambda/provisioned.h"

#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "model/arn.h"
#include "model/limits.h"
#include "os/clock.h"
#include "services/lambda/load.h"
#include "services/lambda/names.h"
#include "services/lambda/operations.h"
#include "services/lambda/page.h"
#include "services/lambda/reserved.h"
#include "services/lambda/tree.h"
#include "wire/timestamp.h"

#include <errno.h>
#include <string.h>

enum { TELL_TRIES_MAX = 16, TELL_ARENA_MAX = 4 * 1024 * 1024 };

/* --- telling the engine --- */

static void plan_done(struct provision_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		function_target_free(plan->items[i].target);
}

/* What its qualifiers lead to. An alias that is gone by now has nothing. */
static int plan_fill(const struct function_record *function, const json_t *provisioned,
	struct provision_plan *plan)
{
	const char *qualifier;
	json_t *entry;

	plan->items = arena_new(
		function->scope->arena, (json_object_size(provisioned) + 1) * sizeof(*plan->items));
	if (!plan->items)
		return err_raise(-ENOMEM);
	json_object_foreach((json_t *)provisioned, qualifier, entry)
	{
		struct provision_item item = { .qualifier = str_of(qualifier),
			.requested = (uint32_t)json_integer_value(
				json_object_get(entry, "Requested")) };
		int r = lambda_load_qualifier(function, item.qualifier, &item.target);
		if (r < 0)
			return err_pass(r);
		if (r == LOAD_DONE)
			plan->items[plan->count++] = item;
	}
	return 0;
}

/* Tell once: 0 and *ret_revision of the function (0: there is none), or a fault. */
static int tell_once(const struct lambda_scope *scope, str name, uint64_t *ret_revision)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	struct provision_plan plan = {};

	/* In this order: a function that is made after it was found to be absent has a later revision. */
	int r = lambda_reserved_get(scope, &doc, &plan.revision);
	if (r < 0)
		return err_pass(r);
	r = function_record_get(scope, name, &function);
	if (r == RECORD_FOUND) {
		plan.revision = function.revision;
		r = plan_fill(&function, lambda_provisioned_of(doc, name), &plan);
	}
	if (r >= 0) {
		platform_provision(scope->platform, scope->account, scope->region, name, &plan);
		*ret_revision = function.revision;
		r = 0;
	}
	plan_done(&plan);
	return err_pass(r);
}

int lambda_provision_tell(const struct lambda_scope *scope, str name)
{
	for (int i = 0; i < TELL_TRIES_MAX; i++) {
		scoped_function function = {};
		uint64_t told = 0;

		int r = tell_once(scope, name, &told);
		if (r == 0)
			r = function_record_get(scope, name, &function);
		if (r < 0)
			return err_pass(r);
		if (function.revision == told)
			return 0;
	}
	return 0; /* it changes all the time, and each change tells */
}

/* --- at the start --- */

static int tell_keys_each(void *context, str key, str value, uint64_t revision)
{
	json_t *keys = context;

	(void)value;
	(void)revision;
	return json_array_append_new(keys, json_from_str(key)) < 0 ? err_raise(-ENOMEM) : 0;
}

/* All functions of an account in a region. */
static int tell_scope(struct platform *platform, str key)
{
	struct arena arena;
	struct lambda_scope scope = { .platform = platform, .arena = &arena, .region = key };
	json_auto_t *doc = NULL;
	uint64_t revision;
	const char *name;
	json_t *provisioned;

	if (!str_cut(&scope.region, '/', &scope.account))
		return err_raise(-EBADMSG);
	arena_init(&arena, TELL_ARENA_MAX);
	int r = lambda_reserved_get(&scope, &doc, &revision);
	json_object_foreach(json_object_get(doc, "Provisioned"), name, provisioned)
	{
		if (r == 0)
			r = lambda_provision_tell(&scope, str_of(name));
	}
	arena_done(&arena);
	return err_pass(r);
}

int lambda_provision_tell_all(struct platform *platform)
{
	json_auto_t *keys = json_array();
	size_t i;
	json_t *key;

	if (!keys)
		return err_raise(-ENOMEM);
	int r = docs_list(platform->docs, KIND_RESERVED, S(""), S(""), 0, tell_keys_each, keys);
	json_array_foreach(keys, i, key)
	{
		if (r < 0)
			break;
		r = tell_scope(platform, json_view(key));
	}
	return err_pass(r);
}

/* --- what is asked for --- */

/* The version or alias must exist; AWS looks an alias up before the function. */
static int provision_read(struct call *call, const char *unpublished, struct lambda_ref *ret_ref)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	json_t *config;

	int r = lambda_ref_read(call, ret_ref);
	if (r)
		return err_pass(r);
	enum qualifier_kind kind = qualifier_kind(ret_ref->qualifier);
	if (kind == QUALIFIER_LATEST)
		return lambda_refuse(call, INVALID, "%s", unpublished);
	r = function_record_get(&ret_ref->scope, ret_ref->name, &function);
	if (r == RECORD_FOUND && kind == QUALIFIER_VERSION)
		r = lambda_version_read(&function, ret_ref->qualifier, &doc, &config);
	else if (r == RECORD_FOUND)
		r = alias_record_get(&function, ret_ref->qualifier, &doc, NULL);
	if (r != RECORD_ABSENT)
		return err_pass(r);
	if (kind == QUALIFIER_VERSION)
		return lambda_not_found(call, ret_ref, ret_ref->qualifier);
	str arn = lambda_arn(&ret_ref->scope, ret_ref->name, ret_ref->qualifier);
	return lambda_refuse(call, NOT_FOUND, "Cannot find alias arn: " STR_FMT, STR_ARG(arn));
}

/* Most operations word it so. */
static int provision_read_published(struct call *call, struct lambda_ref *ret_ref)
{
	return err_pass(provision_read(call,
		"The function resource provided must be an alias or a published version.",
		ret_ref));
}

/* --- answers --- */

static void provision_show(
	const struct lambda_ref *ref, str qualifier, const json_t *entry, struct tree *out)
{
	static const char *const statuses[] = {
		[PROVISION_IN_PROGRESS] = "IN_PROGRESS",
		[PROVISION_READY] = "READY",
		[PROVISION_FAILED] = "FAILED",
	};
	struct provision_figures figures = {};

	if (!platform_provision_figures(ref->scope.platform, ref->scope.account, ref->scope.region,
		    ref->name, qualifier, &figures))
		figures.status = PROVISION_IN_PROGRESS; /* the engine is on its way down or up */
	tree_copy(out, "RequestedProvisionedConcurrentExecutions",
		json_object_get(entry, "Requested"));
	tree_put_int(out, "AvailableProvisionedConcurrentExecutions", figures.allocated);
	tree_put_int(out, "AllocatedProvisionedConcurrentExecutions", figures.allocated);
	tree_put_text(out, "Status", statuses[figures.status]);
	if (figures.reason)
		tree_put_text(out, "StatusReason", figures.reason);
	tree_copy(out, "LastModified", json_object_get(entry, "LastModified"));
}

/* "2019-12-31T20:29:49+0000" */
static json_t *provision_now(void)
{
	char text[64];
	struct buf now;

	buf_init_over(&now, text, sizeof(text));
	timestamp_put_iso8601(&now, clock_real_ms(), false);
	now.len--; /* the Z */
	buf_put(&now, S("+0000"));
	return now.err ? NULL : json_from_str(buf_str(&now));
}

/* --- checks --- */

/* Which of the versions that an alias leads to has provisioned concurrency of its own? */
static bool alias_is_taken(const json_t *provisioned, const json_t *alias)
{
	const json_t *weights = json_object_get(
		json_object_get(alias, "RoutingConfig"), "AdditionalVersionWeights");
	const char *version;
	json_t *weight;

	if (tree_get(provisioned, json_get_str(alias, "FunctionVersion")))
		return true;
	json_object_foreach((json_t *)weights, version, weight)
	{
		if (json_object_get(provisioned, version))
			return true;
	}
	return false;
}

static int refuse_taken(struct call *call)
{
	return lambda_refuse(call, CONFLICT,
		"Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version");
}

int lambda_provision_check_alias(
	struct call *call, const struct lambda_ref *ref, const json_t *alias)
{
	json_auto_t *doc = NULL;
	uint64_t revision;

	int r = lambda_reserved_get(&ref->scope, &doc, &revision);
	if (r < 0)
		return err_pass(r);
	const json_t *provisioned = lambda_provisioned_of(doc, ref->name);
	bool has_some = tree_get(provisioned, json_get_str(alias, "Name")) != NULL;
	return has_some && alias_is_taken(provisioned, alias) ? refuse_taken(call) : 0;
}

static bool alias_leads_to(const json_t *alias, str version)
{
	const json_t *weights = json_object_get(
		json_object_get(alias, "RoutingConfig"), "AdditionalVersionWeights");

	return str_eq(json_get_str(alias, "FunctionVersion"), version) ||
		tree_get(weights, version);
}

/* A version is provisioned by itself or by its aliases. */
static int check_version(struct call *call, const struct function_record *function, str version,
	const json_t *provisioned)
{
	const char *qualifier;
	json_t *entry;

	json_object_foreach((json_t *)provisioned, qualifier, entry)
	{
		json_auto_t *doc = NULL;
		if (qualifier_kind(str_of(qualifier)) != QUALIFIER_ALIAS)
			continue;
		int r = alias_record_get(function, str_of(qualifier), &doc, NULL);
		if (r < 0)
			return err_pass(r);
		if (r == RECORD_FOUND && alias_leads_to(json_object_get(doc, "Alias"), version))
			return lambda_refuse(call, CONFLICT,
				"Version is pointed by a Provisioned Concurrency alias");
	}
	return 0;
}

static int check_conflict(struct call *call, const struct lambda_ref *ref,
	const struct function_record *function, const json_t *provisioned)
{
	json_auto_t *doc = NULL;

	if (qualifier_kind(ref->qualifier) == QUALIFIER_VERSION)
		return err_pass(check_version(call, function, ref->qualifier, provisioned));
	int r = alias_record_get(function, ref->qualifier, &doc, NULL);
	if (r)
		return r < 0 ? err_pass(r) : LAMBDA_AGAIN;
	return alias_is_taken(provisioned, json_object_get(doc, "Alias")) ? refuse_taken(call) : 0;
}

/* "Provisioned concurrency counts towards a function's reserved concurrency and Regional quotas." */
static int check_amount(
	struct call *call, const struct lambda_ref *ref, const json_t *doc, int64_t wanted)
{
	int64_t account = call->platform->account_concurrency;
	int64_t kept = MIN(account, LIMIT_CONCURRENCY_UNRESERVED_MIN);
	int64_t others = lambda_provisioned_sum(doc, ref->name, ref->qualifier);
	int64_t reserved = lambda_reserved_of(doc, ref->name);

	if (reserved >= 0 && others + wanted > reserved)
		return lambda_refuse(call, INVALID,
			"Requested Provisioned Concurrency should not be greater than the "
			"reservedConcurrentExecution for function");
	if (reserved >= 0)
		return 0;
	int64_t unreserved = account - lambda_reserved_sum(doc, ref->name) - others;
	if (wanted > unreserved)
		return lambda_refuse_untyped(call, INVALID,
			"Specified ConcurrentExecutions for function is greater than account's "
			"unreserved concurrency [%lld].",
			(long long)unreserved);
	if (unreserved - wanted < kept)
		return lambda_refuse_untyped(call, INVALID,
			"Specified ConcurrentExecutions for function decreases account's "
			"UnreservedConcurrentExecution below its minimum value of [%lld].",
			(long long)kept);
	return 0;
}

/* --- the operations --- */

/* Commit what is in the batch, and tell of it. 0, LAMBDA_AGAIN or a fault. */
static int provision_commit(struct batch *batch, str name)
{
	int r = lambda_commit(batch, name);

	if (r == 0)
		r = lambda_reserved_tell(batch->scope);
	if (r == 0)
		r = lambda_provision_tell(batch->scope, name);
	return err_pass(r);
}

static int put_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *doc = NULL, *entry = NULL;
	struct batch batch = { .scope = &ref->scope };
	struct tree out = { .at = call->out };
	const int64_t *wanted = context;
	uint64_t revision;

	int r = lambda_function_read(call, ref, ref->qualifier, &function);
	if (r == 0)
		r = lambda_check_no_tenants(call, &function, "Provisioned Concurrency");
	if (r == 0)
		r = lambda_reserved_get(&ref->scope, &doc, &revision);
	if (r == 0)
		r = check_conflict(call, ref, &function, lambda_provisioned_of(doc, ref->name));
	if (r == 0)
		r = check_amount(call, ref, doc, *wanted);
	if (r)
		return err_pass(r);
	entry = json_pack(
		"{s:I,s:o*}", "Requested", (json_int_t)*wanted, "LastModified", provision_now());
	r = lambda_provisioned_set(&batch, doc, revision,
		&(struct provisioned_entry){ ref->name, ref->qualifier, entry });
	if (r < 0)
		return err_pass(r);
	batch_put_function(&batch, &function);
	r = provision_commit(&batch, ref->name);
	if (r)
		return err_pass(r);
	provision_show(ref, ref->qualifier, entry, &out);
	return err_pass(out.err);
}

int lambda_put_provisioned_concurrency_config(struct call *call)
{
	int64_t wanted = call_int(call, "ProvisionedConcurrentExecutions", 0);
	struct lambda_ref ref;

	int r = provision_read(call,
		"Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
		&ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, put_once, &wanted));
}

int lambda_get_provisioned_concurrency_config(struct call *call)
{
	json_auto_t *doc = NULL;
	struct tree out = { .at = call->out };
	struct lambda_ref ref;
	uint64_t revision;

	int r = provision_read_published(call, &ref);
	if (r == 0)
		r = lambda_reserved_get(&ref.scope, &doc, &revision);
	if (r)
		return err_pass(r);
	const json_t *entry = tree_get(lambda_provisioned_of(doc, ref.name), ref.qualifier);
	if (!entry)
		return lambda_refuse(call, "ProvisionedConcurrencyConfigNotFoundException",
			"No Provisioned Concurrency Config found for this function");
	provision_show(&ref, ref.qualifier, entry, &out);
	return err_pass(out.err);
}

int lambda_provision_drop(struct batch *batch, str name, str qualifier)
{
	json_auto_t *doc = NULL;
	uint64_t revision;

	int r = lambda_reserved_get(batch->scope, &doc, &revision);
	if (r < 0)
		return err_pass(r);
	const json_t *provisioned = lambda_provisioned_of(doc, name);
	if (!provisioned || (qualifier.len && !tree_get(provisioned, qualifier)))
		return 0;
	return err_pass(lambda_provisioned_set(
		batch, doc, revision, &(struct provisioned_entry){ name, qualifier, NULL }));
}

static int delete_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	struct batch batch = { .scope = &ref->scope };

	(void)context;
	int r = lambda_function_read(call, ref, ref->qualifier, &function);
	if (r == 0)
		r = lambda_provision_drop(&batch, ref->name, ref->qualifier);
	if (r || !batch.count)
		return err_pass(r);
	batch_put_function(&batch, &function);
	return err_pass(provision_commit(&batch, ref->name));
}

int lambda_delete_provisioned_concurrency_config(struct call *call)
{
	struct lambda_ref ref;

	int r = provision_read_published(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, delete_once, NULL));
}

/* < 0, 0 or > 0, in the order of bytes. */
static int text_order(str a, str b)
{
	int order = memcmp(a.at, b.at, MIN(a.len, b.len));

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* The first qualifier after this one, in the order of text; at == NULL: there is none. */
static str next_qualifier(const json_t *provisioned, str after)
{
	str next = {};
	const char *name;
	json_t *entry;

	json_object_foreach((json_t *)provisioned, name, entry)
	{
		str qualifier = str_of(name);
		if ((!after.len || text_order(qualifier, after) > 0) &&
			(!next.at || text_order(qualifier, next) < 0))
			next = qualifier;
	}
	return next;
}

static int list_page(const struct lambda_ref *ref, const json_t *provisioned,
	const struct lambda_page *page, struct tree *out)
{
	struct tree items = { .at = json_object_get(out->at, "ProvisionedConcurrencyConfigs") };
	str last = page->after, next;

	while ((next = next_qualifier(provisioned, last)).at) {
		if (json_array_size(items.at) == page->limit) {
			lambda_page_more(page, out, last);
			break;
		}
		struct tree item = { .at = json_object() };
		if (!item.at)
			return err_raise(-ENOMEM);
		tree_put_str(&item, "FunctionArn", lambda_arn(&ref->scope, ref->name, next));
		provision_show(ref, next, tree_get(provisioned, next), &item);
		tree_add(&items, item.at);
		tree_join(&items, &item);
		last = next;
	}
	tree_join(out, &items);
	return err_pass(out->err);
}

int lambda_list_provisioned_concurrency_configs(struct call *call)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	struct tree out = { .at = call->out };
	struct lambda_page page;
	struct lambda_ref ref;
	uint64_t revision;

	int r = lambda_ref_read(call, &ref);
	if (r == 0)
		r = lambda_page_read(call, "provisioned", LIMIT_LIST_PAGE, &page);
	if (r == 0)
		r = lambda_function_read(call, &ref, S(""), &function);
	if (r == 0)
		r = lambda_reserved_get(&ref.scope, &doc, &revision);
	if (r)
		return err_pass(r);
	tree_put(&out, "ProvisionedConcurrencyConfigs", json_array());
	return err_pass(list_page(&ref, lambda_provisioned_of(doc, ref.name), &page, &out));
}
