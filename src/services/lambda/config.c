/*
 * A parameter has one of three fates: it acts, it says "none" and that is what there is, or it is refused by name. Nothing
 * is accepted and forgotten. What cannot act yet stands in one table with the test for its harmless value.
 *
 * The order of the checks: what the model forbids was refused before; then quotas that the model does not know, what is
 * not available, the runtime, and the rest.
 */
#include "services/lambda/config.h"

#include "base/attr.h"
#include "base/err.h"
#include "model/limits.h"
#include "os/clock.h"
#include "services/lambda/environment.h"
#include "services/lambda/layers.h"
#include "services/lambda/relaxed.h"
#include "services/lambda/runtime.h"
#include "services/lambda/tree.h"
#include "wire/timestamp.h"

#include <errno.h>

/* --- what is not available --- */

static bool is_empty_text(const json_t *value)
{
	return json_view(value).len == 0;
}

static bool is_empty_list(const json_t *value)
{
	return json_array_size(value) == 0;
}

static bool is_empty_object(const json_t *value)
{
	return json_object_size(value) == 0;
}

static bool is_never(const json_t *value)
{
	(void)value;
	return false;
}

static const struct {
	const char *name;
	bool (*is_none)(const json_t *value); /* asks for nothing: accepted */
	const char *what;
} config_unavailable[] = {
	{ "FileSystemConfigs", is_empty_list, "FileSystemConfigs" },
	{ "KMSKeyArn", is_empty_text, "KMSKeyArn" },
	{ "ImageConfig", is_empty_object, "ImageConfig" },
	{ "CapacityProviderConfig", is_never, "CapacityProviderConfig" },
	{ "DurableConfig", is_never, "DurableConfig" },
	{ "PublishTo", is_never, "PublishTo" },
};

static int config_check_available(struct call *call)
{
	for (size_t i = 0; i < ARRAY_LEN(config_unavailable); i++) {
		const json_t *value = call_get(call, config_unavailable[i].name);
		if (value && !config_unavailable[i].is_none(value))
			return lambda_refuse(call, INVALID, "%s is not available in mayfly yet.",
				config_unavailable[i].what);
	}
	if (str_eq(call_str(call, "PackageType"), S("Image")))
		return lambda_refuse(call, INVALID,
			"PackageType Image (container images) is not available in mayfly yet.");
	return 0;
}

/* --- quotas that are not in the model --- */

static int config_check_quota(struct call *call, int64_t value, const char *shown, int64_t quota)
{
	if (value <= quota)
		return 0;
	return call_error(call, "ValidationException",
		"1 validation error detected: Value '%lld' at '%s' failed to satisfy constraint: "
		"Member must have value less than or equal to %lld",
		(long long)value, shown, (long long)quota);
}

static int config_check_quotas(struct call *call, const struct lambda_limits *limits)
{
	const json_t *tmp = json_object_get(call_get(call, "EphemeralStorage"), "Size");
	int r = config_check_quota(
		call, call_int(call, "Timeout", 0), "timeout", limits->timeout_s);

	if (r == 0)
		r = config_check_quota(
			call, call_int(call, "MemorySize", 0), "memorySize", limits->memory_mb);
	if (r == 0)
		r = config_check_quota(
			call, json_integer_value(tmp), "ephemeralStorage.size", limits->tmp_mb);
	return r;
}

/* --- logging --- */

/*
 * Members that are given replace those that are there. JSON brings levels, Text takes them away: "LogLevel is not
 * supported when LogFormat is set to "Text"".
 */
