/*
 * The `mayfly` program: the command line, and the router that the warden starts.
 */
#include "bin/commands.h"
#include "bin/doctor.h"
#include "bin/router.h"
#include "bin/runtime.h"
#include "bin/serve.h"

#include "base/attr.h"

#include <stdio.h>
#include <string.h>

#ifndef MAYFLY_VERSION
#define MAYFLY_VERSION "unknown"
#endif

enum { EXIT_USAGE = 2 };

static int command_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("mayfly %s\n", MAYFLY_VERSION);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *prose; /* NULL: not for people */
} commands[] = {
	{ "serve", serve_main, "run the daemon" },
	{ "doctor", doctor_main, "say in words what this machine lacks, if anything" },
	{ "status", command_status, "show the daemon's counters, settings and runtimes" },
	{ "env", command_env, "list the execution environments" },
	{ "invoke", command_invoke, "invoke a function" },
	{ "async", command_async, "asynchronous invocations: what waits, what has failed and why" },
	{ "logs", command_logs, "print a function's log" },
	{ "runtime", runtime_main, "list the runtime packs, install what one needs" },
	{ "version", command_version, "print the version" },
	{ "router", router_main, NULL },
};

static int help(FILE *out)
{
	fprintf(out,
		"mayfly %s: AWS Lambda that you run yourself\n\nUsage: mayfly COMMAND [--help]\n\n",
		MAYFLY_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (commands[i].prose)
			fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].prose);
	}
	return out == stdout ? 0 : EXIT_USAGE;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return help(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
		strcmp(argv[1], "help") == 0)
		return help(stdout);
	if (strcmp(argv[1], "--version") == 0)
		return command_version(0, NULL);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, argv[1]) == 0)
			return commands[i].run(argc - 2, argv + 2);
	}
	fprintf(stderr, "mayfly: there is no command '%s'\n\n", argv[1]);
	return help(stderr);
}
