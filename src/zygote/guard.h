#pragma once
/*
 * The guard of a sandbox whose function has extensions: starts them and the runtime, tells the router
 * how they end, and does to them what the router asks. See guard.c.
 */
#include "zygote/zygote.h"

/* The jailed child of the zygote becomes it; JAIL_FD_IMAGE is its line to the router. exec_env() is filled. */
_Noreturn void guard_run(const struct pack_spec *pack);

/* exec.c: the environment as the router filled it, NULL at its end. */
char **exec_env(void);
/* exec.c: become the program of the pack, with that environment. Returns -errno: it could not. */
int exec_program(const struct pack_spec *pack);
