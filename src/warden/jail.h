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

enum jail_note_kind {
	NOTE_LISTENERS = 1, /* with 2 descriptors */
	NOTE_FAILED,	    /* the step and its errno; the process ends */
	NOTE_STARTED,	    /* the runtime was exec'ed */
	NOTE_ENDED,	    /* the runtime ended: `value` is its wait status */
};

/* What the process in the jail tells whoever waits for it. */
struct jail_note {
	uint32_t kind;
	int32_t value;
	char step[STEP_NAME_MAX];
};

/* Take all the steps and become what the jail is for. Never returns. */
_Noreturn void jail_enter(struct jail *jail);

/* Tell the warden; nobody to tell is no error. */
void jail_tell(
	const struct jail *jail, const struct jail_note *note, const int *fds, size_t fd_count);

/*
 * Steps of other files. 0 or -errno.
 */
typedef int jail_step_fn(struct jail *jail);

/* jail_mounts.c */
jail_step_fn jail_make_private, jail_make_root, jail_bind_system, jail_make_etc, jail_bind_pack,
	jail_bind_code, jail_bind_layers, jail_make_tmp, jail_make_dev, jail_make_proc,
	jail_mask_proc, jail_bind_out, jail_seal_root, jail_pivot;

/* init.c: be process 1 of the sandbox: start the runtime, reap, report. */
_Noreturn void init_run(struct jail *jail);
