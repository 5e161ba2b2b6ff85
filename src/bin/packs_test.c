#include "bin/packs.h"

#include "base/test.h"
#include "bin/probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/packs-test-XXXXXX";
static char cache[64];
static struct buf problems;

static void write_file(const char *name, const char *text, mode_t mode)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
	CHECK(chmod(path, mode) == 0);
}

static void make_folder(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	CHECK(mkdir(path, 0755) == 0);
}

static void begin(const char *manifest)
{
	char text[2048];

	snprintf(folder, sizeof(folder), "/tmp/packs-test-XXXXXX");
	CHECK(mkdtemp(folder) != NULL);
	snprintf(cache, sizeof(cache), "%s/cache", folder);
	make_folder("packs");
	make_folder("packs/one");
	make_folder("lang");
	make_folder("lang/bin");
	write_file("lang/bin/interp",
		"#!/bin/sh\necho asked >> \"$0.log\"\n"
		"[ \"$1\" = prefix ] && echo /lang || echo 3.11.2\n",
		0755);
	/* Manifests have one %s: the folder. */
	const char *at = strstr(manifest, "%s");
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - manifest), manifest, folder, at + 2);
	write_file("packs/one/pack.ini", text, 0644);
	buf_init(&problems, 65536);
}

static struct packs find(void)
{
	char packs_folder[64];
	struct packs packs = {};

	snprintf(packs_folder, sizeof(packs_folder), "%s/packs", folder);
	CHECK(packs_find(packs_folder, cache, &packs, &problems) == 0);
	return packs;
}

static const char *const whole =
	"; a comment\n[pack]\nname = python\nlanguage = Python\n"
	"runtimes = python3.11 python3.12\nstart = exec\n"
	"interpreter = %s/lang/bin/interp\nversion = {interpreter} -c \"two words\"\n"
	"prefix = {interpreter} prefix\n"
	"argv = {interpreter} -s \"two words\" {pack}/x.py | /opt/x {version}\n"
	"env = A=1 PATH=/bin\n";

static void a_manifest_becomes_a_pack_with_its_placeholders_filled_in(void)
{
	char want[256];

	begin(whole);
	struct packs packs = find();
	CHECK(packs.count == 1);
	CHECK_STR(buf_str(&problems), S(""));
	const struct pack_found *found = packs.found;
	CHECK_STR(str_of(found->spec.name), S("python"));
	CHECK_STR(str_of(found->spec.version), S("3.11.2"));
	CHECK_STR(str_of(found->runtimes), S("python3.11 python3.12"));
	CHECK(found->spec.argv_alternatives == 2 && found->spec.argc[0] == 4 &&
		found->spec.argc[1] == 2);
	snprintf(want, sizeof(want), "%s/lang/bin/interp", folder);
	CHECK_STR(str_of(found->spec.argv[0][0]), str_of(want));
	CHECK_STR(str_of(found->spec.argv[0][2]), S("two words"));
	CHECK_STR(str_of(found->spec.argv[0][3]), S("/var/runtime/x.py"));
	CHECK_STR(str_of(found->spec.argv[1][1]), S("3.11.2"));
	CHECK(found->spec.bind_count == 1);
	CHECK_STR(str_of(found->spec.binds[0]), S("/lang"));
	CHECK_STR(str_of(found->env), S("A=1 PATH=/bin"));
	packs_done(&packs);
	buf_done(&problems);
}

static void what_a_pack_lacks_binds_and_reads_at_its_start_is_told(void)
{
	char text[1024], want[128];

	snprintf(text, sizeof(text), "%s%s", whole,
		"start_env = A_* B\nneeds = lib/one.jar lib/two.jar\nbinds = /tmp/nothing-here-* /usr/bin\n");
	begin(text);
	make_folder("packs/one/lib");
	write_file("packs/one/lib/one.jar", "", 0644);
	struct packs packs = find();
	CHECK(packs.count == 1 && packs.found[0].is_incomplete);
	CHECK_STR(str_of(packs.found[0].start_env), S("A_* B"));
	CHECK(packs.found[0].spec.bind_count ==
		1); /* its prefix: the other is not there, or below /usr */
	packs_done(&packs);

	write_file("packs/one/lib/two.jar", "", 0644);
	packs = find();
	CHECK(packs.count == 1 && !packs.found[0].is_incomplete);
	packs_done(&packs);
	buf_done(&problems);

	snprintf(text, sizeof(text),
		"[pack]\nname = x\nruntimes = x1\nstart = exec\nargv = /x\nbinds = %%s/la*\n");
	begin(text);
	packs = find();
	CHECK(packs.count == 1 && packs.found[0].spec.bind_count == 1);
	snprintf(want, sizeof(want), "%s/lang", folder);
	CHECK_STR(str_of(packs.found[0].spec.binds[0]), str_of(want));
	packs_done(&packs);
	buf_done(&problems);
}

static void an_interpreter_is_asked_once_and_again_when_its_file_changed(void)
{
	char log[128];
	struct stat st;

	begin(whole);
	snprintf(log, sizeof(log), "%s/lang/bin/interp.log", folder);
	for (int i = 0; i < 3; i++) {
		struct packs packs = find();
		CHECK(packs.count == 1);
		packs_done(&packs);
	}
	CHECK(stat(log, &st) == 0 && st.st_size == (off_t)(2 * strlen("asked\n")));
	write_file("lang/bin/interp", "#!/bin/sh\necho 3.12.10 # another size\n", 0755);
	struct packs packs = find();
	CHECK_STR(str_of(packs.found->spec.version), S("3.12.10"));
	packs_done(&packs);
	buf_done(&problems);
}

