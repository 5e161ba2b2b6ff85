/*
 * AWS tells callers of another region's or account's ARN that there is no such group; which
 * is what is true here, too: regions and accounts are worlds of their own.
 */
#include "services/logs/lookup.h"

#include "base/err.h"
#include "engine/platform.h"
#include "model/arn.h"

#include <assert.h>
#include <errno.h>

enum { LOOKUP_NAME_MAX = 512 };

#define DAY_MS (24ULL * 60 * 60 * 1000)

struct logs_scope lookup_scope(const struct call *call)
{
	return (struct logs_scope){ call->account, call->region };
}

static bool lookup_take(str *rest, str want)
{
	str part;
	return str_cut(rest, ':', &part) && str_eq(part, want);
}

str lookup_name_of_arn(const struct call *call, str arn)
{
	str rest = arn;
	str partition;

	if (!lookup_take(&rest, S("arn")) || !str_cut(&rest, ':', &partition) ||
		!str_eq(partition, arn_partition(call->region)) || !lookup_take(&rest, S("logs")) ||
		!lookup_take(&rest, call->region) || !lookup_take(&rest, call->account) ||
		!lookup_take(&rest, S("log-group")))
		return S("");
	return str_find(rest, ':') < 0 ? rest : S("");
}

int lookup_group_name(struct call *call, str *ret_name)
{
	str name = call_str(call, "logGroupName");
	str identifier = call_str(call, "logGroupIdentifier");

	if (name.len && identifier.len)
		return call_error(call, "ValidationException",
			"LogGroup name and LogGroup ARN are mutually exclusive parameters.");
	if (!name.len && !identifier.len)
		return call_error(call, "InvalidParameterException",
			"Either logGroupName or logGroupIdentifier must be specified.");
	if (!name.len && str_starts(identifier, S("arn:"))) {
		/* The ARN that DescribeLogGroups has always given ends in ":*". */
		if (str_ends(identifier, S(":*")))
			identifier = str_slice(identifier, 0, identifier.len - 2);
		identifier = lookup_name_of_arn(call, identifier);
		if (!identifier.len)
			return lookup_answer(call, LOGS_NO_GROUP);
	}
	*ret_name = name.len ? name : identifier;
	return 0;
}

str lookup_group_arn(struct call *call, str group)
{
	return arena_strf(call->arena,
		"arn:" STR_FMT ":logs:" STR_FMT ":" STR_FMT ":log-group:" STR_FMT,
		STR_ARG(arn_partition(call->region)), STR_ARG(call->region), STR_ARG(call->account),
		STR_ARG(group));
}

int lookup_check_length(struct call *call, str name)
{
	size_t count = 0;

	for (size_t i = 0; i < name.len; i++)
		count += ((unsigned char)name.at[i] & 0xc0) !=
			0x80; /* not the inside of a character */
	if (count <= LOOKUP_NAME_MAX)
		return 0;
	return call_error(call, "InvalidParameterException",
		"Invalid LogGroup or LogStream, both must have length less than or equal to %d.",
		LOOKUP_NAME_MAX);
}

/* The first group with the prefix: the one that is looked for, or there is none. */
struct lookup_seek {
	str name;
	struct lookup_group *group;
	bool is_found;
};

static int lookup_see_group(void *context, const struct logs_group *group)
{
	struct lookup_seek *seek = context;

	seek->is_found = str_eq(group->name, seek->name);
	if (seek->is_found) {
		seek->group->retention_days = group->retention_days;
		seek->group->is_protected = group->is_protected;
	}
	return 1;
}

int lookup_group(struct call *call, str group, struct lookup_group *ret_group)
{
	struct lookup_group found = {};
	struct lookup_seek seek = { .name = group, .group = &found };

	int r = logs_groups(
		call->platform->logs, lookup_scope(call), group, S(""), 1, lookup_see_group, &seek);
	if (r < 0)
		return err_pass(r);
	if (!seek.is_found)
		return lookup_answer(call, LOGS_NO_GROUP);
	*ret_group = found;
	return 0;
}

static int lookup_see_stream(void *context, const struct logs_stream *stream)
{
	struct lookup_seek *seek = context;
	seek->is_found = str_eq(stream->name, seek->name);
	return 1;
}

int lookup_stream(struct call *call, str group, str stream)
{
	struct logs_stream_query query = { .group = group, .prefix = stream, .limit = 1 };
	struct lookup_seek seek = { .name = stream };

	int r = logs_streams(
		call->platform->logs, lookup_scope(call), &query, lookup_see_stream, &seek);
	if (r == LOGS_DONE && !seek.is_found)
		r = LOGS_NO_STREAM;
	return lookup_answer(call, r);
}

int lookup_answer(struct call *call, int result)
{
	assert(result != LOGS_EXISTS);
	switch (result) {
	case LOGS_NO_GROUP:
		return call_error(call, "ResourceNotFoundException",
			"The specified log group does not exist.");
	case LOGS_NO_STREAM:
		return call_error(call, "ResourceNotFoundException",
			"The specified log stream does not exist.");
	default:
		return err_pass(result);
	}
}

uint64_t lookup_oldest_ms(const struct lookup_group *group, uint64_t now_ms)
{
	uint64_t kept_ms = group->retention_days * DAY_MS;
	return kept_ms && kept_ms < now_ms ? now_ms - kept_ms : 0;
}
