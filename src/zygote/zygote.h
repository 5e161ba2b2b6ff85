#pragma once
/*
 * A zygote waits for work and forks: each child enters a sandbox that the warden has prepared and
 * becomes a function's runtime there. There is one that is the warden's own image, whose children
 * exec a program (zygote_run); and there are interpreters that have everything loaded which a
 * runtime needs, whose children just go on (preload.c). A zygote is of root and trusted: it reads
 * from nobody but the warden.
 */
#include "jail/jail.h"

#include <stdbool.h>

enum { ZYGOTE_JOINS_MAX = CGROUP_TREES };

enum zygote_work {
	ZYGOTE_RUNTIME, /* a runtime */
	ZYGOTE_RESTORE, /* a runtime, from an image */
	ZYGOTE_GUARD,	/* a runtime with extensions: who starts and watches them all */
	ZYGOTE_MOUNTER, /* somebody who puts code into a sandbox whose runtime runs already */
};

/* What the warden asks. Fixed size; with descriptors in the order of enum zygote_fd. */
struct zygote_ask {
	uint32_t work; /* enum zygote_work */
	uint32_t uid;
	uint32_t pack; /* whose program is exec'ed */
	uint32_t tmp_mb;
	uint32_t join_count;
	uint32_t graft_count;
	uint32_t bind_count; /* of them */
	uint32_t has_image;  /* ZYGOTE_ASK_IMAGE is one */
	char graft_paths[GRAFTS_MAX][PACK_PATH_MAX];
};

enum zygote_fd {
	ZYGOTE_ASK_TARGET, /* pidfd of the sandbox's process 1 */
	ZYGOTE_ASK_CGROUP, /* its directory in the v2 tree */
	ZYGOTE_ASK_REPORT, /* for the notes of zygote and child; it ends when both are done with it */
	ZYGOTE_ASK_ENV,	   /* as in FRAME_SPAWN, the next too; of a mounter any */
	ZYGOTE_ASK_LOG,
	ZYGOTE_ASK_IMAGE, /* to save to, or to restore; else any */
	ZYGOTE_ASK_REST,  /* from here on: files to join cgroups by, trees to graft */
};
static_assert(ZYGOTE_ASK_REST + ZYGOTE_JOINS_MAX + GRAFTS_MAX <= 24);

struct zygote {
	int socket; /* SOCK_SEQPACKET, blocking: the warden's questions */
	int parent; /* pidfd of the warden */
	int null;
	int restore; /* the program that restores images; -1: none, it is an interpreter */
	const struct filter *filter;
};

/* A child at its beginning: what it goes on from. */
struct zygote_birth {
	uint32_t work;
	uint32_t pack;
};

/*
 * Wait for one question and fork. 1 in the zygote (NOTE_BORN or NOTE_FAILED has been said); 0 in the
 * child, jailed, with the descriptors JAIL_FD_…; negative: the warden is gone, or a fault of ours. A
 * child whose jail fails has said so and ends here.
 */
[[nodiscard]] int zygote_next(const struct zygote *zygote, struct zygote_birth *ret_birth);

/* What the warden's child becomes: an interpreter that is a zygote. The jail is of JAIL_ZYGOTE. */
_Noreturn void zygote_exec_interpreter(struct jail *jail);

/* The zygote that execs: until the warden is gone. */
_Noreturn void zygote_run(const struct zygote *zygote, const struct pack_spec *packs);
