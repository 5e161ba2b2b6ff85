/*
 * The order of the checks is AWS's: region, account, the two qualifiers against each other, and only then the
 * store. Nothing here writes, except that states which a crash left unfinished are finished on the way (see settle.h).
 */
#include "services/lambda/names.h"

#include "base/err.h"
#include "engine/platform.h"
#include "model/arn.h"
#include "model/limits.h"
#include "services/lambda/caller.h"
#include "services/lambda/settle.h"

#include <assert.h>
#include <errno.h>

enum { LAMBDA_TRIES_MAX = 16 };

struct lambda_scope lambda_scope_of(const struct call *call)
{
	return (struct lambda_scope){
		.platform = call->platform,
		.arena = call->arena,
		.account = call->account,
		.region = call->region,
	};
}

str lambda_arn(const struct lambda_scope *scope, str name, str qualifier)
{
	return arena_strf(scope->arena,
		"arn:" STR_FMT ":lambda:" STR_FMT ":" STR_FMT ":function:" STR_FMT "%s" STR_FMT,
		STR_ARG(arn_partition(scope->region)), STR_ARG(scope->region),
		STR_ARG(scope->account), STR_ARG(name), qualifier.len ? ":" : "",
		STR_ARG(qualifier));
}

int lambda_not_found(struct call *call, const struct lambda_ref *ref, str qualifier)
{
	str arn = lambda_arn(&ref->scope, ref->name, qualifier);

	return lambda_refuse(call, NOT_FOUND, "Function not found: " STR_FMT, STR_ARG(arn));
}

static int lambda_refuse_elsewhere(struct call *call, const struct function_name *name)
{
	if (name->region.len && !str_eq(name->region, call->region))
		return lambda_refuse(call, NOT_FOUND,
			"Functions from '" STR_FMT "' are not reachable in this region ('" STR_FMT
			"')",
			STR_ARG(name->region), STR_ARG(call->region));
	return 0;
}

/* What IAM calls the right to an operation. */
static str lambda_action(struct call *call)
{
	str name = call->operation->name;

	if (str_eq(name, S("Invoke")) || str_eq(name, S("InvokeWithResponseStream")))
		return S("lambda:InvokeFunction");
	return arena_strf(call->arena, "lambda:" STR_FMT, STR_ARG(name));
}

/*
 * "You can grant cross-account access for most API actions that operate on an existing function." Here for those that
 * invoke it or read; nobody else changes a function.
 */
static bool lambda_is_shared(const struct call *call)
{
	str name = call->operation->name;

	return str_starts(name, S("Invoke")) || str_starts(name, S("Get")) ||
		str_starts(name, S("List"));
}

/* Another account's function is reached if its policy says so; otherwise nobody learns whether it is there. */
static int lambda_check_owner(struct call *call, const struct lambda_ref *ref)
{
	struct lambda_caller caller;
	bool is_allowed = false;

	if (str_eq(ref->scope.account, call->account))
		return 0;
	str arn = lambda_arn(&ref->scope, ref->name, ref->qualifier);
	str action = lambda_action(call);
	lambda_caller_init_of(&caller, call);
	if (lambda_is_shared(call)) {
		int r = lambda_caller_may(
			&caller, &ref->scope, ref->name, ref->qualifier, action, &is_allowed);
		if (r < 0)
			return err_pass(r);
	}
	return is_allowed ? 0 : err_pass(lambda_refuse_access(call, action, arn));
}

int lambda_ref_read(struct call *call, struct lambda_ref *ret_ref)
{
	struct function_name name;
	str qualifier = call_str(call, "Qualifier");

	/* The model's pattern has let it pass; what is left are names that only look like one. */
	if (function_name_parse(call_str(call, "FunctionName"), &name) < 0)
		return lambda_refuse(call, INVALID, "The function name is not valid.");
	int r = lambda_refuse_elsewhere(call, &name);
	if (r)
		return r;
	struct lambda_ref ref = {
		.scope = lambda_scope_of(call),
		.name = name.name,
		.qualifier = name.qualifier.len ? name.qualifier : qualifier,
	};
	if (name.account.len)
		ref.scope.account = name.account;
	r = lambda_check_owner(call, &ref);
	if (r)
		return err_pass(r);
	if (name.qualifier.len && qualifier.len && !str_eq(name.qualifier, qualifier))
		return lambda_refuse(call, INVALID,
			"The derived qualifier from the function name does not match the specified qualifier.");
	*ret_ref = ref;
	return 0;
}

int lambda_ref_read_function(struct call *call, struct lambda_ref *ret_ref)
{
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r)
		return err_pass(r);
	if (ref.qualifier.len)
		return lambda_refuse(call, INVALID,
			"This operation is permitted on Lambda functions only. Aliases and versions do not "
			"support this operation. Please specify either a function name or an unqualified "
			"function ARN.");
	*ret_ref = ref;
	return 0;
}

