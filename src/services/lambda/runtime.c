/*
 * Names of runtimes come from three places that do not agree: the model's enum has every runtime that ever was, AWS's
 * error lists those that can be chosen now, and this node has what is installed. A name is accepted when it can be
 * chosen at AWS (or is newer than the list here), whatever is installed: the engine takes the nearest version and says so,
 * unless the node is set to be strict.
 */
#include "services/lambda/runtime.h"

#include "base/err.h"
#include "engine/platform.h"
#include "model/arn.h"

#include <string.h>
#include <sys/utsname.h>

/* --- runtime --- */

/* As AWS lists them in the error, in its order. */
#define RUNTIMES_CURRENT                                                                  \
	"nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, "   \
	"nodejs22.x, java25, python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, " \
	"python3.8, python3.9, java17, nodejs16.x, dotnet10, dotnet8, java11, dotnet6, "  \
	"nodejs18.x, provided.al2, java8.al2"

/* "Deprecated runtimes" of the developer guide whose date of "block function create" is over. */
#define RUNTIMES_RETIRED                                                                      \
	"nodejs, nodejs4.3, nodejs4.3-edge, nodejs6.10, nodejs8.10, nodejs10.x, nodejs12.x, " \
	"nodejs14.x, java8, python2.7, python3.6, python3.7, dotnetcore1.0, dotnetcore2.0, "  \
	"dotnetcore2.1, dotnetcore3.1, go1.x, ruby2.5, ruby2.7, provided"

static bool runtime_is_in(str list, str runtime)
{
	str item;

	while (str_next(&list, ',', &item))
		if (str_eq(str_trim(item), runtime))
			return true;
	return false;
}

/* Is it in the enum of what the operation answers? That may know runtimes which are newer than the lists here. */
static bool runtime_is_modelled(const struct call *call, str runtime)
{
	const struct aws_shape *output = call->operation->output;
	const struct aws_member *member = output ? aws_member_find(output, S("Runtime")) : NULL;

	for (size_t i = 0; member && i < member->shape->enum_count; i++)
		if (str_eq(member->shape->enums[i], runtime))
			return true;
	return false;
}

static int runtime_check_installed(struct call *call, str runtime)
{
	struct installed_runtime installed = {};

	if (!call->platform->is_runtimes_strict)
		return 0;
	switch (platform_runtime(call->platform, runtime, &installed)) {
	case RUNTIME_EXACT:
		return 0;
	case RUNTIME_NEAREST:
		return lambda_refuse(call, INVALID,
			"The runtime " STR_FMT " is not installed on this node, only " STR_FMT
			" " STR_FMT
			", and the setting runtimes = strict forbids to use that instead.",
			STR_ARG(runtime), STR_ARG(installed.pack), STR_ARG(installed.version));
	case RUNTIME_NONE:
		break;
	}
	return lambda_refuse(call, INVALID,
		"The runtime " STR_FMT
		" is not installed on this node (setting runtimes = strict).",
		STR_ARG(runtime));
}

static void runtime_put_version(struct call *call, struct tree *config, str runtime)
{
	struct installed_runtime installed = {};
	struct buf text;

	(void)platform_runtime(call->platform, runtime, &installed);
	buf_init(&text, 1024);
	runtime_put_arn(&text, call->region, runtime, installed.pack, installed.version);

	struct tree version = tree_object(config, "RuntimeVersionConfig");
	tree_put(&version, "RuntimeVersionArn", text.err ? NULL : json_from_str(buf_str(&text)));
	tree_join(config, &version);
	buf_done(&text);
}

int lambda_runtime_set(struct call *call, struct tree *config)
{
	str runtime = call_str(call, "Runtime");

	if (!call_has(call, "Runtime"))
		return 0;
	if (runtime_is_in(S(RUNTIMES_RETIRED), runtime))
		return lambda_refuse(call, INVALID,
			"The runtime parameter of " STR_FMT
			" is no longer supported for creating or "
			"updating AWS Lambda functions. We recommend you use a supported runtime while "
			"creating or updating functions.",
			STR_ARG(runtime));
	if (!runtime_is_in(S(RUNTIMES_CURRENT), runtime) && !runtime_is_modelled(call, runtime))
		return lambda_refuse(call, INVALID,
			"Value " STR_FMT
			" at 'runtime' failed to satisfy constraint: Member must satisfy "
			"enum value set: [" RUNTIMES_CURRENT "] or be a valid ARN",
			STR_ARG(runtime));
	int r = runtime_check_installed(call, runtime);
	if (r)
		return r;
	tree_put_str(config, "Runtime", runtime);
	runtime_put_version(call, config, runtime);
	platform_expect_runtime(call->platform, runtime);
	return 0;
}

/* --- architecture --- */

/* What this machine runs, in AWS's words. */
str lambda_architecture_host(void)
{
	struct utsname host;

	if (uname(&host) == 0 && strcmp(host.machine, "aarch64") == 0)
		return S("arm64");
	return S("x86_64");
}

int lambda_architecture_set(struct call *call, struct tree *config)
{
	const json_t *list = call_get(call, "Architectures");
	str wanted = json_view(json_array_get(list, 0));
	str host = lambda_architecture_host();

	if (!list)
		return 0;
	if (!str_eq(wanted, host))
		return lambda_refuse(call, INVALID,
			"Architectures [" STR_FMT "] is not available in mayfly on this node: its "
			"architecture is " STR_FMT ".",
			STR_ARG(wanted), STR_ARG(host));
	tree_copy(config, "Architectures", list);
	return 0;
}