static int config_set_logging(struct call *call, struct tree *config)
{
	const json_t *given = call_get(call, "LoggingConfig");
	json_t *now = json_object_get(config->at, "LoggingConfig");
	static const char *const members[] = { "LogFormat", "ApplicationLogLevel", "SystemLogLevel",
		"LogGroup" };
	struct tree logging = { .at = now };

	if (!given)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		tree_copy(&logging, members[i], json_object_get(given, members[i]));
	if (logging.err)
		return err_pass(logging.err);

	if (str_eq(json_get_str(now, "LogFormat"), S("JSON"))) {
		for (size_t i = 1; i <= 2; i++)
			if (!json_object_get(now, members[i]))
				tree_put_text(&logging, members[i], "INFO");
		return err_pass(logging.err);
	}
	if (json_object_get(given, "ApplicationLogLevel") ||
		json_object_get(given, "SystemLogLevel"))
		return lambda_refuse(call, INVALID,
			"LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel from "
			"your request or change the LogFormat to \"JSON\" and try again.");
	tree_drop(&logging, "ApplicationLogLevel");
	tree_drop(&logging, "SystemLogLevel");
	return err_pass(logging.err);
}

/* --- dead letters --- */

/* "The ARN of an Amazon SQS queue or Amazon SNS topic"; without one there is none. */
static int config_set_dead_letter(struct call *call, struct tree *config)
{
	const json_t *given = call_get(call, "DeadLetterConfig");
	str arn = json_get_str(given, "TargetArn"), rest = arn, part = {};

	if (!given)
		return 0;
	tree_drop(config, "DeadLetterConfig");
	if (!arn.len)
		return err_pass(config->err);
	for (int i = 0; i < 3; i++)
		if (!str_cut(&rest, ':', &part))
			part = S("");
	if (!str_eq(part, S("sqs")) && !str_eq(part, S("sns")))
		return lambda_refuse(call, INVALID,
			"The provided dead-letter target " STR_FMT
			" is neither an Amazon SQS queue nor an Amazon SNS topic.",
			STR_ARG(arn));
	struct tree dead = tree_object(config, "DeadLetterConfig");
	tree_put_str(&dead, "TargetArn", arn);
	tree_join(config, &dead);
	return err_pass(config->err);
}

/* --- SnapStart --- */

/* "Lambda SnapStart … Java 11 and later, Python 3.12 and later, .NET 8 and later"; /tmp of 512 MB. */
static int config_set_snap_start(struct call *call, struct tree *config)
{
	static const str starts[] = { S_INIT("java8"), S_INIT("python3.8"), S_INIT("python3.9"),
		S_INIT("python3.10"), S_INIT("python3.11"), S_INIT("dotnet6"), S_INIT("nodejs"),
		S_INIT("ruby"), S_INIT("provided"), S_INIT("go") };
	const json_t *given = call_get(call, "SnapStart");
	str apply = json_get_str(
		given ? given : json_object_get(config->at, "SnapStart"), "ApplyOn");
	str runtime = json_get_str(config->at, "Runtime");

	if (given) {
		struct tree snap = tree_object(config, "SnapStart");
		tree_put_str(&snap, "ApplyOn", apply.len ? apply : S("None"));
		tree_put_text(&snap, "OptimizationStatus", "Off");
		tree_join(config, &snap);
	}
	if (!str_eq(apply, S("PublishedVersions")))
		return err_pass(config->err);
	if (json_object_get(config->at, "TenancyConfig"))
		return lambda_refuse(call, INVALID,
			"SnapStart is not supported for functions with tenancy configuration.");
	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		if (str_starts(runtime, starts[i]))
			return lambda_refuse(call, INVALID,
				STR_FMT " is not supported for SnapStart enabled functions.",
				STR_ARG(runtime));
	if (json_integer_value(json_object_get(
		    json_object_get(config->at, "EphemeralStorage"), "Size")) > LIMIT_TMP_MB_MIN)
		return lambda_refuse(call, INVALID,
			"Ephemeral storage larger than 512 MB is not supported for SnapStart enabled "
			"functions.");
	return err_pass(config->err);
}

/* --- the whole --- */

