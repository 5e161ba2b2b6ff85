/* The handlers, called as the front calls them, over real stores. */
#include "services/logs/service.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "services/logs/operations.h"
#include "store/docs.h"
#include "store/logs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY_MS 86'400'000LL

static char folder[64];
static struct platform platform;
static struct arena arena;
static char error_code[128];
static char error_message[512];
static str region = S_INIT("us-east-1");

static void open_all(void)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/logs_service_test.XXXXXX");
	CHECK(mkdtemp(folder) && chdir(folder) == 0);
	platform = (struct platform){};
	CHECK(docs_open("docs.db", &platform.docs) == 0);
	CHECK(logs_open("logs.db", &platform.logs) == 0);
	arena_init(&arena, 1 << 24);
	region = S("us-east-1");
}

static void close_all(void)
{
	static const char *const files[] = { "docs.db", "docs.db-wal", "docs.db-shm", "logs.db",
		"logs.db-wal", "logs.db-shm" };
	arena_done(&arena);
	docs_close(platform.docs);
	logs_close(platform.logs);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		(void)unlink(files[i]);
	CHECK(chdir("/") == 0 && rmdir(folder) == 0);
}

static const struct aws_operation *operation_of(call_fn *run)
{
	for (size_t i = 0; i < logs_service.route_count; i++) {
		if (logs_service.routes[i].run != run)
			continue;
		for (size_t k = 0; k < logs_service.model->operation_count; k++) {
			const struct aws_operation *operation = &logs_service.model->operations[k];
			if (str_eq(operation->name, str_of(logs_service.routes[i].operation)))
				return operation;
		}
	}
	FAIL("every handler has a row, and every row is in the model");
	return NULL;
}

/* The handler's own result; *ret_out is the answer (a new reference) on 0. */
static int run_call(call_fn *run, json_t *in, json_t **ret_out)
{
	struct call call = {
		.service = logs_service.model,
		.operation = operation_of(run),
		.in = in,
		.account = S("000000000000"),
		.region = region,
		.request_id = S("00000000-0000-0000-0000-000000000000"),
		.arena = &arena,
		.platform = &platform,
		.out = json_object(),
	};
	buf_init(&call.fields, 4096);
	int r = run(&call);
	error_code[0] = error_message[0] = '\0';
	if (r == CALL_ERROR) {
		CHECK(str_to_array(call.error_code, error_code, sizeof(error_code)) == 0);
		CHECK(str_to_array(call.error_message, error_message, sizeof(error_message)) == 0);
	}
	buf_done(&call.fields);
	json_decref(call.error_extra);
	if (r == 0)
		*ret_out = call.out;
	else
		json_decref(call.out);
	return r;
}

/* Ask with an input given as JSON text with single quotes. The answer is the caller's; NULL on an error. */
[[gnu::format(printf, 2, 3)]] static json_t *ask(call_fn *run, const char *format, ...)
{
	static char text[4096];
	json_t *out = NULL;
	va_list args;

	va_start(args, format);
	CHECK((size_t)vsnprintf(text, sizeof(text), format, args) < sizeof(text));
	va_end(args);
	for (char *at = text; *at; at++)
		*at = *at == '\'' ? '"' : *at;
	json_t *in = json_loads(text, 0, NULL);
	CHECK(in);
	int r = run_call(run, in, &out);
	CHECK(r >= 0);
	json_decref(in);
	return out;
}

/* Must be answered, with nothing in it. */
#define DONE(run, ...)                                    \
	do {                                              \
		json_t *done_out = ask(run, __VA_ARGS__); \
		CHECK(done_out);                          \
		CHECK(json_object_size(done_out) == 0);   \
		json_decref(done_out);                    \
	} while (0)

/* Must be refused in these words. */
#define REFUSED(code, message, run, ...)                           \
	do {                                                       \
		CHECK(!ask(run, __VA_ARGS__));                     \
		CHECK_STR(str_of(error_code), str_of(code));       \
		CHECK_STR(str_of(error_message), str_of(message)); \
	} while (0)

#define NO_GROUP  "The specified log group does not exist."
#define NO_STREAM "The specified log stream does not exist."
#define BAD_TOKEN "The specified nextToken is invalid."

/* The members called `name` of a list, joined: "a b c". In static memory. */
static const char *joined(const json_t *out, const char *list, const char *name)
{
	static char text[4096];
	size_t index;
	json_t *item;

	text[0] = '\0';
	json_array_foreach(json_object_get(out, list), index, item)
	{
		size_t len = strlen(text);
		const char *value = json_string_value(json_object_get(item, name));
		(void)snprintf(text + len, sizeof(text) - len, "%s%s", len ? " " : "",
			value ? value : "?");
	}
	return text;
}

static void check_joined(json_t *out, const char *list, const char *name, const char *want)
{
	CHECK(out);
	CHECK_STR(str_of(joined(out, list, name)), str_of(want));
	json_decref(out);
}

static const char *text_in(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "(none)";
}

static json_t *first_of(const json_t *out, const char *list)
{
	return json_array_get(json_object_get(out, list), 0);
}

