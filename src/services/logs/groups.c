/* Log groups: made, deleted, listed; how long they keep events. */
#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "services/logs/lookup.h"
#include "services/logs/operations.h"
#include "services/logs/tags.h"

#include <assert.h>
#include <errno.h>

enum { GROUPS_PAGE = 50 };

/* What the caller asks for that cannot be: CALL_ERROR, or 0. */
static int create_refuse(struct call *call, str name)
{
	/* API_CreateLogGroup: "Log group names can't start with the string aws/" */
	if (str_starts_fold(name, S("aws/")))
		return call_error(call, "InvalidParameterException",
			"Log groups starting with AWS/ are reserved for AWS.");
	if (call_has(call, "kmsKeyId"))
		return call_error(call, "InvalidParameterException",
			"kmsKeyId: encrypting log groups with a KMS key is not available here");
	return err_pass(lookup_check_length(call, name));
}

int op_create_log_group(struct call *call)
{
	struct logs *logs = call->platform->logs;
	struct logs_scope scope = lookup_scope(call);
	str name = call_str(call, "logGroupName");
	str log_class = call_str(call, "logGroupClass");

	int r = create_refuse(call, name);
	if (r != 0)
		return err_pass(r);
	r = logs_group_create(logs, scope, name, clock_real_ms(),
		log_class.len ? log_class : S("STANDARD"), S(""));
	if (r == LOGS_EXISTS)
		return call_error(call, "ResourceAlreadyExistsException",
			"The specified log group already exists");
	if (r == LOGS_DONE && call_bool(call, "deletionProtectionEnabled", false))
		r = logs_group_set_protection(logs, scope, name, true);
	if (r == LOGS_DONE)
		r = tags_replace(call, name, call_get(call, "tags"));
	return lookup_answer(call, r);
}

int op_delete_log_group(struct call *call)
{
	str name = call_str(call, "logGroupName");
	struct lookup_group group;

	int r = lookup_group(call, name, &group);
	if (r != 0)
		return err_pass(r);
	if (group.is_protected)
		return call_error(call, "ValidationException",
			"The specified log group has deletion protection enabled.");
	r = tags_replace(call, name, NULL);
	if (r == 0)
		r = logs_group_delete(call->platform->logs, lookup_scope(call), name);
	return lookup_answer(call, r);
}

/* The log group that logGroupIdentifier alone names. */
int op_put_log_group_deletion_protection(struct call *call)
{
	str name;
	int r = lookup_group_name(call, &name);
	if (r != 0)
		return err_pass(r);
	bool is_protected = call_bool(call, "deletionProtectionEnabled", false);
	return lookup_answer(call,
		logs_group_set_protection(
			call->platform->logs, lookup_scope(call), name, is_protected));
}

static int set_retention(struct call *call, unsigned days)
{
	return lookup_answer(call,
		logs_group_set_retention(call->platform->logs, lookup_scope(call),
			call_str(call, "logGroupName"), days));
}

int op_put_retention_policy(struct call *call)
{
	/* API_PutRetentionPolicy: "Possible values are: …" */
	static const unsigned allowed[] = { 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400,
		545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653 };
	int64_t days = call_int(call, "retentionInDays", 0);

	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		if (days == allowed[i])
			return err_pass(set_retention(call, allowed[i]));
	}
	return call_error(call, "InvalidParameterException",
		"1 validation error detected: Value '%lld' at 'retentionInDays' failed to satisfy "
		"constraint: Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, "
		"180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]",
		(long long)days);
}

int op_delete_retention_policy(struct call *call)
{
	return err_pass(set_retention(call, 0));
}

/* A page of groups in the making. */
struct groups_page {
	struct call *call;
	json_t *list;
	size_t limit;
	str pattern;
	bool has_pattern;
	str log_class;
	json_t *identifiers; /* NULL: all */
	str last;	     /* the name of the last one taken, in the arena */
	bool has_more;
	int fault;
};

static bool groups_wants(const struct groups_page *page, const struct logs_group *group)
{
	if (str_find_str(group->name, page->pattern) < 0)
		return false;
	if (page->log_class.len && !str_eq(page->log_class, group->log_class))
		return false;
	if (!page->identifiers)
		return true;
	size_t index;
	json_t *identifier;
	json_array_foreach(page->identifiers, index, identifier)
	{
		str name = json_view(identifier);
		if (str_starts(name, S("arn:")))
			name = lookup_name_of_arn(page->call, name);
		if (str_eq(name, group->name))
			return true;
	}
	return false;
}

