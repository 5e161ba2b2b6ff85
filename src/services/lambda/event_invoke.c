/*
 * Put, Update, Get, Delete and ListFunctionEventInvokeConfig(s). One document for each qualifier that has one; Put
 * replaces all of it, Update the members that are given. A destination that is given without an ARN is none.
 */
#include "services/lambda/event_invoke.h"

#include "base/err.h"
#include "model/arn.h"
#include "os/clock.h"
#include "services/lambda/operations.h"
#include "services/lambda/page.h"

#include <errno.h>

enum { EVENT_INVOKE_PAGE_MAX = 50 };

static str event_invoke_qualifier(const struct lambda_ref *ref)
{
	return ref->qualifier.len ? ref->qualifier : S("$LATEST");
}

int event_invoke_record_get(const struct function_record *function, str qualifier, json_t **ret_doc,
	uint64_t *ret_revision)
{
	return err_pass(record_get(function->scope, KIND_EVENT_INVOKE,
		record_child_key(function, qualifier), ret_doc, ret_revision));
}

static int event_invoke_none(struct call *call, const struct lambda_ref *ref)
{
	str arn = lambda_arn(&ref->scope, ref->name, event_invoke_qualifier(ref));

	return lambda_refuse(call, NOT_FOUND,
		"The function " STR_FMT " doesn't have an EventInvokeConfig", STR_ARG(arn));
}

/* As it is answered: both destinations stand there, empty or not. */
static int event_invoke_show(
	json_t *out, const struct lambda_scope *scope, str name, const json_t *doc)
{
	static const char *const members[] = { "LastModified", "MaximumRetryAttempts",
		"MaximumEventAgeInSeconds" };
	static const char *const sides[] = { "OnSuccess", "OnFailure" };
	const json_t *given = json_object_get(doc, "DestinationConfig");
	struct tree tree = { .at = out };

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		tree_copy(&tree, members[i], json_object_get(doc, members[i]));
	tree_put_str(&tree, "FunctionArn", lambda_arn(scope, name, json_get_str(doc, "Qualifier")));
	struct tree destinations = tree_object(&tree, "DestinationConfig");
	for (size_t i = 0; i < 2; i++) {
		const json_t *side = json_object_get(given, sides[i]);
		tree_put(&destinations, sides[i], side ? json_deep_copy(side) : json_object());
	}
	tree_join(&tree, &destinations);
	return err_pass(tree.err);
}

/* --- what is given --- */

/* The ARN's service: "arn:aws:sqs:…". */
static str destination_service(str arn)
{
	str part = {};

	for (int i = 0; i < 3; i++)
		if (!str_cut(&arn, ':', &part))
			return S("");
	return part;
}

/* 0, CALL_ERROR or a fault. */
static int destination_check_function(struct call *call, const struct lambda_ref *ref, str arn)
{
	scoped_function function = {};
	struct function_name name;
	int r = RECORD_ABSENT;

	if (function_name_parse(arn, &name) == 0 && str_eq(name.account, call->account) &&
		str_eq(name.region, call->region))
		r = function_record_get(&ref->scope, name.name, &function);
	if (r < 0)
		return err_pass(r);
	if (r == RECORD_ABSENT)
		return lambda_refuse(
			call, INVALID, "The destination ARN " STR_FMT " is invalid.", STR_ARG(arn));
	if (str_eq(name.name, ref->name))
		return lambda_refuse(call, INVALID,
			"You can't specify the function as a destination for itself.");
	return 0;
}

static bool destination_is_possible(str arn, bool is_failure)
{
	static const str services[] = { S_INIT("lambda"), S_INIT("sqs"), S_INIT("sns"),
		S_INIT("events") };
	str service = destination_service(arn);

	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (str_eq(service, services[i]))
			return true;
	return is_failure && str_eq(service, S("s3"));
}

/* "OnSuccess(destination=ARN)" or null, as Lambda prints its own object. */
static str destination_print(struct call *call, const char *name, str arn)
{
	return arn.len ? arena_strf(call->arena, "%s(destination=" STR_FMT ")", name, STR_ARG(arn))
		       : S("null");
}

