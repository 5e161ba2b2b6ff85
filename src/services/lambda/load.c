/*
 * From documents to the snapshots that the engine holds. The revision of a snapshot is the version's "Build", which
 * changes with code and configuration only: a tag, a policy or the end of an update must not stop what runs. The one
 * tag that does is that of relaxed limits.
 */
#include "services/lambda/load.h"

#include "aws/call.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "model/arn.h"
#include "services/lambda/names.h"
#include "services/lambda/relaxed.h"
#include "services/lambda/reserved.h"
#include "services/lambda/settle.h"
#include "services/lambda/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { LOAD_ARENA_MAX = 1024 * 1024, LOAD_WEIGHT_WHOLE = 1'000'000 };

/* --- a version --- */

static enum function_state load_state(const json_t *config)
{
	str state = json_get_str(config, "State");

	if (str_eq(state, S("Pending")))
		return FUNCTION_PENDING;
	if (str_eq(state, S("Failed")))
		return FUNCTION_FAILED;
	return str_eq(state, S("Inactive")) ? FUNCTION_INACTIVE : FUNCTION_ACTIVE;
}

/* "NAME=value" views in the arena. */
static int load_environment(
	const struct lambda_scope *scope, const json_t *config, struct function_version *version)
{
	json_t *variables = json_object_get(json_object_get(config, "Environment"), "Variables");
	str *env = arena_new(scope->arena, (json_object_size(variables) + 1) * sizeof(str));
	uint32_t count = 0;
	const char *name;
	json_t *value;

	if (!env)
		return err_raise(-ENOMEM);
	json_object_foreach(variables, name, value)
	{
		env[count] = arena_strf(
			scope->arena, "%s=" STR_FMT, name, STR_ARG(json_view(value)));
		if (!env[count++].at)
			return err_raise(-ENOMEM);
	}
	version->env = env;
	version->env_count = count;
	return 0;
}

/* The ZIPs of the layers, in their order. */
static int load_layers(const json_t *config, struct function_version *version)
{
	size_t i;
	json_t *layer;

	json_array_foreach(json_object_get(config, "LayerCode"), i, layer)
	{
		if (i >= ARRAY_LEN(version->layers))
			return err_raise(-EBADMSG);
		int r = record_digest(layer, version->layers[i]);
		if (r < 0)
			return err_pass(r);
		version->layer_count = (uint32_t)i + 1;
		version->has_extensions |= json_is_true(json_object_get(layer, "HasExtensions"));
	}
	return 0;
}

static uint32_t load_number(const json_t *object, const char *name, int64_t max)
{
	json_int_t number = json_integer_value(json_object_get(object, name));

	assert(number >= 0 && number <= INT32_MAX);
	return (uint32_t)MIN(number, max);
}

static str load_revision(
	const struct lambda_scope *scope, const json_t *config, const struct lambda_limits *limits)
{
	str build = json_get_str(config, "Build");

	return limits->is_relaxed ? arena_strf(scope->arena, STR_FMT "+relaxed", STR_ARG(build))
				  : build;
}

static int load_version(const struct function_record *function, const json_t *config,
	struct function_version **ret_version)
{
	const json_t *logging = json_object_get(config, "LoggingConfig");
	bool is_json = str_eq(json_get_str(logging, "LogFormat"), S("JSON"));
	const struct lambda_limits limits = lambda_limits_of(
		function->scope->platform, json_object_get(function->doc, "Tags"));
	struct function_version version = {
		.account = function->scope->account,
		.region = function->scope->region,
		.name = function->name,
		.version = json_get_str(config, "Version"),
		.revision = load_revision(function->scope, config, &limits),
		.arn = lambda_arn(function->scope, function->name, S("")),
		.runtime = json_get_str(config, "Runtime"),
		.handler = json_get_str(config, "Handler"),
		.role = json_get_str(config, "Role"),
		.log_group = json_get_str(logging, "LogGroup"),
		.log_level_app = is_json ? json_get_str(logging, "ApplicationLogLevel") : S(""),
		.log_level_system = is_json ? json_get_str(logging, "SystemLogLevel") : S(""),
		.snapshot = json_get_str(config, "Snapshot"),
		.has_snap_start = lambda_snapshot_is_wanted(config) &&
			!str_eq(json_get_str(config, "Version"), S("$LATEST")),
		.log_is_json = is_json,
		.is_traced = str_eq(json_get_str(json_object_get(config, "TracingConfig"), "Mode"),
			S("Active")),
		.is_per_tenant = json_object_get(config, "TenancyConfig") != NULL,
		.may_loop = str_eq(json_get_str(function->doc, "RecursiveLoop"), S("Allow")),
		.state = load_state(config),
		/* What was granted may be gone: the tag, or the setting. */
		.memory_mb = load_number(config, "MemorySize", limits.memory_mb),
		.timeout_ms = load_number(config, "Timeout", limits.timeout_s) * 1000,
		.tmp_mb = load_number(
			json_object_get(config, "EphemeralStorage"), "Size", limits.tmp_mb),
		.payload_max = limits.payload_bytes,
	};

