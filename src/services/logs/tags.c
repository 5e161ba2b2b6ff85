/*
 * Tags of log groups, by ARN (TagResource…) and by name (TagLogGroup…, the older form).
 *
 * They are kept apart from the group, as documents, because they are the caller's words about it
 * and nothing here looks at them. A group's tags go when it is deleted; leftovers of a crash in
 * between do no harm, because creating a group replaces them.
 */
#include "services/logs/tags.h"

#include "base/err.h"
#include "base/mem.h"
#include "engine/platform.h"
#include "services/logs/lookup.h"
#include "services/logs/operations.h"
#include "store/docs.h"

#include <assert.h>
#include <errno.h>

#define TAGS_KIND S("logs.tags")

enum {
	TAGS_MAX = 50, /* "You can associate as many as 50 tags with a CloudWatch Logs resource." */
	TAGS_TRIES = 16,
	TAGS_BYTES_MAX = 256 * 1024,
};

static str tags_key(struct call *call, str group)
{
	return arena_strf(call->arena, STR_FMT "/" STR_FMT "/" STR_FMT, STR_ARG(call->account),
		STR_ARG(call->region), STR_ARG(group));
}

/* The tags of a group (a new reference) and the document's revision, DOCS_NEW when there is none. */
static int tags_read(struct call *call, str group, json_t **ret_tags, uint64_t *ret_revision)
{
	struct buf text;
	uint64_t revision = DOCS_NEW;
	str key = tags_key(call, group);
	if (!key.at)
		return err_raise(-ENOMEM);

	buf_init(&text, TAGS_BYTES_MAX);
	int r = docs_get(call->platform->docs, TAGS_KIND, key, &text, &revision);
	json_t *tags = NULL;
	if (r == DOCS_DONE) {
		tags = json_loadb(text.at, text.len, 0, NULL);
		if (!json_is_object(tags))
			r = err_raise(-EUCLEAN);
	} else if (r == DOCS_ABSENT) {
		tags = json_object();
		r = tags ? 0 : err_raise(-ENOMEM);
	}
	buf_done(&text);
	if (r < 0) {
		json_decref(tags);
		return err_pass(r);
	}
	*ret_tags = tags;
	*ret_revision = revision;
	return 0;
}

/* DOCS_DONE, DOCS_CONFLICT or a fault. */
static int tags_write(struct call *call, str group, json_t *tags, uint64_t expect)
{
	str key = tags_key(call, group);
	if (!key.at)
		return err_raise(-ENOMEM);
	struct docs_write write = { .kind = TAGS_KIND, .key = key, .expect = expect };
	if (json_object_size(tags) == 0)
		return err_pass(docs_write(call->platform->docs, &write, 1, NULL));

	char *text = json_dumps(tags, JSON_COMPACT | JSON_SORT_KEYS);
	if (!text)
		return err_raise(-ENOMEM);
	write.value = str_of(text);
	int r = docs_write(call->platform->docs, &write, 1, NULL);
	mem_free(text);
	return err_pass(r);
}

int tags_replace(struct call *call, str group, json_t *tags)
{
	return err_pass(tags_write(call, group, tags, DOCS_ANY));
}

static int tags_add(json_t *tags, json_t *more)
{
	return json_object_update(tags, more) == 0 ? 0 : err_raise(-ENOMEM);
}

static int tags_take(json_t *tags, json_t *keys)
{
	size_t index;
	json_t *key;

	json_array_foreach(keys, index, key)(void)
		json_object_deln(tags, json_string_value(key), json_string_length(key));
	return 0;
}

/* Read, change by `apply`, write; again when somebody else was faster. */
static int tags_change(
	struct call *call, str group, int (*apply)(json_t *tags, json_t *change), json_t *change)
{
	for (int i = 0; i < TAGS_TRIES; i++) {
		json_t *tags;
		uint64_t revision;
		int r = tags_read(call, group, &tags, &revision);
		if (r < 0)
			return err_pass(r);
		r = apply(tags, change);
		if (r == 0 && json_object_size(tags) > TAGS_MAX) {
			json_decref(tags);
			return call_error(call, "TooManyTagsException",
				"A resource can have no more than 50 tags.");
		}
		if (r == 0)
			r = tags_write(call, group, tags, revision);
		json_decref(tags);
		if (r != DOCS_CONFLICT)
			return err_pass(r);
	}
	return call_error(
		call, "ServiceUnavailableException", "The tags are being changed by others.");
}

static int tags_list(struct call *call, str group)
{
	struct lookup_group found;
	json_t *tags;
	uint64_t revision;

	int r = lookup_group(call, group, &found);
	if (r == 0)
		r = tags_read(call, group, &tags, &revision);
	return r == 0 ? err_pass(json_put(call->out, "tags", tags)) : err_pass(r);
}

static int tags_change_existing(struct call *call, str group,
	int (*apply)(json_t *tags, json_t *change), const char *change)
{
	struct lookup_group found;
	int r = lookup_group(call, group, &found);
	return r == 0 ? err_pass(tags_change(call, group, apply, call_get(call, change)))
		      : err_pass(r);
}

/* The group that resourceArn names; AWS refuses the form that ends in ":*". */
static int tags_resource(struct call *call, str *ret_group)
{
	str arn = call_str(call, "resourceArn");
	str rest = arn;
	str part;

	for (int i = 0; i < 6; i++) {
		if (!str_cut(&rest, ':', &part) || (i == 0 && !str_eq(part, S("arn"))))
			return call_error(call, "ValidationException", "Invalid resourceArn");
	}
	if (!str_eq(part, S("log-group")) || rest.len == 0 || str_find(rest, ':') >= 0)
		return call_error(call, "ValidationException", "Invalid resourceArn");
	*ret_group = lookup_name_of_arn(call, arn);
	return ret_group->len ? 0 : lookup_answer(call, LOGS_NO_GROUP);
}

int op_list_tags_for_resource(struct call *call)
{
	str group;
	int r = tags_resource(call, &group);
	return r == 0 ? err_pass(tags_list(call, group)) : err_pass(r);
}

int op_tag_resource(struct call *call)
{
	str group;
	int r = tags_resource(call, &group);
	return r == 0 ? err_pass(tags_change_existing(call, group, tags_add, "tags")) : err_pass(r);
}

int op_untag_resource(struct call *call)
{
	str group;
	int r = tags_resource(call, &group);
	return r == 0 ? err_pass(tags_change_existing(call, group, tags_take, "tagKeys"))
		      : err_pass(r);
}

int op_list_tags_log_group(struct call *call)
{
	return err_pass(tags_list(call, call_str(call, "logGroupName")));
}

int op_tag_log_group(struct call *call)
{
	return err_pass(
		tags_change_existing(call, call_str(call, "logGroupName"), tags_add, "tags"));
}

int op_untag_log_group(struct call *call)
{
	return err_pass(
		tags_change_existing(call, call_str(call, "logGroupName"), tags_take, "tags"));
}