/* The answer is exactly this JSON (single quotes). Takes `out`. */
static void check_json(json_t *out, const char *format)
{
	static char text[4096];
	CHECK(strlen(format) < sizeof(text));
	strncpy(text, format, sizeof(text) - 1);
	for (char *at = text; *at; at++)
		*at = *at == '\'' ? '"' : *at;
	json_t *want = json_loads(text, 0, NULL);
	CHECK(want);
	if (!json_equal(out, want)) {
		char *got = json_dumps(out, JSON_INDENT(1));
		fprintf(stderr, "  got: %s\n", got);
		mem_free(got);
		FAIL("another answer");
	}
	json_decref(want);
	json_decref(out);
}

static void put(const char *stream, long long ms, const char *message)
{
	json_t *out = ask(op_put_log_events,
		"{'logGroupName':'g','logStreamName':'%s','logEvents':[{'timestamp':%lld,'message':'%s'}]}",
		stream, ms, message);
	CHECK(out && !json_object_get(out, "rejectedLogEventsInfo"));
	CHECK(strlen(text_in(out, "nextSequenceToken")) == 56);
	json_decref(out);
}

/* A group `g` with streams `a` and `b`. */
static long long make_streams(void)
{
	DONE(op_create_log_group, "{'logGroupName':'g'}");
	DONE(op_create_log_stream, "{'logGroupName':'g','logStreamName':'a'}");
	DONE(op_create_log_stream, "{'logGroupName':'g','logStreamName':'b'}");
	return (long long)clock_real_ms() - 60'000;
}