/* Parameters that are kept as they come. */
static const char *const config_plain[] = {
	"Role",
	"Handler",
	"Description",
	"Timeout",
	"MemorySize",
	"EphemeralStorage",
};

static void config_put_list(struct tree *to, const char *name, const json_t *list)
{
	tree_put(to, name, json_array());
	tree_copy(to, name, list);
}

/*
 * Kept and shown, with empty lists too once they were given, as AWS does. There are no VPCs: the network of a function is that of
 * the node's setting whatever it says here, and VpcId is empty.
 */
static int config_set_vpc(struct call *call, struct tree *config)
{
	const json_t *given = call_get(call, "VpcConfig");
	const json_t *subnets = json_object_get(given, "SubnetIds");
	const json_t *groups = json_object_get(given, "SecurityGroupIds");

	if (!given)
		return 0;
	if (is_empty_list(subnets) != is_empty_list(groups))
		return lambda_refuse(call, INVALID,
			"SecurityGroupIds and SubnetIds must coexist or be both empty list.");
	struct tree vpc = tree_object(config, "VpcConfig");
	config_put_list(&vpc, "SubnetIds", subnets);
	config_put_list(&vpc, "SecurityGroupIds", groups);
	tree_put_text(&vpc, "VpcId", "");
	tree_put_bool(&vpc, "Ipv6AllowedForDualStack",
		json_is_true(json_object_get(given, "Ipv6AllowedForDualStack")));
	tree_join(config, &vpc);
	return err_pass(config->err);
}

static int config_apply(struct call *call, struct tree *config, const json_t *tags)
{
	const struct lambda_limits limits = lambda_limits_of(call->platform, tags);
	int r = config_check_quotas(call, &limits);

	if (r == 0)
		r = config_check_available(call);
	if (r == 0)
		r = lambda_runtime_set(call, config);
	if (r == 0)
		r = lambda_layers_set(call, config);
	if (r == 0)
		r = lambda_environment_set(call, config);
	if (r == 0)
		r = config_set_logging(call, config);
	if (r == 0)
		r = config_set_dead_letter(call, config);
	if (r)
		return err_pass(r);

	for (size_t i = 0; i < ARRAY_LEN(config_plain); i++)
		tree_copy(config, config_plain[i], call_get(call, config_plain[i]));
	const json_t *tracing = call_get(call, "TracingConfig");
	if (json_object_get(tracing, "Mode"))
		tree_copy(config, "TracingConfig", tracing);
	r = config_set_vpc(call, config);
	return r ? err_pass(r) : err_pass(config_set_snap_start(call, config));
}

/* "{Name: {Member: value}}", as defaults have it. */
static void config_put_inner(
	struct tree *config, const char *name, const char *member, const char *value)
{
	struct tree inner = tree_object(config, name);

	tree_put_text(&inner, member, value);
	tree_join(config, &inner);
}

static void config_put_defaults(struct tree *config, str name)
{
	tree_put_text(config, "Description", "");
	tree_put_int(config, "Timeout", 3);
	tree_put_int(config, "MemorySize", LIMIT_MEMORY_MB_MIN);
	tree_put_text(config, "PackageType", "Zip");
	tree_put_text(config, "Version", "$LATEST");
	config_put_inner(config, "TracingConfig", "Mode", "PassThrough");
	tree_put(config, "Architectures",
		json_pack("[o]", json_from_str(lambda_architecture_host())));
	tree_put(config, "EphemeralStorage", json_pack("{s:i}", "Size", LIMIT_TMP_MB_MIN));
	tree_put(config, "SnapStart",
		json_pack("{s:s,s:s}", "ApplyOn", "None", "OptimizationStatus", "Off"));

	struct tree logging = tree_object(config, "LoggingConfig");
	tree_put_text(&logging, "LogFormat", "Text");
	struct buf group;
	buf_init(&group, 1024);
	buf_put(&group, S("/aws/lambda/"));
	buf_put(&group, name);
	tree_put_str(&logging, "LogGroup", buf_str(&group));
	buf_done(&group);
	tree_join(config, &logging);
}