static int destinations_check(struct call *call, const struct lambda_ref *ref)
{
	const json_t *given = call_get(call, "DestinationConfig");
	str success = json_get_str(json_object_get(given, "OnSuccess"), "Destination");
	str failure = json_get_str(json_object_get(given, "OnFailure"), "Destination");
	const str arns[] = { failure, success };
	bool is_wrong = false;

	for (size_t i = 0; i < 2; i++) {
		if (!arns[i].len)
			continue;
		is_wrong |= !destination_is_possible(arns[i], i == 0);
		int r = str_eq(destination_service(arns[i]), S("lambda"))
			? destination_check_function(call, ref, arns[i])
			: 0;
		if (r)
			return err_pass(r);
	}
	if (!is_wrong)
		return 0;
	str on_success = destination_print(call, "OnSuccess", success);
	str on_failure = destination_print(call, "OnFailure", failure);
	return lambda_refuse(call, INVALID,
		"The provided destination config DestinationConfig(onSuccess=" STR_FMT
		", onFailure=" STR_FMT ") is invalid.",
		STR_ARG(on_success), STR_ARG(on_failure));
}

static bool event_invoke_has_any(const struct call *call)
{
	return call_has(call, "MaximumRetryAttempts") ||
		call_has(call, "MaximumEventAgeInSeconds") || call_has(call, "DestinationConfig");
}

/* The function, and the version or alias, or "The function doesn't exist.". */
static int event_invoke_function(
	struct call *call, const struct lambda_ref *ref, struct function_record *function)
{
	struct lambda_found found = {};

	int r = function_record_get(&ref->scope, ref->name, &found.function);
	if (r == RECORD_FOUND)
		r = lambda_found_follow(&found, ref->qualifier);
	if (r == RECORD_FOUND) {
		*function = found.function;
		found.function = (struct function_record){};
		/* What the version's document is borrowed from stays with the function. */
	}
	lambda_found_done(&found);
	return r == RECORD_ABSENT ? lambda_refuse(call, NOT_FOUND, "The function doesn't exist.")
				  : err_pass(r);
}

/* The members that are given; destinations without an ARN are left out. */
static void event_invoke_take(struct call *call, struct tree *doc)
{
	static const char *const numbers[] = { "MaximumRetryAttempts", "MaximumEventAgeInSeconds" };
	static const char *const sides[] = { "OnSuccess", "OnFailure" };
	const json_t *given = call_get(call, "DestinationConfig");

	for (size_t i = 0; i < 2; i++)
		tree_copy(doc, numbers[i], call_get(call, numbers[i]));
	if (!given)
		return;
	struct tree destinations = tree_object(doc, "DestinationConfig");
	for (size_t i = 0; i < 2; i++) {
		const json_t *side = json_object_get(given, sides[i]);
		if (json_get_str(side, "Destination").len)
			tree_copy(&destinations, sides[i], side);
	}
	tree_join(doc, &destinations);
}

static int event_invoke_store(struct call *call, const struct lambda_ref *ref,
	const struct function_record *function, json_t *doc, uint64_t revision)
{
	struct batch batch = { .scope = &ref->scope };
	struct tree tree = { .at = doc };
	str qualifier = event_invoke_qualifier(ref);

	event_invoke_take(call, &tree);
	tree_put_int(&tree, "Schema", RECORD_SCHEMA);
	tree_put_str(&tree, "Qualifier", qualifier);
	tree_put_int(&tree, "LastModified", (int64_t)clock_real_ms());
	if (tree.err)
		return err_pass(tree.err);
	batch_put(&batch, KIND_EVENT_INVOKE, record_child_key(function, qualifier), doc, revision);
	batch_put_function(&batch, function);
	int r = lambda_commit(&batch, ref->name);
	return r ? err_pass(r)
		 : err_pass(event_invoke_show(call->out, &ref->scope, ref->name, doc));
}

/* --- the operations --- */