static void test_a_group_is_made_described_and_deleted(void)
{
	open_all();
	DONE(op_create_log_group, "{'logGroupName':'/aws/lambda/f'}");
	REFUSED("ResourceAlreadyExistsException", "The specified log group already exists",
		op_create_log_group, "{'logGroupName':'/aws/lambda/f'}");
	REFUSED("InvalidParameterException", "Log groups starting with AWS/ are reserved for AWS.",
		op_create_log_group, "{'logGroupName':'aws/f'}");
	REFUSED("InvalidParameterException",
		"kmsKeyId: encrypting log groups with a KMS key is not available here",
		op_create_log_group,
		"{'logGroupName':'k','kmsKeyId':'arn:aws:kms:us-east-1:000000000000:key/1'}");

	json_t *out = ask(op_describe_log_groups, "{}");
	json_t *group = first_of(out, "logGroups");
	json_int_t created = json_integer_value(json_object_get(group, "creationTime"));
	CHECK(llabs(created - (long long)clock_real_ms()) < 60'000);
	json_object_del(group, "creationTime");
	check_json(out,
		"{'logGroups':[{'logGroupName':'/aws/lambda/f','metricFilterCount':0,'storedBytes':0,"
		"'arn':'arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/f:*',"
		"'logGroupArn':'arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/f',"
		"'logGroupClass':'STANDARD','deletionProtectionEnabled':false}]}");

	region = S("eu-west-1"); /* another world */
	check_json(ask(op_describe_log_groups, "{}"), "{'logGroups':[]}");
	region = S("us-east-1");
	DONE(op_delete_log_group, "{'logGroupName':'/aws/lambda/f'}");
	REFUSED("ResourceNotFoundException", NO_GROUP, op_delete_log_group,
		"{'logGroupName':'/aws/lambda/f'}");
	check_json(ask(op_describe_log_groups, "{}"), "{'logGroups':[]}");
	close_all();
}

static void test_names_have_a_longest_length(void)
{
	char name[514] = "";

	open_all();
	memset(name, 'n', 512);
	DONE(op_create_log_group, "{'logGroupName':'%s'}", name);
	DONE(op_create_log_stream, "{'logGroupName':'%s','logStreamName':'%s'}", name, name);
	name[512] = 'n';
	/* As recorded from AWS, which words this one in its own way. */
	REFUSED("InvalidParameterException",
		"Invalid LogGroup or LogStream, both must have length less than or equal to 512.",
		op_create_log_group, "{'logGroupName':'%s'}", name);
	REFUSED("InvalidParameterException",
		"Invalid LogGroup or LogStream, both must have length less than or equal to 512.",
		op_create_log_stream, "{'logGroupName':'g','logStreamName':'%s'}", name);
	close_all();
}

static void test_groups_are_found_by_prefix_pattern_class_and_name(void)
{
	open_all();
	DONE(op_create_log_group, "{'logGroupName':'b/Data'}");
	DONE(op_create_log_group, "{'logGroupName':'a/Data','logGroupClass':'INFREQUENT_ACCESS'}");
	DONE(op_create_log_group, "{'logGroupName':'a/other'}");

	json_t *out = ask(op_describe_log_groups, "{'logGroupNamePattern':'Data'}");
	json_t *group = first_of(out, "logGroups");
	/* "If you specify logGroupNamePattern …, then only …": as recorded from AWS. */
	CHECK(!json_object_get(group, "storedBytes"));
	CHECK(!json_object_get(group, "deletionProtectionEnabled"));
	CHECK(json_object_size(group) == 6);
	check_joined(out, "logGroups", "logGroupName", "a/Data b/Data");
	const char *names = "logGroupName";
	check_joined(ask(op_describe_log_groups, "{'logGroupNamePattern':'data'}"), "logGroups",
		names, "");
	check_joined(ask(op_describe_log_groups, "{'logGroupNamePrefix':'a/'}"), "logGroups", names,
		"a/Data a/other");
	check_joined(ask(op_describe_log_groups, "{'logGroupClass':'INFREQUENT_ACCESS'}"),
		"logGroups", names, "a/Data");
	check_joined(ask(op_describe_log_groups,
			     "{'logGroupIdentifiers':['b/Data','nobody',"
			     "'arn:aws:logs:us-east-1:000000000000:log-group:a/other']}"),
		"logGroups", names, "a/other b/Data");
	REFUSED("InvalidParameterException",
		"LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
		op_describe_log_groups, "{'logGroupNamePrefix':'a','logGroupNamePattern':'b'}");
	CHECK(!ask(
		op_describe_log_groups, "{'logGroupNamePrefix':'a','logGroupIdentifiers':['b']}"));
	CHECK(!ask(op_describe_log_groups, "{'accountIdentifiers':['000000000000']}"));
	check_joined(
		ask(op_describe_log_groups,
			"{'includeLinkedAccounts':true,'accountIdentifiers':['000000000000'],'limit':1}"),
		"logGroups", names, "a/Data");
	CHECK(!ask(op_describe_log_groups,
		"{'includeLinkedAccounts':true,'accountIdentifiers':['111111111111']}"));
	close_all();
}

static void test_groups_are_paged(void)
{
	char token[600] = "";
	int pages = 0;

	open_all();
	for (int i = 0; i < 5; i++)
		DONE(op_create_log_group, "{'logGroupName':'g%d'}", i);
	do {
		json_t *out = ask(op_describe_log_groups, "{'limit':2%s}", token);
		json_t *next = json_object_get(out, "nextToken");
		CHECK(json_array_size(json_object_get(out, "logGroups")) == (pages == 2 ? 1 : 2));
		CHECK((next != NULL) == (pages < 2));
		token[0] = '\0';
		if (next)
			(void)snprintf(
				token, sizeof(token), ",'nextToken':'%s'", json_string_value(next));
		json_decref(out);
		pages++;
	} while (token[0]);
	CHECK(pages == 3);
	close_all();
}

static void test_a_protected_group_is_not_deleted(void)
{
	open_all();
	DONE(op_create_log_group, "{'logGroupName':'g','deletionProtectionEnabled':true}");
	DONE(op_create_log_stream, "{'logGroupName':'g','logStreamName':'s'}");
	REFUSED("ValidationException", "The specified log group has deletion protection enabled.",
		op_delete_log_group, "{'logGroupName':'g'}");
	REFUSED("ValidationException", "The specified log group has deletion protection enabled.",
		op_delete_log_stream, "{'logGroupName':'g','logStreamName':'s'}");
	DONE(op_put_log_group_deletion_protection,
		"{'logGroupIdentifier':'arn:aws:logs:us-east-1:000000000000:log-group:g',"
		"'deletionProtectionEnabled':false}");
	DONE(op_delete_log_group, "{'logGroupName':'g'}");
	REFUSED("ResourceNotFoundException", NO_GROUP, op_put_log_group_deletion_protection,
		"{'logGroupIdentifier':'g','deletionProtectionEnabled':true}");
	close_all();
}

static void test_retention_takes_the_values_that_aws_has(void)
{
	open_all();
	DONE(op_create_log_group, "{'logGroupName':'g'}");
	DONE(op_put_retention_policy, "{'logGroupName':'g','retentionInDays':7}");
	json_t *out = ask(op_describe_log_groups, "{}");
	CHECK(json_integer_value(json_object_get(first_of(out, "logGroups"), "retentionInDays")) ==
		7);
	json_decref(out);
	CHECK(!ask(op_put_retention_policy, "{'logGroupName':'g','retentionInDays':2}"));
	CHECK_STR(str_of(error_code), S("InvalidParameterException"));
	CHECK(strncmp(error_message, "1 validation error detected: Value '2' at 'retentionInDays'",
		      59) == 0);
	DONE(op_delete_retention_policy, "{'logGroupName':'g'}");
	out = ask(op_describe_log_groups, "{}");
	CHECK(!json_object_get(first_of(out, "logGroups"), "retentionInDays"));
	json_decref(out);
	REFUSED("ResourceNotFoundException", NO_GROUP, op_put_retention_policy,
		"{'logGroupName':'x','retentionInDays':7}");
	REFUSED("ResourceNotFoundException", NO_GROUP, op_delete_retention_policy,
		"{'logGroupName':'x'}");
	close_all();
}

#define ARN "arn:aws:logs:us-east-1:000000000000:log-group:g"

static void test_tags_are_kept_under_both_interfaces(void)
{
	open_all();
	DONE(op_create_log_group, "{'logGroupName':'g','tags':{'env':'testing'}}");
	DONE(op_tag_resource, "{'resourceArn':'" ARN "','tags':{'env':'x','t1':'1','t2':'2'}}");
	DONE(op_tag_log_group, "{'logGroupName':'g','tags':{'t3':'3'}}");
	check_json(ask(op_list_tags_for_resource, "{'resourceArn':'" ARN "'}"),
		"{'tags':{'env':'x','t1':'1','t2':'2','t3':'3'}}");
	DONE(op_untag_resource, "{'resourceArn':'" ARN "','tagKeys':['env','t1','nobody']}");
	DONE(op_untag_log_group, "{'logGroupName':'g','tags':['t3']}");
	check_json(ask(op_list_tags_log_group, "{'logGroupName':'g'}"), "{'tags':{'t2':'2'}}");

	DONE(op_delete_log_group, "{'logGroupName':'g'}");
	DONE(op_create_log_group, "{'logGroupName':'g'}");
	check_json(ask(op_list_tags_log_group, "{'logGroupName':'g'}"), "{'tags':{}}");
	close_all();
}

static void test_tags_are_refused_for_what_is_not_there(void)
{
	open_all();
	DONE(op_create_log_group, "{'logGroupName':'g'}");
	REFUSED("ResourceNotFoundException", NO_GROUP, op_list_tags_log_group,
		"{'logGroupName':'x'}");
	REFUSED("ResourceNotFoundException", NO_GROUP, op_tag_log_group,
		"{'logGroupName':'x','tags':{'a':'b'}}");
	REFUSED("ResourceNotFoundException", NO_GROUP, op_list_tags_for_resource,
		"{'resourceArn':'arn:aws:logs:us-east-1:000000000000:log-group:x'}");
	REFUSED("ResourceNotFoundException", NO_GROUP, op_list_tags_for_resource,
		"{'resourceArn':'arn:aws:logs:eu-west-1:000000000000:log-group:g'}");
	REFUSED("ValidationException", "Invalid resourceArn", op_list_tags_for_resource,
		"{'resourceArn':'" ARN ":*'}");
	REFUSED("ValidationException", "Invalid resourceArn", op_list_tags_for_resource,
		"{'resourceArn':'g'}");
	REFUSED("ValidationException", "Invalid resourceArn", op_list_tags_for_resource,
		"{'resourceArn':'arn:aws:logs:us-east-1:000000000000:destination:g'}");
	close_all();
}

static void test_a_group_has_fifty_tags_at_most(void)
{
	open_all();
	DONE(op_create_log_group, "{'logGroupName':'g'}");
	for (int i = 0; i < 50; i++)
		DONE(op_tag_log_group, "{'logGroupName':'g','tags':{'key%d':'v'}}", i);
	CHECK(!ask(op_tag_log_group, "{'logGroupName':'g','tags':{'more':'v'}}"));
	CHECK_STR(str_of(error_code), S("TooManyTagsException"));
	DONE(op_tag_log_group, "{'logGroupName':'g','tags':{'key7':'new'}}");
	close_all();
}

static void test_streams_are_made_described_and_deleted(void)
{
	open_all();
	long long start = make_streams();
	REFUSED("ResourceAlreadyExistsException", "The specified log stream already exists",
		op_create_log_stream, "{'logGroupName':'g','logStreamName':'a'}");
	REFUSED("ResourceNotFoundException", NO_GROUP, op_create_log_stream,
		"{'logGroupName':'x','logStreamName':'a'}");

	json_t *out = ask(op_describe_log_streams, "{'logGroupName':'g','limit':1}");
	json_object_del(first_of(out, "logStreams"), "creationTime");
	CHECK(json_object_del(out, "nextToken") == 0);
	check_json(out,
		"{'logStreams':[{'logStreamName':'a','arn':'" ARN
		":log-stream:a','storedBytes':0}]}");

	put("b", start, "one");
	put("b", start + 1000, "two");
	out = ask(op_describe_log_streams,
		"{'logGroupIdentifier':'" ARN ":*','logStreamNamePrefix':'b'}");
	json_t *stream = first_of(out, "logStreams");
	CHECK(json_integer_value(json_object_get(stream, "firstEventTimestamp")) == start);
	CHECK(json_integer_value(json_object_get(stream, "lastEventTimestamp")) == start + 1000);
	CHECK(json_integer_value(json_object_get(stream, "lastIngestionTime")) >= start + 60'000);
	CHECK(strlen(text_in(stream, "uploadSequenceToken")) == 56);
	CHECK(json_integer_value(json_object_get(stream, "storedBytes")) == 0);
	json_decref(out);

	DONE(op_delete_log_stream, "{'logGroupName':'g','logStreamName':'a'}");
	REFUSED("ResourceNotFoundException", NO_STREAM, op_delete_log_stream,
		"{'logGroupName':'g','logStreamName':'a'}");
	REFUSED("ResourceNotFoundException", NO_GROUP, op_delete_log_stream,
		"{'logGroupName':'x','logStreamName':'a'}");
	close_all();
}

static void test_a_group_is_named_in_one_way(void)
{
	open_all();
	(void)make_streams();
	const char *names = "logStreamName";
	check_joined(ask(op_describe_log_streams, "{'logGroupIdentifier':'g'}"), "logStreams",
		names, "a b");
	check_joined(ask(op_describe_log_streams, "{'logGroupIdentifier':'" ARN "'}"), "logStreams",
		names, "a b");
	REFUSED("ValidationException",
		"LogGroup name and LogGroup ARN are mutually exclusive parameters.",
		op_describe_log_streams, "{'logGroupName':'g','logGroupIdentifier':'g'}");
	CHECK(!ask(op_describe_log_streams, "{}"));
	CHECK_STR(str_of(error_code), S("InvalidParameterException"));
	REFUSED("ResourceNotFoundException", NO_GROUP, op_describe_log_streams,
		"{'logGroupIdentifier':'arn:aws:logs:us-east-1:111111111111:log-group:g'}");
	REFUSED("ResourceNotFoundException", NO_GROUP, op_describe_log_streams,
		"{'logGroupIdentifier':'arn:aws-cn:logs:us-east-1:000000000000:log-group:g'}");
	REFUSED("ResourceNotFoundException", NO_GROUP, op_describe_log_streams,
		"{'logGroupName':'x'}");
	close_all();
}

/* All names of all pages of two. */
static void check_pages_of_streams(const char *more, const char *want)
{
	char token[600] = "";
	char all[256] = "";
	do {
		json_t *out = ask(
			op_describe_log_streams, "{'logGroupName':'g','limit':2%s%s}", more, token);
		size_t len = strlen(all);
		(void)snprintf(all + len, sizeof(all) - len, "[%s]",
			joined(out, "logStreams", "logStreamName"));
		json_t *next = json_object_get(out, "nextToken");
		token[0] = '\0';
		if (next)
			(void)snprintf(
				token, sizeof(token), ",'nextToken':'%s'", json_string_value(next));
		json_decref(out);
	} while (token[0]);
	CHECK_STR(str_of(all), str_of(want));
}

static void test_streams_are_paged_in_both_orders(void)
{
	open_all();
	long long start = make_streams();
	DONE(op_create_log_stream, "{'logGroupName':'g','logStreamName':'c'}");
	put("c", start, "x");
	put("a", start + 5, "x");
	put("b", start + 5, "x");
	check_pages_of_streams("", "[a b][c]");
	check_pages_of_streams(",'descending':true", "[c b][a]");
	check_pages_of_streams(",'orderBy':'LastEventTime'", "[c a][b]");
	check_pages_of_streams(",'orderBy':'LastEventTime','descending':true", "[b a][c]");
	check_pages_of_streams(",'logStreamNamePrefix':'c'", "[c]");
	REFUSED("InvalidParameterException",
		"Cannot order by LastEventTime with a logStreamNamePrefix.",
		op_describe_log_streams,
		"{'logGroupName':'g','orderBy':'LastEventTime','logStreamNamePrefix':'c'}");
	REFUSED("InvalidParameterException", BAD_TOKEN, op_describe_log_streams,
		"{'logGroupName':'g','nextToken':'x'}");
	REFUSED("InvalidParameterException", BAD_TOKEN, op_describe_log_streams,
		"{'logGroupName':'g','nextToken':'n/a','orderBy':'LastEventTime'}");
	REFUSED("InvalidParameterException", BAD_TOKEN, op_describe_log_streams,
		"{'logGroupName':'g','nextToken':'e/x:a','orderBy':'LastEventTime'}");
	close_all();
}

static void test_a_batch_is_checked_as_aws_does(void)
{
	long long now = (long long)clock_real_ms();

	open_all();
	(void)make_streams();
	REFUSED("ResourceNotFoundException", NO_GROUP, op_put_log_events,
		"{'logGroupName':'x','logStreamName':'a','logEvents':[{'timestamp':1,'message':'m'}]}");
	REFUSED("ResourceNotFoundException", NO_STREAM, op_put_log_events,
		"{'logGroupName':'g','logStreamName':'x','logEvents':[{'timestamp':%lld,'message':'m'}]}",
		now);
	REFUSED("ResourceNotFoundException", NO_STREAM,
		op_put_log_events, /* none of it would be kept */
		"{'logGroupName':'g','logStreamName':'x','logEvents':[{'timestamp':1,'message':'m'}]}");
	REFUSED("InvalidParameterException",
		"Log events in a single PutLogEvents request must be in chronological order.",
		op_put_log_events,
		"{'logGroupName':'g','logStreamName':'a','logEvents':["
		"{'timestamp':%lld,'message':'a'},{'timestamp':%lld,'message':'b'}]}",
		now, now - 1);
	REFUSED("InvalidParameterException",
		"The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
		op_put_log_events,
		"{'logGroupName':'g','logStreamName':'a','logEvents':["
		"{'timestamp':%lld,'message':'a'},{'timestamp':%lld,'message':'b'}]}",
		now - DAY_MS - 1, now);
	json_t *out = ask(op_put_log_events,
		"{'logGroupName':'g','logStreamName':'a','entity':{},'sequenceToken':'any','logEvents':["
		"{'timestamp':%lld,'message':'a'},{'timestamp':%lld,'message':'b'}]}",
		now - DAY_MS, now);
	CHECK_STR(str_of(text_in(json_object_get(out, "rejectedEntityInfo"), "errorType")),
		S("UnsupportedLogGroupType"));
	json_decref(out);
	check_joined(ask(op_filter_log_events, "{'logGroupName':'g'}"), "events", "message", "a b");
	close_all();
}

static void test_events_beyond_the_times_are_left_out_and_reported(void)
{
	long long now = (long long)clock_real_ms();

	open_all();
	(void)make_streams();
	json_t *out = ask(op_put_log_events,
		"{'logGroupName':'g','logStreamName':'a','logEvents':[{'timestamp':%lld,'message':'old'},"
		"{'timestamp':%lld,'message':'now'},{'timestamp':%lld,'message':'new'}]}",
		now - 15 * DAY_MS, now, now + DAY_MS);
	CHECK(json_object_del(out, "nextSequenceToken") == 0);
	check_json(out,
		"{'rejectedLogEventsInfo':{'tooOldLogEventEndIndex':1,'tooNewLogEventStartIndex':2}}");
	check_joined(ask(op_filter_log_events, "{'logGroupName':'g'}"), "events", "message", "now");

	DONE(op_put_retention_policy, "{'logGroupName':'g','retentionInDays':1}");
	out = ask(op_put_log_events,
		"{'logGroupName':'g','logStreamName':'a','logEvents':[{'timestamp':%lld,'message':'expired'},"
		"{'timestamp':%lld,'message':'kept'}]}",
		now - 2 * DAY_MS, now);
	CHECK(json_object_del(out, "nextSequenceToken") == 0);
	check_json(out, "{'rejectedLogEventsInfo':{'expiredLogEventEndIndex':1}}");
	close_all();
}

static json_t *event_of(size_t bytes, long long ms)
{
	char *text = mem_new(bytes + 1, 1);
	memset(text, 'x', bytes);
	json_t *event = json_pack("{s:I, s:s}", "timestamp", (json_int_t)ms, "message", text);
	mem_free(text);
	return event;
}

/* Put events of these sizes. */
static int put_sizes(const size_t *sizes, size_t count)
{
	json_t *list = json_array();
	json_t *out = NULL;
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, event_of(sizes[i], (long long)clock_real_ms() - 1000));
	json_t *in = json_pack(
		"{s:s, s:s, s:o}", "logGroupName", "g", "logStreamName", "a", "logEvents", list);
	int r = run_call(op_put_log_events, in, &out);
	json_decref(in);
	json_decref(out);
	return r;
}

static void test_a_batch_has_a_largest_size(void)
{
	open_all();
	(void)make_streams();
	CHECK(put_sizes((size_t[]){ 1'048'576 - 26 }, 1) == 0);
	CHECK(put_sizes((size_t[]){ 1'048'576 - 25 }, 1) == CALL_ERROR);
	CHECK_STR(str_of(error_message),
		S("Log event too large: 1048577 bytes exceeds limit of 1048576"));
	CHECK(put_sizes((size_t[]){ 524'288 - 26, 524'288 - 26 }, 2) == 0);
	CHECK(put_sizes((size_t[]){ 524'288 - 26, 524'288 - 25 }, 2) == CALL_ERROR);
	CHECK_STR(str_of(error_message),
		S("Upload too large: 1048577 bytes exceeds limit of 1048576"));
	close_all();
}

static json_t *get(const char *more)
{
	return ask(op_get_log_events, "{'logGroupName':'g','logStreamName':'a'%s}", more);
}

static json_t *get_from(const char *token, const char *more)
{
	return ask(op_get_log_events, "{'logGroupName':'g','logStreamName':'a','nextToken':'%s'%s}",
		token, more);
}

static void put_ten(long long start)
{
	for (int i = 0; i < 10; i++) {
		char message[8];
		(void)snprintf(message, sizeof(message), "m%d", i);
		put("a", start + i, message);
	}
}

static void test_events_are_read_from_both_ends(void)
{
	char more[128];

	open_all();
	long long start = make_streams();
	put_ten(start);
	put("b", start, "of another stream");
	check_joined(get(""), "events", "message", "m0 m1 m2 m3 m4 m5 m6 m7 m8 m9");
	check_joined(get(",'limit':3"), "events", "message", "m7 m8 m9");
	check_joined(get(",'limit':3,'startFromHead':true"), "events", "message", "m0 m1 m2");
	(void)snprintf(
		more, sizeof(more), ",'startTime':%lld,'endTime':%lld", start + 2, start + 5);
	check_joined(get(more), "events", "message", "m2 m3 m4"); /* the end is not included */

	json_t *out = get(",'limit':1");
	json_t *event = first_of(out, "events");
	CHECK(json_integer_value(json_object_get(event, "timestamp")) == start + 9);
	CHECK(json_integer_value(json_object_get(event, "ingestionTime")) >= start + 60'000);
	CHECK(json_object_size(event) == 3);
	json_decref(out);
	close_all();
}

static void test_tokens_lead_on_and_stand_still_at_the_ends(void)
{
	open_all();
	long long start = make_streams();
	put_ten(start);

	json_t *page = get(",'limit':4,'startFromHead':true");
	json_t *next = get_from(
		text_in(page, "nextForwardToken"), ",'limit':4,'startFromHead':true");
	CHECK_STR(str_of(joined(next, "events", "message")), S("m4 m5 m6 m7"));
	json_t *back = get_from(text_in(next, "nextBackwardToken"), ",'limit':2");
	CHECK_STR(str_of(joined(back, "events", "message")), S("m2 m3"));
	json_decref(back);

	json_t *end = get_from(text_in(next, "nextForwardToken"), "");
	CHECK_STR(str_of(joined(end, "events", "message")), S("m8 m9"));
	json_t *beyond = get_from(text_in(end, "nextForwardToken"), "");
	CHECK(json_array_size(json_object_get(beyond, "events")) == 0);
	CHECK_STR(str_of(text_in(beyond, "nextForwardToken")),
		str_of(text_in(end, "nextForwardToken")));
	/* Going back from beyond the end yields the end. */
	check_joined(get_from(text_in(beyond, "nextBackwardToken"), ",'limit':2"), "events",
		"message", "m8 m9");

	json_t *head = get_from(text_in(page, "nextBackwardToken"), "");
	CHECK(json_array_size(json_object_get(head, "events")) == 0);
	CHECK_STR(str_of(text_in(head, "nextBackwardToken")),
		str_of(text_in(page, "nextBackwardToken")));
	check_joined(get_from(text_in(head, "nextForwardToken"), ",'limit':2"), "events", "message",
		"m0 m1");

	put("a", start + 100, "later");
	check_joined(
		get_from(text_in(beyond, "nextForwardToken"), ""), "events", "message", "later");
	json_decref(head);
	json_decref(beyond);
	json_decref(end);
	json_decref(next);
	json_decref(page);
	close_all();
}

static void test_an_empty_stream_has_tokens_too(void)
{
	open_all();
	long long start = make_streams();
	for (int head = 0; head < 2; head++) {
		json_t *out = get(head ? ",'startFromHead':true" : "");
		CHECK(json_array_size(json_object_get(out, "events")) == 0);
		json_t *again = get_from(text_in(out, "nextForwardToken"), "");
		CHECK_STR(str_of(text_in(again, "nextForwardToken")),
			str_of(text_in(out, "nextForwardToken")));
		json_decref(again);
		again = get_from(text_in(out, "nextBackwardToken"), "");
		CHECK_STR(str_of(text_in(again, "nextBackwardToken")),
			str_of(text_in(out, "nextBackwardToken")));
		json_decref(again);
		put("a", start + head, "came");
		check_joined(get_from(text_in(out, "nextForwardToken"), ""), "events", "message",
			"came");
		check_joined(
			get_from(text_in(out, "nextBackwardToken"), ""), "events", "message", "");
		json_decref(out);
		DONE(op_delete_log_stream, "{'logGroupName':'g','logStreamName':'a'}");
		DONE(op_create_log_stream, "{'logGroupName':'g','logStreamName':'a'}");
	}
	close_all();
}

static void test_what_reading_refuses(void)
{
	static const char *const tokens[] = { "invalid", "f/1/s", "x/",
		"f/0000000000000000000000000000000000000000000000000000000x/s",
		"f/99999999999999999999999999999999999999999999999999999999/s" };

	open_all();
	(void)make_streams();
	for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
		CHECK(!get_from(tokens[i], ""));
		CHECK_STR(str_of(error_message), S(BAD_TOKEN));
		CHECK(!ask(
			op_filter_log_events, "{'logGroupName':'g','nextToken':'%s'}", tokens[i]));
		CHECK_STR(str_of(error_message), S(BAD_TOKEN));
		CHECK_STR(str_of(error_code), S("InvalidParameterException"));
	}
	REFUSED("ResourceNotFoundException", NO_GROUP, op_get_log_events,
		"{'logGroupName':'x','logStreamName':'a'}");
	REFUSED("ResourceNotFoundException", NO_STREAM, op_get_log_events,
		"{'logGroupName':'g','logStreamName':'x'}");
	REFUSED("ResourceNotFoundException", NO_GROUP, op_filter_log_events,
		"{'logGroupName':'x'}");
	REFUSED("ResourceNotFoundException", NO_STREAM, op_filter_log_events,
		"{'logGroupName':'g','logStreamNames':['a','x']}");
	REFUSED("InvalidParameterException",
		"logStreamNamePrefix and logStreamNames are mutually exclusive parameters.",
		op_filter_log_events,
		"{'logGroupName':'g','logStreamNames':['a'],'logStreamNamePrefix':'a'}");
	REFUSED("InvalidParameterException",
		"If a filter pattern starts with '{' it must end with '}'", op_filter_log_events,
		"{'logGroupName':'g','filterPattern':'{ x'}");
	close_all();
}

static void test_filtering_merges_streams_and_names_them(void)
{
	open_all();
	long long start = make_streams();
	for (int i = 0; i < 3; i++) {
		put("a", start + 10 * i, i == 1 ? "ERROR a" : "a");
		put("b", start + 10 * i + 1, i == 1 ? "ERROR b" : "b");
	}
	json_t *out = ask(op_filter_log_events, "{'logGroupName':'g'}");
	CHECK_STR(str_of(joined(out, "events", "logStreamName")), S("a b a b a b"));
	json_t *event = first_of(out, "events");
	CHECK(json_object_size(event) == 5 && strlen(text_in(event, "eventId")) == 56);
	CHECK(json_array_size(json_object_get(out, "searchedLogStreams")) == 0);
	CHECK(!json_object_get(out, "nextToken"));
	json_decref(out);

	const char *message = "message";
	check_joined(ask(op_filter_log_events,
			     "{'logGroupIdentifier':'" ARN "','filterPattern':'ERROR'}"),
		"events", message, "ERROR a ERROR b");
	check_joined(ask(op_filter_log_events, "{'logGroupName':'g','logStreamNames':['b','b']}"),
		"events", message, "b ERROR b b");
	check_joined(ask(op_filter_log_events, "{'logGroupName':'g','logStreamNamePrefix':'a'}"),
		"events", message, "a ERROR a a");
	check_joined(
		ask(op_filter_log_events, "{'logGroupName':'g','startTime':%lld,'endTime':%lld}",
			start + 1, start + 11),
		"events", message, "b ERROR a ERROR b"); /* the end is included */
	close_all();
}

static void test_filtering_is_paged_without_loss(void)
{
	open_all();
	long long start = make_streams();
	for (int i = 0; i < 9; i++)
		put(i % 2 ? "a" : "b", start + i / 3, i % 3 ? "hit" : "miss");
	for (int limit = 1; limit < 8; limit++) {
		char token[128] = "";
		size_t total = 0;
		do {
			json_t *out = ask(op_filter_log_events,
				"{'logGroupName':'g','filterPattern':'hit','limit':%d%s}", limit,
				token);
			size_t count = json_array_size(json_object_get(out, "events"));
			json_t *next = json_object_get(out, "nextToken");
			CHECK(next ? count == (size_t)limit : count > 0);
			total += count;
			token[0] = '\0';
			if (next)
				(void)snprintf(token, sizeof(token), ",'nextToken':'%s'",
					json_string_value(next));
			json_decref(out);
		} while (token[0]);
		CHECK(total == 6);
	}
	close_all();
}

static void test_a_page_ends_with_a_megabyte(void)
{
	size_t large[] = { 500'000, 500'000 };

	open_all();
	(void)make_streams();
	CHECK(put_sizes(large, 2) == 0);
	CHECK(put_sizes(large, 2) == 0);
	json_t *out = get("");
	CHECK(json_array_size(json_object_get(out, "events")) == 2);
	json_t *older = get_from(text_in(out, "nextBackwardToken"), "");
	CHECK(json_array_size(json_object_get(older, "events")) == 2);
	json_decref(older);
	json_decref(out);
	out = ask(op_filter_log_events, "{'logGroupName':'g'}");
	CHECK(json_array_size(json_object_get(out, "events")) == 2);
	older = ask(op_filter_log_events, "{'logGroupName':'g','nextToken':'%s'}",
		text_in(out, "nextToken"));
	CHECK(json_array_size(json_object_get(older, "events")) == 2);
	CHECK(!json_object_get(older, "nextToken"));
	json_decref(older);
	json_decref(out);
	close_all();
}

static void test_what_is_beyond_retention_is_not_shown(void)
{
	open_all();
	long long start = make_streams();
	put("a", start - 3 * DAY_MS, "old");
	put("a", start, "new");
	DONE(op_put_retention_policy, "{'logGroupName':'g','retentionInDays':1}");
	check_joined(get(""), "events", "message", "new");
	check_joined(ask(op_filter_log_events, "{'logGroupName':'g'}"), "events", "message", "new");
	DONE(op_delete_retention_policy, "{'logGroupName':'g'}");
	check_joined(get(""), "events", "message", "old new"); /* "… before they are deleted" */
	close_all();
}

static void test_bytes_that_are_not_text_are_replaced(void)
{
	open_all();
	(void)make_streams();
	struct logs_event event = { S("g"), S("a"), clock_real_ms(), clock_real_ms(),
		S("a\xff\0b") };
	struct logs_scope scope = { S("000000000000"), S("us-east-1") };
	CHECK(logs_append(platform.logs, scope, &event, 1, false) == LOGS_DONE);
	json_t *out = get("");
	json_t *message = json_object_get(first_of(out, "events"), "message");
	CHECK_STR(((str){ json_string_value(message), json_string_length(message) }),
		S("a\xef\xbf\xbd\0b"));
	json_decref(out);
	close_all();
}

TESTS(TEST(test_a_group_is_made_described_and_deleted), TEST(test_names_have_a_longest_length),
	TEST(test_groups_are_found_by_prefix_pattern_class_and_name), TEST(test_groups_are_paged),
	TEST(test_a_protected_group_is_not_deleted),
	TEST(test_retention_takes_the_values_that_aws_has),
	TEST(test_tags_are_kept_under_both_interfaces),
	TEST(test_tags_are_refused_for_what_is_not_there),
	TEST(test_a_group_has_fifty_tags_at_most),
	TEST(test_streams_are_made_described_and_deleted), TEST(test_a_group_is_named_in_one_way),
	TEST(test_streams_are_paged_in_both_orders), TEST(test_a_batch_is_checked_as_aws_does),
	TEST(test_events_beyond_the_times_are_left_out_and_reported),
	TEST(test_a_batch_has_a_largest_size), TEST(test_events_are_read_from_both_ends),
	TEST(test_tokens_lead_on_and_stand_still_at_the_ends),
	TEST(test_an_empty_stream_has_tokens_too), TEST(test_what_reading_refuses),
	TEST(test_filtering_merges_streams_and_names_them),
	TEST(test_filtering_is_paged_without_loss), TEST(test_a_page_ends_with_a_megabyte),
	TEST(test_what_is_beyond_retention_is_not_shown),
	TEST(test_bytes_that_are_not_text_are_replaced))
