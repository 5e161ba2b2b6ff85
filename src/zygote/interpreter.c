/* From a child of the warden to an interpreter that waits for questions (preload.c). */
#include "base/attr.h"
#include "init/init.h"
#include "zygote/zygote.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { ENV_COUNT_MAX = 64 };

/* What preload.c is woken by, and what the pack wants. */
static void interpreter_fill_env(const struct pack_spec *pack, char *to[static ENV_COUNT_MAX + 1])
{
	static char room[sizeof("MAYFLY_ZYGOTE=") + ENV_BLOCK_MAX] = "MAYFLY_ZYGOTE=";
	size_t count = 0;

	memset(room + strlen(room), 'x', ENV_BLOCK_MAX);
	to[count++] = room;
	to[count++] = (char *)"LD_PRELOAD=" ZYGOTE_LIBRARY;
	for (size_t at = 0; at < pack->env_len && count < ENV_COUNT_MAX;
		at += strlen(pack->env + at) + 1)
		to[count++] = (char *)pack->env + at;
	to[count] = NULL;
}

_Noreturn void zygote_exec_interpreter(struct jail *jail)
{
	char *argv[PACK_ARGV_MAX + 1] = {}, *envp[ENV_COUNT_MAX + 1];
	const struct pack_spec *pack = jail->pack;

	if (lseek(jail->filter_file, 0, SEEK_SET) < 0 || jail_enter(jail) < 0)
		_exit(127);
	for (uint32_t i = 0; i < pack->argc[0]; i++)
		argv[i] = (char *)pack->argv[0][i];
	interpreter_fill_env(pack, envp);
	execve(argv[0], argv, envp);
	note_failure(jail->report, "exec", errno);
	_exit(127);
}
