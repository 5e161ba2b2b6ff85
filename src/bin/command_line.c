/* Data goes to standard output, everything else to standard error. */
#include "bin/command_line.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const struct option *option_find(const struct usage *usage, const char *name)
{
	for (size_t i = 0; i < usage->count; i++) {
		const struct option *option = &usage->options[i];
		if (strcmp(option->name, name) == 0 ||
			(option->short_name && strcmp(option->short_name, name) == 0))
			return option;
	}
	return NULL;
}

int usage_read(const struct usage *usage, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const struct option *option = option_find(usage, argv[i]);
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(usage->text, stdout);
			return EXIT_OK;
		}
		if (option && option->is_set) {
			*option->is_set = true;
		} else if (option && i + 1 < argc) {
			*option->value = argv[++i];
		} else if (option) {
			fprintf(stderr, "mayfly: %s needs a value\n", option->name);
			return EXIT_USAGE;
		} else if (argv[i][0] != '-' && usage->word && !*usage->word) {
			*usage->word = argv[i];
		} else {
			fprintf(stderr, "mayfly: what is '%s'?\n\n%s", argv[i], usage->text);
			return EXIT_USAGE;
		}
	}
	if (usage->word && !*usage->word && !usage->is_word_optional) {
		fputs(usage->text, stderr);
		return EXIT_USAGE;
	}
	return -1;
}

bool output_is_json(const char *output, int *ret_exit)
{
	*ret_exit = -1;
	if (!output || strcmp(output, "text") == 0)
		return false;
	if (strcmp(output, "json") == 0)
		return true;
	fprintf(stderr, "mayfly: -o is text or json, not '%s'\n", output);
	*ret_exit = EXIT_USAGE;
	return false;
}

void print(str text)
{
	fwrite(text.at, 1, text.len, stdout);
}

int print_error(const struct client_answer *answer)
{
	json_t *error = json_loadb(answer->body.at, answer->body.len, JSON_REJECT_DUPLICATES, NULL);
	const char *message = json_string_value(json_object_get(error, "Message"));

	if (!message)
		message = json_string_value(json_object_get(error, "message"));
	fprintf(stderr, "mayfly: the daemon answered %ld: %s\n", answer->status,
		message ? message : "(no message)");
	json_decref(error);
	return EXIT_NO;
}

void print_scalar(const json_t *value)
{
	if (json_is_string(value))
		printf("%s", json_string_value(value));
	else if (json_is_integer(value))
		printf("%lld", (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		printf(json_is_true(value) ? "yes" : "no");
}

void print_table(const json_t *rows)
{
	size_t i;
	json_t *row, *value;
	const char *key;

	json_array_foreach(rows, i, row)
	{
		printf(" ");
		json_object_foreach(row, key, value)
		{
			printf(" %s=", key);
			print_scalar(value);
		}
		printf("\n");
	}
}