	if (!version.arn.at || !version.revision.at)
		return err_raise(-ENOMEM);
	int r = record_digest(config, version.code);
	if (r == 0)
		r = load_layers(config, &version);
	if (r == 0)
		r = load_environment(function->scope, config, &version);
	if (r < 0)
		return err_pass(r);
	*ret_version = function_version_new(&version);
	return *ret_version ? 0 : err_raise(-ENOMEM);
}

/* Read and make the version of this number or $LATEST: RECORD_FOUND, RECORD_ABSENT or a fault. */
static int load_version_named(
	const struct function_record *function, str name, struct function_version **ret_version)
{
	json_auto_t *doc = NULL;
	json_t *config;

	int r = lambda_version_read(function, name, &doc, &config);
	if (r != RECORD_FOUND)
		return err_pass(r);
	return err_pass(load_version(function, config, ret_version));
}

/* --- a target --- */

/* The share of the second version, if the alias has one. */
static int load_routing(
	const struct function_record *function, const json_t *alias, struct function_target *target)
{
	const json_t *routing = json_object_get(alias, "RoutingConfig");
	json_t *weights = json_object_get(routing, "AdditionalVersionWeights");
	void *entry = json_object_iter(weights);

	if (!entry)
		return 0;
	double weight = json_number_value(json_object_iter_value(entry));
	assert(weight >= 0 && weight <= 1);
	target->other_per_million = (uint32_t)(weight * LOAD_WEIGHT_WHOLE + 0.5);
	return err_pass(
		load_version_named(function, str_of(json_object_iter_key(entry)), &target->other));
}

static int load_alias(
	const struct function_record *function, str name, struct function_target *target)
{
	json_auto_t *doc = NULL;

	if (str_to_array(name, target->alias_text, sizeof(target->alias_text)) < 0)
		return RECORD_ABSENT;
	int r = alias_record_get(function, name, &doc, NULL);
	if (r != RECORD_FOUND)
		return err_pass(r);
	const json_t *alias = json_object_get(doc, "Alias");
	target->alias = str_of(target->alias_text);
	r = load_version_named(function, json_get_str(alias, "FunctionVersion"), &target->version);
	if (r == RECORD_FOUND)
		r = load_routing(function, alias, target);
	return err_pass(r);
}

static int load_reservation(const struct function_record *function, struct function_target *target)
{
	json_auto_t *doc = NULL;
	uint64_t revision;

	int r = lambda_reserved_get(function->scope, &doc, &revision);
	if (r < 0)
		return err_pass(r);
	int64_t amount = lambda_reserved_of(doc, function->name);
	target->reserved_concurrency = (int32_t)MIN(amount, INT32_MAX);
	target->set_aside = (uint32_t)MIN(lambda_reserved_sum(doc, S("")), UINT32_MAX);
	target->set_aside_revision = revision;
	return 0;
}

/* RECORD_FOUND, RECORD_ABSENT (of the qualifier) or a fault. */
static int load_fill(
	const struct function_record *function, str qualifier, struct function_target *target)
{
	enum qualifier_kind kind = qualifier_kind(qualifier);
	int r = RECORD_ABSENT;

	if (kind == QUALIFIER_ALIAS)
		r = load_alias(function, qualifier, target);
	else if (kind != QUALIFIER_BAD)
		r = load_version_named(function, qualifier, &target->version);
	return r == RECORD_FOUND ? err_pass(load_reservation(function, target)) : err_pass(r);
}

int lambda_load_qualifier(
	const struct function_record *function, str qualifier, struct function_target **ret_target)
{
	struct function_target *target = mem_one(struct function_target);
	if (!target)
		return err_raise(-ENOMEM);

	int r = load_fill(function, qualifier, target);
	if (r == RECORD_FOUND) {
		*ret_target = target;
		return LOAD_DONE;
	}
	function_target_free(target);
	return r == RECORD_ABSENT ? LOAD_NO_QUALIFIER : err_pass(r);
}

static int load_target(const struct lambda_scope *scope, str name, str qualifier,
	struct function_target **ret_target)
{
	scoped_function function = {};

	int r = lambda_settled_get(scope, name, &function);
	if (r == RECORD_ABSENT)
		return LOAD_NO_FUNCTION;
	return r < 0 ? err_pass(r)
		     : err_pass(lambda_load_qualifier(&function, qualifier, ret_target));
}

int lambda_load_target(struct platform *platform, str account, str region, str name, str qualifier,
	struct function_target **ret_target)
{
	struct arena arena;
	struct lambda_scope scope = {
		.platform = platform, .arena = &arena, .account = account, .region = region
	};

	arena_init(&arena, LOAD_ARENA_MAX);
	int r = load_target(&scope, name, qualifier, ret_target);
	arena_done(&arena);
	return err_pass(r);
}
