#pragma once
/*
 * The jail: what a process does to itself between clone and exec, so that what it becomes
 * sees and may do what doc says and nothing else. The steps are a table (jail.c).
 */
#include "os/cgroup.h"
#include "warden/filter.h"
#include "wire/frames.h"

#include <limits.h>
#include <stdint.h>

enum jail_kind { JAIL_SANDBOX = 1, JAIL_UNPACK = 2 };

/* Ports on 127.0.0.1 inside a sandbox. */
enum { RUNTIME_API_PORT = 9001, AWS_ENDPOINT_PORT = 4566 };

/*
 * Everything that the steps need. Descriptors are borrowed from the parent: the process is
 * its own copy, and closes all but those named in `fds`.
 */
struct jail {
	enum jail_kind kind;
	uint32_t uid;
	int parent;	  /* pidfd: without it there is no life */
	const int *joins; /* CGROUP_TREES cgroup.procs files to enter, or -1 */
	const struct filter *filter;
	const char *data_dir; /* see places.c */
	int null;
	int report; /* a SOCK_SEQPACKET: who waits for us hears notes from it */

	/* a sandbox */
	const struct spawn_frame *ask;
	const struct pack_spec *pack;
	int env; /* the environment block */
	int log; /* the function's output */

	/* an unpacker */
	int zip;
	const char *out; /* name in DATA/code/tmp of the directory that is bound at /out */
	int program;
	uint64_t bytes_max;
	uint32_t entries_max;

	int root; /* the new root, from the step that makes it */
};

/* Take all the steps and become what the jail is for. Never returns. */
_Noreturn void jail_enter(struct jail *jail);

/* A step: 0 or -errno. */
typedef int jail_step_fn(struct jail *jail);

/* jail_mounts.c, in the order of jail.c's table */
jail_step_fn jail_make_root, jail_make_etc, jail_bind_pack, jail_bind_code, jail_bind_layers,
	jail_make_tmp, jail_make_proc, jail_bind_out, jail_pivot;
