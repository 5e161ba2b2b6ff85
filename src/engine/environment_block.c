/*
 * The environment variables of an execution environment, in the order of their precedence: the
 * runtime pack's defaults, the function's own, and those that Lambda reserves (which the API does
 * not let a function set). Source: "Using Lambda environment variables", the lists of reserved and
 * unreserved variables.
 */
#include "base/err.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/pool.h"
#include "engine/runtimes.h"
#include "engine/stem.h"
#include "os/random.h"
#include "wire/session.h"

#include <errno.h>
#include <stdio.h>

static str env_name(str assignment)
{
	str rest = assignment, name;

	return str_cut(&rest, '=', &name) ? name : assignment;
}

static bool has_name(const str *assignments, uint32_t count, str name)
{
	for (uint32_t i = 0; i < count; i++) {
		if (str_eq(env_name(assignments[i]), name))
			return true;
	}
	return false;
}

static void put_assignment(struct buf *block, str assignment)
{
	buf_put(block, assignment);
	buf_put_char(block, '\0');
}

/* A default of the node: only when neither the pack nor the function sets it. */
static void put_default(struct buf *block, const struct environment *env, str assignment)
{
	const struct function_version *version = env->pool->version;
	str name = env_name(assignment);

	if (!has_name(version->env, version->env_count, name) &&
		!has_name(env->pack->env, env->pack->env_count, name))
		put_assignment(block, assignment);
}

static void put_pack_defaults(struct buf *block, const struct environment *env)
{
	const struct function_version *version = env->pool->version;

	for (uint32_t i = 0; i < env->pack->env_count; i++) {
		if (!has_name(version->env, version->env_count, env_name(env->pack->env[i])))
			put_assignment(block, env->pack->env[i]);
	}
}

static void put(struct buf *block, const char *name, str value)
{
	buf_put(block, str_of(name));
	buf_put_char(block, '=');
	buf_put(block, value);
	buf_put_char(block, '\0');
}

/* "arn:aws:iam::123456789012:role/path/name" → "name". */
static str role_name(str arn)
{
	str rest = arn, part;

	while (str_cut(&rest, '/', &part) || str_cut(&rest, ':', &part))
		continue;
	return str_slice(rest, 0, SESSION_NAME_MAX);
}

/* Good for longer than the environment is given work. */
static uint64_t credentials_expire_s(const struct environment *env)
{
	enum { SPARE_S = 3600 };
	uint64_t life_ms = env->worn_ms - env->created_ms;

	return (env->created_real_ms + life_ms + 2ULL * env->pool->version->timeout_ms) / 1000 +
		SPARE_S;
}

/* Of the function's role, in a session that has the function's name. */
static void put_credentials(struct buf *block, const struct environment *env)
{
	const struct function_version *version = env->pool->version;
	struct session session = { .expires_s = credentials_expire_s(env) };
	struct session_credentials credentials;
	uint8_t nonce[SESSION_NONCE_LEN];

	/* What the API has let through fits; if it did not, there would be no credentials. */
	if (str_to_array(version->account, session.account, sizeof(session.account)) < 0 ||
		str_to_array(role_name(version->role), session.role, sizeof(session.role)) < 0 ||
		str_to_array(version->name, session.name, sizeof(session.name)) < 0)
		return;
	random_id_bytes(nonce, sizeof(nonce));
	session_seal(env->engine->platform->session_key, nonce, &session, &credentials);
	put(block, "AWS_ACCESS_KEY_ID", str_of(credentials.access_key));
	put(block, "AWS_SECRET_ACCESS_KEY", str_of(credentials.secret));
	put(block, "AWS_SESSION_TOKEN", str_of(credentials.token));
}