static int put_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	const bool *is_update = context;
	scoped_function function = {};
	json_auto_t *doc = NULL;
	uint64_t revision = DOCS_NEW;

	int r = event_invoke_function(call, ref, &function);
	if (r)
		return err_pass(r);
	r = event_invoke_record_get(&function, event_invoke_qualifier(ref), &doc, &revision);
	if (r < 0)
		return err_pass(r);
	if (r == RECORD_ABSENT && *is_update)
		return event_invoke_none(call, ref);
	r = destinations_check(call, ref);
	if (r)
		return err_pass(r);
	if (!*is_update) {
		json_decref(doc);
		doc = json_object();
	}
	return err_pass(event_invoke_store(call, ref, &function, doc, revision));
}

static int event_invoke_put(struct call *call, bool is_update)
{
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r)
		return err_pass(r);
	if (!event_invoke_has_any(call))
		return lambda_refuse(call, INVALID,
			"You must specify at least one of error handling or destination setting.");
	return err_pass(lambda_retry(call, &ref, put_once, &is_update));
}

int lambda_put_function_event_invoke_config(struct call *call)
{
	return err_pass(event_invoke_put(call, false));
}

int lambda_update_function_event_invoke_config(struct call *call)
{
	return err_pass(event_invoke_put(call, true));
}

/* The function and the document, or the words that there is none. */
static int event_invoke_read(struct call *call, const struct lambda_ref *ref,
	struct function_record *function, json_t **ret_doc, uint64_t *ret_revision)
{
	int r = function_record_get(&ref->scope, ref->name, function);

	if (r == RECORD_FOUND)
		r = event_invoke_record_get(
			function, event_invoke_qualifier(ref), ret_doc, ret_revision);
	return r == RECORD_ABSENT ? event_invoke_none(call, ref) : err_pass(r);
}

int lambda_get_function_event_invoke_config(struct call *call)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	struct lambda_ref ref;
	uint64_t revision;

	int r = lambda_ref_read(call, &ref);
	if (r == 0)
		r = event_invoke_read(call, &ref, &function, &doc, &revision);
	return r ? err_pass(r) : err_pass(event_invoke_show(call->out, &ref.scope, ref.name, doc));
}

static int delete_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	json_auto_t *doc = NULL;
	struct batch batch = { .scope = &ref->scope };
	uint64_t revision;

	(void)context;
	int r = event_invoke_read(call, ref, &function, &doc, &revision);
	if (r)
		return err_pass(r);
	batch_delete(&batch, KIND_EVENT_INVOKE,
		record_child_key(&function, event_invoke_qualifier(ref)), revision);
	batch_put_function(&batch, &function);
	return err_pass(lambda_commit(&batch, ref->name));
}

int lambda_delete_function_event_invoke_config(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, delete_once, NULL));
}

static int event_invoke_list(struct call *call, const struct lambda_ref *ref,
	const struct lambda_page *page, const json_t *docs)
{
	struct tree out = { .at = call->out };
	json_t *list = json_array();
	const json_t *doc;
	size_t i;

	tree_put(&out, "FunctionEventInvokeConfigs", list);
	if (out.err)
		return err_pass(out.err);
	json_array_foreach(docs, i, doc)
	{
		json_auto_t *shown = json_object();
		if (i == page->limit)
			break;
		int r = event_invoke_show(shown, &ref->scope, ref->name, doc);
		if (r == 0 && json_array_append(list, shown) < 0)
			r = err_raise(-ENOMEM);
		if (r < 0)
			return err_pass(r);
	}
	if (json_array_size(docs) > page->limit)
		lambda_page_more(page, &out,
			json_get_str(json_array_get(docs, page->limit - 1), "Qualifier"));
	return err_pass(out.err);
}

int lambda_list_function_event_invoke_configs(struct call *call)
{
	scoped_function function = {};
	json_auto_t *docs = json_array();
	struct lambda_page page;
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r)
		return err_pass(r);
	r = function_record_get(&ref.scope, ref.name, &function);
	if (r == RECORD_ABSENT)
		return lambda_refuse(call, NOT_FOUND, "The function doesn't exist.");
	if (r == 0)
		r = lambda_page_read(call, "event-invoke", EVENT_INVOKE_PAGE_MAX, &page);
	if (r == 0)
		r = docs ? record_list(
				   &function, KIND_EVENT_INVOKE, page.after, page.limit + 1, docs)
			 : err_raise(-ENOMEM);
	return r ? err_pass(r) : err_pass(event_invoke_list(call, &ref, &page, docs));
}
