/* mayfly async: the queue of asynchronous invocations, as the daemon's /_mayfly/async has it. */
#include "bin/commands.h"

#include "base/attr.h"
#include "base/buf.h"
#include "bin/client.h"
#include "bin/command_line.h"
#include "wire/http.h"

#include <stdio.h>
#include <string.h>

#define ASYNC_HELP                                                                                 \
	"Usage: mayfly async list [FUNCTION]    what waits and what has failed, and why\n"         \
	"       mayfly async show FUNCTION      the same, with the events themselves\n"            \
	"       mayfly async redrive FUNCTION   what has failed waits again, as if it were new\n"  \
	"       mayfly async purge FUNCTION     forget all that waits and all that has failed\n\n" \
	"Each takes -o text|json. A function without a destination for failures and without a\n"   \
	"dead-letter queue keeps its failed events for as long as the setting async-keep says.\n"

struct async_command {
	const char *name;
	const char *method;
	const char *path; /* "?" or "&" follows */
	bool is_function_optional;
};

static const struct async_command commands[] = {
	{ "list", "GET", "/_mayfly/async?", true },
	{ "show", "GET", "/_mayfly/async?whole=yes&", false },
	{ "redrive", "POST", "/_mayfly/async/redrive?", false },
	{ "purge", "POST", "/_mayfly/async/purge?", false },
};

static void print_answer(const json_t *answer)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)answer, name, value)
	{
		if (json_is_array(value)) {
			print_table(value);
			continue;
		}
		printf("%s ", name);
		print_scalar(value);
		printf("\n");
	}
}

static int async_ask(const struct async_command *command, const char *function, bool as_json)
{
	struct client client;
	struct client_answer answer;
	struct buf path;

	client_init(&client);
	buf_init(&path, 4096);
	buf_put(&path, str_of(command->path));
	if (function) {
		buf_put(&path, S("function="));
		uri_encode(str_of(function), false, &path);
	} else {
		path.len--; /* the '?' */
	}
	struct client_request request = { .method = command->method,
		.path = buf_cstr(&path),
		.service = "lambda",
		.body = S("") };
	int r = request.path ? client_ask(&client, &request, &answer) : -1;
	buf_done(&path);
	if (r < 0)
		return EXIT_NO;
	int status = EXIT_OK;
	json_t *tree = json_loadb(answer.body.at, answer.body.len, 0, NULL);
	if (answer.status != 200 || !tree) {
		status = print_error(&answer);
	} else if (as_json) {
		json_dumpf(tree, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_answer(tree);
	}
	json_decref(tree);
	client_answer_done(&answer);
	return status;
}

static const struct async_command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int command_async(int argc, char **argv)
{
	const char *function = NULL, *output = NULL;
	const struct option options[] = { { "--output", "-o", &output, NULL } };
	struct usage usage = { ASYNC_HELP, options, ARRAY_LEN(options), &function, true };

	const struct async_command *command = argc > 0 ? command_find(argv[0]) : NULL;
	if (!command) {
		bool is_help = argc > 0 &&
			(strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0);
		fputs(ASYNC_HELP, is_help ? stdout : stderr);
		return is_help ? EXIT_OK : EXIT_USAGE;
	}
	usage.is_word_optional = command->is_function_optional;
	int status = usage_read(&usage, argc - 1, argv + 1);
	if (status >= 0)
		return status;
	bool as_json = output_is_json(output, &status);
	return status >= 0 ? status : async_ask(command, function, as_json);
}