static void put_reserved(struct buf *block, const struct environment *env)
{
	const struct function_version *version = env->pool->version;
	char memory[16];
	int len = snprintf(memory, sizeof(memory), "%u", version->memory_mb);

	put(block, "_HANDLER", version->handler);
	put(block, "AWS_LAMBDA_RUNTIME_API", S("127.0.0.1:9001"));
	put(block, "AWS_LAMBDA_METADATA_API", S("127.0.0.1:9001"));
	put(block, "AWS_LAMBDA_METADATA_TOKEN", str_of(env->metadata_token));
	put(block, "LAMBDA_TASK_ROOT", S("/var/task"));
	put(block, "LAMBDA_RUNTIME_DIR", S("/var/runtime"));
	put(block, "AWS_LAMBDA_FUNCTION_NAME", version->name);
	put(block, "AWS_LAMBDA_FUNCTION_VERSION", version->version);
	put(block, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", (str){ memory, (size_t)len });
	put(block, "AWS_LAMBDA_LOG_GROUP_NAME", version->log_group);
	buf_put(block, S("AWS_LAMBDA_LOG_STREAM_NAME="));
	environment_stream_name(env, block);
	buf_put_char(block, '\0');
	put(block, "AWS_LAMBDA_LOG_FORMAT", version->log_is_json ? S("JSON") : S("Text"));
	if (version->log_is_json)
		put(block, "AWS_LAMBDA_LOG_LEVEL", version->log_level_app);
	put(block, "AWS_REGION", version->region);
	put(block, "AWS_DEFAULT_REGION", version->region);
	put(block, "AWS_LAMBDA_INITIALIZATION_TYPE",
		env->is_provisioned			    ? S("provisioned-concurrency")
			: env->snapshot || env->is_restored ? S("snap-start")
							    : S("on-demand"));
	if (env->snapshot)
		put(block, "MAYFLY_SNAPSHOT", S("1"));
	/* A function that brings its own runtime is not told of ours. */
	if (env->pack->version.len) {
		buf_put(block, S("AWS_EXECUTION_ENV=AWS_Lambda_"));
		buf_put(block, version->runtime);
		buf_put_char(block, '\0');
		put(block, "_LAMBDA_TELEMETRY_LOG_FD", S("1"));
	}
	if (env->engine->options.has_credentials)
		put_credentials(block, env);
}

int environment_put_block(struct buf *block, const struct environment *env)
{
	const struct function_version *version = env->pool->version;

	put_default(block, env, S("TZ=:UTC"));
	put_default(block, env, S("LANG=en_US.UTF-8"));
	put_default(block, env, S("AWS_XRAY_CONTEXT_MISSING=LOG_ERROR"));
	/* Where X-Ray's daemon is for functions of every mode. An extension can be one here. */
	put_default(block, env, S("AWS_XRAY_DAEMON_ADDRESS=127.0.0.1:2000"));
	put_default(block, env, S("_AWS_XRAY_DAEMON_ADDRESS=127.0.0.1"));
	put_default(block, env, S("_AWS_XRAY_DAEMON_PORT=2000"));
	put_default(block, env, S("PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin"));
	put_default(block, env, S("LD_LIBRARY_PATH=/var/task:/var/task/lib:/opt/lib"));
	if (env->engine->options.has_credentials)
		put_default(block, env, S("AWS_ENDPOINT_URL=http://127.0.0.1:4566"));
	put_pack_defaults(block, env);
	for (uint32_t i = 0; i < version->env_count; i++)
		put_assignment(block, version->env[i]);
	put_reserved(block, env);
	return block->err == -EOVERFLOW ? -E2BIG : block->err;
}

void environment_put_stem_block(
	struct buf *block, const struct runtime_pack *pack, const struct stem_kin *kin)
{
	put_assignment(block, S("MAYFLY_STEM=1"));
	if (kin->memory_mb) {
		buf_putf(block, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%u", kin->memory_mb);
		buf_put_char(block, '\0');
	}
	if (kin->runtime[0]) {
		buf_putf(block, "AWS_EXECUTION_ENV=AWS_Lambda_%s", kin->runtime);
		buf_put_char(block, '\0');
	}
	put_assignment(block, S("TZ=:UTC"));
	for (uint32_t i = 0; i < pack->env_count; i++)
		put_assignment(block, pack->env[i]);
}
