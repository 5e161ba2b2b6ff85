/*
 * mayfly invoke, logs, status, env: what an operator types at night. Data goes to standard output, everything
 * else to standard error; -o json prints what the daemon answered.
 */
#include "bin/commands.h"

#include "base/attr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "bin/client.h"
#include "bin/command_line.h"
#include "os/clock.h"
#include "os/fd.h"
#include "wire/digest.h"
#include "wire/http.h"
#include "wire/timestamp.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FOLLOW_MS = 500, PAYLOAD_MAX = 8 * 1024 * 1024 };

/* --- invoke --- */

/* TEXT, @FILE or - for standard input. */
static bool payload_read(const char *from, struct buf *payload)
{
	size_t len;

	if (from[0] != '@' && strcmp(from, "-") != 0) {
		buf_put(payload, str_of(from));
		return !payload->err;
	}
	scoped_fd fd = from[0] == '@' ? open(from + 1, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	if (fd < 0 || buf_reserve(payload, PAYLOAD_MAX) < 0 ||
		fd_read_all(fd, payload->at, PAYLOAD_MAX, &len) < 0) {
		fprintf(stderr, "mayfly: cannot read the payload from '%s'\n", from);
		return false;
	}
	payload->len = len;
	return true;
}

static void print_log(const struct client_answer *answer)
{
	struct buf log;

	buf_init(&log, 64 * KIB);
	if (base64_decode(buf_str(&answer->log), &log) == 0 && log.len)
		fwrite(log.at, 1, log.len, stderr);
	buf_done(&log);
}

static int invoke_send(const char *function, const char *qualifier, bool wants_log, str payload)
{
	const char *fields[] = { "Content-Type: application/json",
		wants_log ? "X-Amz-Log-Type: Tail" : NULL, NULL };
	struct client client;
	struct client_answer answer;
	struct buf path;

	client_init(&client);
	buf_init(&path, 1024);
	buf_put(&path, S("/2015-03-31/functions/"));
	uri_encode(str_of(function), false, &path);
	buf_put(&path, S("/invocations"));
	if (qualifier) {
		buf_put(&path, S("?Qualifier="));
		uri_encode(str_of(qualifier), false, &path);
	}
	struct client_request request = { .method = "POST",
		.path = buf_cstr(&path),
		.service = "lambda",
		.fields = fields,
		.body = payload };
	int r = request.path ? client_ask(&client, &request, &answer) : -1;
	buf_done(&path);
	if (r < 0)
		return EXIT_NO;
	print_log(&answer);
	int status = EXIT_OK;
	if (answer.status != 200) {
		status = print_error(&answer);
	} else {
		print(buf_str(&answer.body));
		putchar('\n');
		if (answer.function_error[0]) {
			fprintf(stderr, "mayfly: the function failed (%s)\n",
				answer.function_error);
			status = EXIT_NO;
		}
	}
	client_answer_done(&answer);
	return status;
}

int command_invoke(int argc, char **argv)
{
	const char *function = NULL, *payload_from = "{}", *qualifier = NULL;
	bool wants_log = false;
	const struct option options[] = {
		{ "--payload", "-p", &payload_from, NULL },
		{ "--qualifier", "-q", &qualifier, NULL },
		{ "--log", "-l", NULL, &wants_log },
	};
	const struct usage usage = {
		"Usage: mayfly invoke FUNCTION [--payload TEXT|@FILE|-] [--qualifier VERSION|ALIAS] [--log]\n\n"
		"Invokes a function and prints its answer. --log prints the end of its log on standard error.\n"
		"Exits 1 when the function fails. The daemon is AWS_ENDPOINT_URL, or http://127.0.0.1:4566.\n",
		options, ARRAY_LEN(options), &function, false
	};
	struct buf payload;

	int status = usage_read(&usage, argc, argv);
	if (status >= 0)
		return status;
	buf_init(&payload, PAYLOAD_MAX);
	status = payload_read(payload_from, &payload)
		? invoke_send(function, qualifier, wants_log, buf_str(&payload))
		: EXIT_USAGE;
	buf_done(&payload);
	return status;
}

/* --- logs --- */

static void print_event(const json_t *event, bool as_json)
{
	if (as_json) {
		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
		return;
	}
	const json_t *message = json_object_get(event, "message");
	str text = { json_string_value(message), json_string_length(message) };
	struct buf time;
	buf_init(&time, 64);
	timestamp_put_iso8601(
		&time, (uint64_t)json_integer_value(json_object_get(event, "timestamp")), true);
	print(buf_str(&time));
	putchar(' ');
	print(text);
	if (!str_ends(text, S("\n")))
		putchar('\n');
	buf_done(&time);
}

struct logs_query {
	const char *group;
	uint64_t from_ms;
	bool is_following;
	bool as_json;
	bool is_waiting; /* for the group: told already */
};

/* Who follows a function that has not logged yet waits for it. */
static bool logs_wait_for_group(struct logs_query *query, const json_t *error)
{
	const char *type = json_string_value(json_object_get(error, "__type"));

	if (!query->is_following || !type || strcmp(type, "ResourceNotFoundException") != 0)
		return false;
	if (!query->is_waiting)
		fprintf(stderr, "mayfly: there is no log group %s yet: waiting for it\n",
			query->group);
	query->is_waiting = true;
	return true;
}

/* One page of events; *token is the next page's or NULL. The exit status. */
static int logs_page(struct logs_query *query, json_t **token, uint64_t *ret_last_ms)
{
	static const char *const fields[] = { "Content-Type: application/x-amz-json-1.1",
		"X-Amz-Target: Logs_20140328.FilterLogEvents", NULL };
	struct client client;
	struct client_answer answer;
	json_t *ask = json_pack("{s:s, s:I, s:b}", "logGroupName", query->group, "startTime",
		(json_int_t)query->from_ms, "interleaved", 1);

	if (*token)
		json_object_set(ask, "nextToken", *token);
	char *body = json_dumps(ask, JSON_COMPACT);
	json_decref(ask);
	client_init(&client);
	int r = body
		? client_ask(&client,
			  &(struct client_request){ "POST", "/", "logs", fields, str_of(body) },
			  &answer)
		: -1;
	mem_free(body);
	if (r < 0)
		return EXIT_NO;
	json_t *page = json_loadb(answer.body.at, answer.body.len, 0, NULL);
	int status = answer.status == 200 || logs_wait_for_group(query, page)
		? EXIT_OK
		: print_error(&answer);
	size_t i;
	json_t *event;
	json_array_foreach(json_object_get(page, "events"), i, event)
	{
		print_event(event, query->as_json);
		*ret_last_ms = (uint64_t)json_integer_value(json_object_get(event, "timestamp"));
	}
	json_decref(*token);
	*token = json_incref(json_object_get(page, "nextToken"));
	json_decref(page);
	client_answer_done(&answer);
	return status;
}

static int logs_follow(struct logs_query *query)
{
	int status = EXIT_OK;

	do {
		json_t *token = NULL;
		uint64_t last_ms = 0;
		do {
			status = logs_page(query, &token, &last_ms);
		} while (status == EXIT_OK && token);
		json_decref(token);
		fflush(stdout);
		if (last_ms)
			query->from_ms = last_ms + 1;
		if (query->is_following && status == EXIT_OK)
			nanosleep(&(struct timespec){ .tv_nsec = FOLLOW_MS * 1'000'000L }, NULL);
	} while (query->is_following && status == EXIT_OK);
	return status;
}

int command_logs(int argc, char **argv)
{
	const char *function = NULL, *since = "600", *output = NULL;
	struct logs_query query = {};
	const struct option options[] = {
		{ "--since", "-s", &since, NULL },
		{ "--output", "-o", &output, NULL },
		{ "--follow", "-f", NULL, &query.is_following },
	};
	const struct usage usage = {
		"Usage: mayfly logs FUNCTION|LOG-GROUP [--since SECONDS] [--follow] [-o text|json]\n\n"
		"Prints what a function logged in the last SECONDS (600), and with --follow what comes.\n",
		options, ARRAY_LEN(options), &function, false
	};
	uint64_t seconds;
	char group[600];

	int status = usage_read(&usage, argc, argv);
	if (status >= 0)
		return status;
	bool as_json = output_is_json(output, &status);
	if (status >= 0)
		return status;
	if (str_to_u64(str_of(since), 10ULL * 365 * 86'400, &seconds) < 0) {
		fprintf(stderr, "mayfly: --since is a number of seconds, not '%s'\n", since);
		return EXIT_USAGE;
	}
	snprintf(group, sizeof(group), "%s%s", function[0] == '/' ? "" : "/aws/lambda/", function);
	query.group = group;
	query.from_ms = clock_real_ms() - seconds * 1000;
	query.as_json = as_json;
	return logs_follow(&query);
}

/* --- status and env --- */

static void print_report(json_t *report)
{
	const char *key;
	json_t *value;

	json_object_foreach(report, key, value)
	{
		if (json_is_array(value)) {
			printf("%s (%zu)\n", key, json_array_size(value));
			print_table(value);
		} else if (json_is_object(value)) {
			printf("%s\n", key);
			const char *name;
			json_t *figure;
			json_object_foreach(value, name, figure)
			{
				printf("  %s ", name);
				print_scalar(figure);
				printf("\n");
			}
		} else {
			printf("%s ", key);
			print_scalar(value);
			printf("\n");
		}
	}
}

static int report_command(int argc, char **argv, const char *text, const char *path)
{
	const char *output = NULL;
	const struct option options[] = { { "--output", "-o", &output, NULL } };
	const struct usage usage = { text, options, ARRAY_LEN(options), NULL, false };
	struct client client;
	struct client_answer answer;

	int status = usage_read(&usage, argc, argv);
	if (status >= 0)
		return status;
	bool as_json = output_is_json(output, &status);
	if (status >= 0)
		return status;
	client_init(&client);
	if (client_ask(&client, &(struct client_request){ "GET", path, "lambda", NULL, S("") },
		    &answer) < 0)
		return EXIT_NO;
	json_t *report = json_loadb(answer.body.at, answer.body.len, 0, NULL);
	if (answer.status != 200 || !report) {
		status = print_error(&answer);
	} else {
		status = EXIT_OK;
		if (as_json) {
			json_dumpf(report, stdout, JSON_INDENT(2));
			putchar('\n');
		} else {
			print_report(report);
		}
	}
	json_decref(report);
	client_answer_done(&answer);
	return status;
}

int command_status(int argc, char **argv)
{
	return report_command(argc, argv,
		"Usage: mayfly status [-o text|json]\n\n"
		"Shows the daemon's counters, settings and runtimes.\n",
		"/_mayfly/status");
}

int command_env(int argc, char **argv)
{
	return report_command(argc, argv,
		"Usage: mayfly env [-o text|json]\n\n"
		"Lists the execution environments that live now.\n",
		"/_mayfly/environments");
}