int lambda_config_new(struct call *call, const struct lambda_ref *ref, json_t **ret_config)
{
	json_auto_t *made = json_object();
	struct tree config = { .at = made };

	config_put_defaults(&config, ref->name);
	/* "Tenant isolation configuration cannot be modified after function creation." */
	tree_copy(&config, "TenancyConfig", call_get(call, "TenancyConfig"));
	if (config.err)
		return err_pass(config.err);
	int r = config_apply(call, &config, call_get(call, "Tags"));
	if (r == 0)
		r = lambda_architecture_set(call, &config);
	if (r)
		return err_pass(r);
	if (!json_object_get(made, "Runtime") || json_get_str(made, "Handler").len == 0)
		return lambda_refuse(call, INVALID,
			"Runtime and Handler are mandatory parameters for functions created with "
			"deployment packages.");
	*ret_config = json_incref(made);
	return 0;
}

int lambda_config_update(struct call *call, json_t *config, const json_t *tags)
{
	struct tree tree = { .at = config };

	int r = config_apply(call, &tree, tags);
	return r ? err_pass(r) : err_pass(lambda_layers_check_size(call, config));
}

/* --- states and views --- */

json_t *lambda_config_now(void)
{
	struct buf text;

	buf_init(&text, 64);
	timestamp_put_lambda(&text, clock_real_ms());
	json_t *made = text.err ? NULL : json_from_str(buf_str(&text));
	buf_done(&text);
	return made;
}

/* "Build" is ours: environments of another build drain. Tags and states change the revision but not the build. */
static void config_set_changed(struct tree *config)
{
	tree_put(config, "LastModified", lambda_config_now());
	tree_put(config, "RevisionId", record_revision());
	tree_put(config, "Build", record_revision());
}

void lambda_config_set_created(struct tree *config)
{
	config_set_changed(config);
	tree_put_text(config, "State", "Pending");
	tree_put_text(config, "StateReason", "The function is being created.");
	tree_put_text(config, "StateReasonCode", "Creating");
	tree_drop(config, "LastUpdateStatus");
	tree_drop(config, "LastUpdateStatusReason");
	tree_drop(config, "LastUpdateStatusReasonCode");
}

void lambda_config_set_updated(struct tree *config)
{
	config_set_changed(config);
	tree_put_text(config, "State", "Active");
	tree_drop(config, "StateReason");
	tree_drop(config, "StateReasonCode");
	tree_put_text(config, "LastUpdateStatus", "InProgress");
	tree_put_text(config, "LastUpdateStatusReason", "The function is being created.");
	tree_put_text(config, "LastUpdateStatusReasonCode", "Creating");
}

static const char *const config_unlisted[] = {
	"State",
	"StateReason",
	"StateReasonCode",
	"LastUpdateStatus",
	"LastUpdateStatusReason",
	"LastUpdateStatusReasonCode",
	"RuntimeVersionConfig",
};

int lambda_config_show(json_t *out, const json_t *config, str name, str arn, enum config_view view)
{
	json_auto_t *copy = json_deep_copy(config);
	struct tree tree = { .at = out };

	if (!copy || !arn.at || json_object_update(out, copy) < 0)
		return err_raise(-ENOMEM);
	tree_drop(&tree, "Build");
	tree_drop(&tree, "LayerCode");
	tree_drop(&tree, "Snapshot");
	tree_drop(&tree, "Unpacked");
	tree_drop(&tree, "HasExtensions");
	tree_put_str(&tree, "FunctionName", name);
	tree_put_str(&tree, "FunctionArn", arn);
	for (size_t i = 0; view == CONFIG_LISTED && i < ARRAY_LEN(config_unlisted); i++)
		tree_drop(&tree, config_unlisted[i]);
	return err_pass(tree.err);
}