/* What every listing tells of a group. */
static int group_put_core(json_t *object, struct call *call, const struct logs_group *group)
{
	str arn = lookup_group_arn(call, group->name);
	str arn_all = arn.at ? arena_strf(call->arena, STR_FMT ":*", STR_ARG(arn)) : arn;
	if (!arn_all.at)
		return err_raise(-ENOMEM);
	int r = json_put(object, "logGroupName", json_from_str(group->name));
	if (r == 0)
		r = json_put(object, "creationTime", json_integer((json_int_t)group->created_ms));
	if (r == 0)
		r = json_put(object, "arn", json_from_str(arn_all));
	if (r == 0)
		r = json_put(object, "logGroupArn", json_from_str(arn));
	if (r == 0)
		r = json_put(object, "logGroupClass", json_from_str(group->log_class));
	if (r == 0)
		r = json_put(object, "metricFilterCount", json_integer(0));
	return err_pass(r);
}

/* What a listing by pattern leaves out. */
static int group_put_rest(json_t *object, const struct logs_group *group)
{
	int r = json_put(object, "storedBytes", json_integer((json_int_t)group->stored_bytes));
	if (r == 0)
		r = json_put(
			object, "deletionProtectionEnabled", json_boolean(group->is_protected));
	if (r == 0 && group->retention_days)
		r = json_put(object, "retentionInDays", json_integer(group->retention_days));
	return err_pass(r);
}

static int groups_add(struct groups_page *page, const struct logs_group *group)
{
	json_t *object = json_object();
	if (!object || json_array_append_new(page->list, object) < 0)
		return err_raise(-ENOMEM);
	page->last = arena_str(page->call->arena, group->name);
	if (!page->last.at)
		return err_raise(-ENOMEM);
	int r = group_put_core(object, page->call, group);
	if (r == 0 && !page->has_pattern)
		r = group_put_rest(object, group);
	return err_pass(r);
}

static int groups_see(void *context, const struct logs_group *group)
{
	struct groups_page *page = context;

	if (!groups_wants(page, group))
		return 0;
	page->has_more = json_array_size(page->list) == page->limit;
	if (page->has_more)
		return 1;
	page->fault = groups_add(page, group);
	return page->fault;
}

/* Combinations that AWS refuses, and accounts that are not here. */
static int describe_groups_refuse(struct call *call)
{
	json_t *accounts = call_get(call, "accountIdentifiers");
	size_t index;
	json_t *account;

	if (call_has(call, "logGroupNamePrefix") && call_str(call, "logGroupNamePattern").len)
		return call_error(call, "InvalidParameterException",
			"LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.");
	if (call_has(call, "logGroupIdentifiers") &&
		(call_has(call, "logGroupNamePrefix") || call_has(call, "logGroupNamePattern") ||
			call_has(call, "logGroupClass")))
		return call_error(call, "InvalidParameterException",
			"logGroupIdentifiers can only be combined with includeLinkedAccounts.");
	if (json_array_size(accounts) && !call_bool(call, "includeLinkedAccounts", false))
		return call_error(call, "InvalidParameterException",
			"accountIdentifiers needs includeLinkedAccounts to be true.");
	json_array_foreach(accounts, index, account)
	{
		if (!str_eq(json_view(account), call->account))
			return call_error(call, "InvalidParameterException",
				"accountIdentifiers: cross-account observability is not available here");
	}
	return 0;
}

int op_describe_log_groups(struct call *call)
{
	struct groups_page page = {
		.call = call,
		.limit = (size_t)call_int(call, "limit", GROUPS_PAGE),
		.pattern = call_str(call, "logGroupNamePattern"),
		.has_pattern = call_str(call, "logGroupNamePattern").len > 0,
		.log_class = call_str(call, "logGroupClass"),
		.identifiers = call_get(call, "logGroupIdentifiers"),
		.list = json_array(),
	};

	int r = page.list ? json_put(call->out, "logGroups", page.list) : err_raise(-ENOMEM);
	if (r == 0)
		r = describe_groups_refuse(call);
	if (r != 0)
		return err_pass(r);
	r = logs_groups(call->platform->logs, lookup_scope(call),
		call_str(call, "logGroupNamePrefix"), call_str(call, "nextToken"), 0, groups_see,
		&page);
	if (r == 0)
		r = page.fault;
	if (r == 0 && page.has_more)
		r = json_put(call->out, "nextToken", json_from_str(page.last));
	return err_pass(r);
}