static void a_version_is_the_first_number_and_can_be_too_old(void)
{
	static const struct {
		const char *says, *oldest, *version; /* NULL: left out */
	} cases[] = {
		{ "Python 3.11.2", "3.8", "3.11.2" },
		{ "v20.19.5", "18", "20.19.5" },
		{ "ruby 3.1.2p20 (2022-04-12) [x86_64]", "3", "3.1.2" },
		{ "v9.11.2", "18", NULL },
		{ "1.10.", "1.9", "1.10" },
		{ "1.9", "1.9.1", NULL },
		{ "no number", "0", NULL },
	};
	char manifest[512], script[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(manifest, sizeof(manifest),
			"[pack]\nname = x\nruntimes = x1\nstart = exec\n"
			"interpreter = %%s/lang/bin/interp\nversion = {interpreter}\noldest = %s\n"
			"argv = {interpreter}\n",
			cases[i].oldest);
		begin(manifest);
		snprintf(script, sizeof(script), "#!/bin/sh\necho '%s'\n", cases[i].says);
		write_file("lang/bin/interp", script, 0755);
		struct packs packs = find();
		CHECK(packs.count == (cases[i].version ? 1 : 0));
		if (cases[i].version && packs.count == 1)
			CHECK_STR(str_of(packs.found->spec.version), str_of(cases[i].version));
		CHECK((problems.len > 0) == !cases[i].version);
		packs_done(&packs);
		buf_done(&problems);
	}
}

static void an_interpreter_needs_the_folder_of_its_bin_unless_it_says_otherwise(void)
{
	char want[64];

	begin("[pack]\nname = x\nruntimes = x1\nstart = exec\ninterpreter = %s/lang/bin/interp\n"
	      "version = {interpreter}\nargv = {interpreter}\n");
	struct packs packs = find();
	CHECK(packs.count == 1 && packs.found->spec.bind_count == 1);
	snprintf(want, sizeof(want), "%s/lang", folder);
	CHECK_STR(str_of(packs.found->spec.binds[0]), str_of(want));
	packs_done(&packs);
	buf_done(&problems);
}

/* Each waits for the other to have begun. */
static void interpreters_are_asked_at_the_same_time(void)
{
	static const char *const script =
		"#!/bin/sh\ntouch \"$0.begun\"\nfor i in $(seq 300); do\n"
		"[ $(ls ${0%/*}/*.begun | wc -l) = 2 ] && echo ${0##*wait}.0 && exit\n"
		"sleep 0.02\ndone\nexit 1\n";

	begin("[pack]\nname = x\nruntimes = x1\nstart = exec\ninterpreter = %s/lang/bin/wait?\n"
	      "version = {interpreter}\nargv = {interpreter}\n");
	write_file("lang/bin/wait1", script, 0755);
	write_file("lang/bin/wait2", script, 0755);
	struct packs packs = find();
	CHECK(packs.count == 2);
	CHECK_STR(buf_str(&problems), S(""));
	packs_done(&packs);
	buf_done(&problems);
}

static void what_others_can_write_is_never_run(void)
{
	begin(whole);
	write_file("lang/bin/interp", "#!/bin/sh\necho 3.11.2\n", 0777);
	struct packs packs = find();
	CHECK(packs.count == 0);
	CHECK(str_find_str(buf_str(&problems), S("only root can change")) > 0);
	packs_done(&packs);
	buf_done(&problems);
}

static void a_broken_manifest_is_left_out_and_named(void)
{
	static const char *const manifests[] = {
		"[pack]\nname = x\nbroken line\n%s",
		"[pack]\nname = x\nunknown = %s\n",
		"[other]\nname = %s\n",
		"[pack]\nname = x\nruntimes = x1\nstart = clone\nargv = %s/x\n",
		"[pack]\nname = x\nruntimes = x1\nstart = exec\nargv = relative %s\n",
		"[pack]\nname = x\nruntimes = x1\nstart = exec\nargv = /a | /b | /c %s\n",
	};

	for (size_t i = 0; i < sizeof(manifests) / sizeof(manifests[0]); i++) {
		begin(manifests[i]);
		struct packs packs = find();
		CHECK(packs.count == 0);
		CHECK(problems.len > 0);
		packs_done(&packs);
		buf_done(&problems);
	}
}

static void a_program_that_hangs_or_fails_or_says_nothing_has_no_version(void)
{
	char answer[64];

	CHECK(probe_run((const char *[]){ "/bin/false", NULL }, answer, sizeof(answer)) < 0);
	CHECK(probe_run((const char *[]){ "/bin/true", NULL }, answer, sizeof(answer)) < 0);
	CHECK(probe_run((const char *[]){ "/nonexistent", NULL }, answer, sizeof(answer)) < 0);
	CHECK(probe_run((const char *[]){ "/bin/sh", "-c", "echo one; echo two", NULL }, answer,
		      sizeof(answer)) == 0);
	CHECK_STR(str_of(answer), S("one"));
}

TESTS(TEST(a_manifest_becomes_a_pack_with_its_placeholders_filled_in),
	TEST(what_a_pack_lacks_binds_and_reads_at_its_start_is_told),
	TEST(an_interpreter_is_asked_once_and_again_when_its_file_changed),
	TEST(a_version_is_the_first_number_and_can_be_too_old),
	TEST(an_interpreter_needs_the_folder_of_its_bin_unless_it_says_otherwise),
	TEST(interpreters_are_asked_at_the_same_time), TEST(what_others_can_write_is_never_run),
	TEST(a_broken_manifest_is_left_out_and_named),
	TEST(a_program_that_hangs_or_fails_or_says_nothing_has_no_version))
