#pragma once
/* What the commands that talk to a daemon share: their words, and how answers are printed. */
#include "bin/client.h"

#include <jansson.h>
#include <stdbool.h>

enum { EXIT_OK = 0, EXIT_NO = 1, EXIT_USAGE = 2 };

struct option {
	const char *name;	/* "--payload" */
	const char *short_name; /* "-o", or NULL */
	const char **value;	/* takes a value */
	bool *is_set;		/* or is a switch */
};

struct usage {
	const char *text;
	const struct option *options;
	size_t count;
	const char **word; /* the one word that is no option, or NULL */
	bool is_word_optional;
};

/* Take the command line apart: -1 to go on, or the exit status. */
int usage_read(const struct usage *usage, int argc, char **argv);

/* Is it -o json? *ret_exit is -1, or the exit status when it is neither text nor json. */
bool output_is_json(const char *output, int *ret_exit);

/* To standard output, as it is. */
void print(str text);

/* An AWS error as one line on standard error. Returns EXIT_NO. */
int print_error(const struct client_answer *answer);

/* Text, a number or yes and no. */
void print_scalar(const json_t *value);
/* Each row on a line, as name=value. */
void print_table(const json_t *rows);