int lambda_ref_read_latest(struct call *call, struct lambda_ref *ret_ref)
{
	struct lambda_ref ref;

	int r = lambda_ref_read(call, &ref);
	if (r == 0 && !str_eq(ref.qualifier, S("$LATEST")))
		return lambda_ref_read_function(call, ret_ref);
	if (r)
		return err_pass(r);
	ref.qualifier = S("");
	*ret_ref = ref;
	return 0;
}

int lambda_function_read(struct call *call, const struct lambda_ref *ref, str shown,
	struct function_record *ret_function)
{
	int r = lambda_settled_get(&ref->scope, ref->name, ret_function);

	return r == RECORD_ABSENT ? lambda_not_found(call, ref, shown) : err_pass(r);
}

void lambda_found_done(struct lambda_found *found)
{
	json_decref(found->version_doc);
	json_decref(found->alias_doc);
	function_record_done(&found->function);
	*found = (struct lambda_found){};
}

int lambda_version_read(const struct function_record *function, str version,
	json_t **ret_version_doc, json_t **ret_config)
{
	uint64_t number;
	json_t *doc;

	if (qualifier_kind(version) == QUALIFIER_LATEST) {
		*ret_version_doc = NULL;
		*ret_config = function->latest;
		return RECORD_FOUND;
	}
	/* "007" is not the name of version 7 */
	if (version.at[0] == '0' || str_to_u64(version, RECORD_VERSION_MAX, &number) < 0)
		return RECORD_ABSENT;
	int r = version_record_get(function, number, &doc, NULL);
	if (r != RECORD_FOUND)
		return err_pass(r);
	*ret_version_doc = doc;
	*ret_config = json_object_get(doc, "Config");
	return RECORD_FOUND;
}

int lambda_found_follow(struct lambda_found *found, str qualifier)
{
	enum qualifier_kind kind = qualifier_kind(qualifier);

	if (kind == QUALIFIER_BAD)
		return RECORD_ABSENT;
	if (kind != QUALIFIER_ALIAS)
		return err_pass(lambda_version_read(
			&found->function, qualifier, &found->version_doc, &found->config));

	int r = alias_record_get(&found->function, qualifier, &found->alias_doc, NULL);
	if (r != RECORD_FOUND)
		return err_pass(r);
	str version = json_get_str(json_object_get(found->alias_doc, "Alias"), "FunctionVersion");
	return err_pass(lambda_version_read(
		&found->function, version, &found->version_doc, &found->config));
}

int lambda_find(struct call *call, const struct lambda_ref *ref, struct lambda_found *ret_found)
{
	struct lambda_found found = {};

	int r = lambda_function_read(call, ref, ref->qualifier, &found.function);
	if (r)
		return err_pass(r);
	r = lambda_found_follow(&found, ref->qualifier);
	if (r == RECORD_FOUND) {
		*ret_found = found;
		return 0;
	}
	lambda_found_done(&found);
	return r == RECORD_ABSENT ? lambda_not_found(call, ref, ref->qualifier) : err_pass(r);
}

int lambda_check_no_tenants(
	struct call *call, const struct function_record *function, const char *what)
{
	if (!json_object_get(json_object_get(function->doc, "Latest"), "TenancyConfig"))
		return 0;
	return lambda_refuse(call, INVALID,
		"%s is not supported for functions with tenancy configuration.", what);
}

int lambda_retry(
	struct call *call, const struct lambda_ref *ref, lambda_once_fn *once, void *context)
{
	for (int i = 0; i < LAMBDA_TRIES_MAX; i++) {
		int r = once(call, ref, context);
		if (r != LAMBDA_AGAIN)
			return err_pass(r);
		(void)json_object_clear(call->out);
	}
	str arn = lambda_arn(&ref->scope, ref->name, S(""));
	return lambda_refuse(call, CONFLICT,
		"The operation cannot be performed at this time. An update is in progress for resource: " STR_FMT,
		STR_ARG(arn));
}

int lambda_commit(struct batch *batch, str name)
{
	int r = batch_commit(batch);
	if (r == DOCS_CONFLICT)
		return LAMBDA_AGAIN;
	if (r < 0)
		return err_pass(r);
	assert(r == DOCS_DONE);
	platform_function_changed(
		batch->scope->platform, batch->scope->account, batch->scope->region, name);
	return 0;
}

int lambda_check_revision_by(struct call *call, str current, const char *getter)
{
	if (!call_has(call, "RevisionId") || str_eq(call_str(call, "RevisionId"), current))
		return 0;
	return lambda_refuse(call, PRECONDITION,
		"The Revision Id provided does not match the latest Revision Id. Call the %s API to "
		"retrieve the latest Revision Id",
		getter);
}

int lambda_check_revision(struct call *call, str current)
{
	return lambda_check_revision_by(call, current, "GetFunction/GetAlias");
}
