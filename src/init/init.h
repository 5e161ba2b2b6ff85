#pragma once
/*
 * Process 1 of a sandbox. It begins as the warden's image that has jailed itself; from init_run()
 * on it has no rights of its own any more.
 */
#include "wire/frames.h"

#include <stddef.h>
#include <stdint.h>

enum note_kind {
	NOTE_LISTENERS = 1, /* with 3 descriptors: the listeners, their network namespace */
	NOTE_FAILED,	    /* the step and its errno; the process ends */
	NOTE_READY,	    /* process 1 of a sandbox: it is complete; a zygote: it can fork */
	NOTE_BORN,	    /* with 1 descriptor: the zygote has forked, the pidfd of who it was */
	NOTE_STARTED,	    /* a runtime: it is jailed; its exec, if there is one, follows */
};

/* What a process in a jail tells whoever waits for it, over a SOCK_SEQPACKET. */
struct note {
	uint32_t kind;
	int32_t value;
	char step[STEP_NAME_MAX];
};

/* Tell; nobody to tell is no error. */
void note_send(int report, const struct note *note, const int *fds, size_t fd_count);

/* NOTE_FAILED: a step could not be done; `error` is its errno. */
void note_failure(int report, const char *step, int error);

/* Say NOTE_READY, close all descriptors, collect orphans for ever. */
_Noreturn void init_run(int report);
