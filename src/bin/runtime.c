/*
 * Runtime packs from the operator's side: which there are, what they run on, what they lack.
 *
 * What a pack needs and mayfly may not ship (a language's own client from its package registry) is fetched by a
 * program of the pack's, `installer`, which knows the registry's tools. We only find it, make sure that nobody but
 * root could have written it, and become it.
 */
#include "bin/runtime.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "bin/packs.h"
#include "bin/probe.h"
#include "bin/serve.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_NO = 1, EXIT_USAGE = 2, PROBLEMS_MAX = 1024 * 1024 };

static const char usage[] =
	"Usage: mayfly runtime list [--runtimes-dir DIR]\n"
	"       mayfly runtime install PACK [--runtimes-dir DIR] [WORDS FOR ITS INSTALLER…]\n\n"
	"list shows the runtime packs, the interpreters that each found on this host, and what a pack lacks.\n"
	"install fetches what a pack needs and mayfly does not bring, as root. 'mayfly runtime install PACK --help'\n"
	"shows what its installer can be told. A running daemon knows of it after its next start.\n";

/* Take `--runtimes-dir DIR` out of the words; the environment and then our own folder stand in for it. */
static int runtime_folder(int *argc, char **argv, char *to, size_t size)
{
	const char *from = getenv("MAYFLY_RUNTIMES_DIR");

	for (int i = 0; i + 1 < *argc; i++) {
		if (strcmp(argv[i], "--runtimes-dir") != 0)
			continue;
		from = argv[i + 1];
		for (int k = i; k + 2 <= *argc; k++)
			argv[k] = argv[k + 2]; /* the NULL at the end too */
		*argc -= 2;
		break;
	}
	if (from && *from)
		return str_to_array(str_of(from), to, size);
	return serve_packs_folder(to, size);
}

static bool is_pack(const char *folder, const char *name)
{
	char path[PATH_MAX];

	int len = snprintf(path, sizeof(path), "%s/%s/pack.ini", folder, name);
	return name[0] != '.' && !strchr(name, '/') && len < (int)sizeof(path) &&
		access(path, R_OK) == 0;
}

/* --- list --- */

static void list_pack(const char *name, const struct packs *packs)
{
	int count = 0;

	for (size_t i = 0; i < packs->count; i++) {
		const struct pack_found *found = &packs->found[i];
		if (strcmp(found->spec.name, name) != 0)
			continue;
		printf("%-10s %-10s %s\n", name, found->spec.version,
			found->interpreter[0] ? found->interpreter : "the function's own program");
		if (count++ == 0)
			printf("%21s serves %s\n", "", found->runtimes);
		if (found->is_incomplete)
			printf("%21s lacks files that mayfly does not bring: mayfly runtime install %s\n",
				"", name);
	}
	if (!count)
		printf("%-10s lacks an interpreter: install one on this host, see its pack.ini\n",
			name);
}

static int list(const char *folder)
{
	struct dirent **entries = NULL;
	struct packs packs;
	struct buf problems;

	buf_init(&problems, PROBLEMS_MAX);
	int r = packs_find(folder, NULL, &packs, &problems);
	if (r < 0) {
		err_log(r, "look for runtime packs");
		return EXIT_NO;
	}
	if (problems.len)
		fwrite(problems.at, 1, problems.len, stderr);
	buf_done(&problems);
	int count = scandir(folder, &entries, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		if (is_pack(folder, entries[i]->d_name))
			list_pack(entries[i]->d_name, &packs);
		mem_free(entries[i]);
	}
	mem_free(entries);
	packs_done(&packs);
	return count < 0 ? EXIT_NO : EXIT_OK;
}

/* --- install --- */

static int install(const char *folder, const char *name, char **words)
{
	char path[PATH_MAX];

	if (!is_pack(folder, name)) {
		fprintf(stderr, "mayfly: there is no runtime pack '%s' in %s\n", name, folder);
		return EXIT_NO;
	}
	snprintf(path, sizeof(path), "%s/%s/installer", folder, name);
	if (access(path, F_OK) < 0) {
		fprintf(stderr, "mayfly: the pack '%s' needs nothing but its interpreter\n", name);
		return EXIT_OK;
	}
	if (geteuid() != 0) {
		fprintf(stderr,
			"mayfly: sandboxes trust what root has written: run this as root\n");
		return EXIT_NO;
	}
	if (!probe_is_trusted(path)) {
		fprintf(stderr, "mayfly: %s is not a program that only root can change\n", path);
		return EXIT_NO;
	}
	words[0] = path;
	execv(path, words);
	fprintf(stderr, "mayfly: %s: %s\n", path, strerror(errno));
	return EXIT_NO;
}

int runtime_main(int argc, char **argv)
{
	char folder[PACK_PATH_MAX];

	if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	if (runtime_folder(&argc, argv, folder, sizeof(folder)) < 0) {
		fprintf(stderr, "mayfly: the folder of the runtime packs has too long a name\n");
		return EXIT_NO;
	}
	if (argc == 1 && strcmp(argv[0], "list") == 0)
		return list(folder);
	if (argc >= 2 && strcmp(argv[0], "install") == 0)
		return install(folder, argv[1], argv + 1);
	fputs(usage, stderr);
	return EXIT_USAGE;
}
