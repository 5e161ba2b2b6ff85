/*
 * The size that counts is that of the variables as one JSON text, which is also what AWS's error shows ("String
 * measured"). Ours is cut there when somebody sends megabytes.
 */
#include "services/lambda/environment.h"

#include "base/attr.h"
#include "base/err.h"
#include "model/limits.h"

#include <errno.h>
#include <string.h>

enum { ENVIRONMENT_SHOWN_MAX = 16 * 1024 };

/* "Reserved environment variables": set by Lambda during initialization, not to be set in the configuration. */
static const char *const environment_reserved[] = {
	"_HANDLER",
	"_X_AMZN_TRACE_ID",
	"AWS_ACCESS_KEY",
	"AWS_ACCESS_KEY_ID",
	"AWS_DEFAULT_REGION",
	"AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
	"AWS_LAMBDA_FUNCTION_NAME",
	"AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE",
	"AWS_LAMBDA_LOG_GROUP_NAME",
	"AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_LAMBDA_METADATA_API",
	"AWS_LAMBDA_METADATA_TOKEN",
	"AWS_LAMBDA_RUNTIME_API",
	"AWS_REGION",
	"AWS_SECRET_ACCESS_KEY",
	"AWS_SECRET_KEY",
	"AWS_SESSION_TOKEN",
	"LAMBDA_RUNTIME_DIR",
	"LAMBDA_TASK_ROOT",
};

static bool environment_is_reserved(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(environment_reserved); i++)
		if (strcmp(environment_reserved[i], name) == 0)
			return true;
	return false;
}

static int environment_check_names(struct call *call, json_t *variables)
{
	const char *name;
	json_t *value;
	struct buf found;

	buf_init(&found, LIMIT_ENVIRONMENT_BYTES);
	json_object_foreach(variables, name, value)
	{
		str text = json_view(value);
		if (text.len && memchr(text.at, '\0', text.len)) {
			buf_done(&found);
			return lambda_refuse(call, INVALID,
				"Lambda was unable to configure your environment variables because a value "
				"holds a NUL character.");
		}
		if (!environment_is_reserved(name))
			continue;
		buf_putf(&found, "%s%s", found.len ? ", " : "", name);
	}
	str names = arena_str(call->arena, buf_str(&found));
	buf_done(&found);
	if (names.len == 0)
		return 0;
	return lambda_refuse(call, INVALID,
		"Lambda was unable to configure your environment variables because the environment "
		"variables you have provided contains reserved keys that are currently not supported for "
		"modification. Reserved keys used in this request: " STR_FMT,
		STR_ARG(names));
}

int lambda_environment_set(struct call *call, struct tree *config)
{
	json_t *environment = call_get(call, "Environment");
	json_t *variables = json_object_get(environment, "Variables");

	if (!environment)
		return 0;
	if (!variables) {
		tree_drop(config, "Environment");
		return 0;
	}
	int r = environment_check_names(call, variables);
	if (r)
		return r;
	str text = record_text(call->arena, variables, JSON_COMPACT);
	if (!text.at)
		return err_raise(-ENOMEM);
	if (text.len > LIMIT_ENVIRONMENT_BYTES) {
		str shown = str_slice(text, 0, ENVIRONMENT_SHOWN_MAX);
		return lambda_refuse(call, INVALID,
			"Lambda was unable to configure your environment variables because the environment "
			"variables you have provided exceeded the 4KB limit. String measured: " STR_FMT,
			STR_ARG(shown));
	}
	tree_copy(config, "Environment", environment);
	return 0;
}
