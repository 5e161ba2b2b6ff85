#pragma once
/* Processes of our own, held by pidfd: a pid may be someone else's by tomorrow, a pidfd never. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct child_how {
	uint64_t namespaces; /* CLONE_NEW… */
	int cgroup;	     /* directory of a cgroup v2 to be born in, or -1 */
	const char *name;    /* as ps shows it, at most 15 bytes; NULL: the caller's */
	bool is_survivor;    /* it does not die with its parent */
	/*
	 * Its parent is the caller's, which waits for it; it has the caller's signal handlers too, as
	 * after a plain fork().
	 */
	bool is_sibling;
	/*
	 * Not 0: of the caller's descriptors it has only those below, and those above cost nothing. Until
	 * it has taken them it has the caller's very table: then they must stay what they are.
	 */
	unsigned files_below;
};

/*
 * Fork. 0 in the child, which is then the leader of a session of its own, with no signal
 * blocked, all handled as by default, and dies with its parent (but see there). Positive in the parent,
 * which owns *ret_pidfd. Negative: a fault, in the parent.
 */
[[nodiscard]] int child_start(const struct child_how *how, int *ret_pidfd);

/* Die when the parent dies; forgotten by the kernel at every change of identity: call again. */
[[nodiscard]] int child_die_with_parent(int parent_pidfd);

/* A SOCK_SEQPACKET pair to talk to a child; our end does not block. Both close-on-exec, the caller's. */
[[nodiscard]] int child_channel(int *ret_ours, int *ret_theirs);

/* A pidfd of the calling process, to be inherited by children. Owned by the caller. */
[[nodiscard]] int child_self(int *ret_pidfd);

/*
 * Make fds[i] descriptor i, inherited by exec, and close every other one.
 */
[[nodiscard]] int child_set_fds(const int *fds, size_t count);

/* Close all descriptors from 3 on but these (-1 is none). Sorts them. */
void child_keep_fds(int *fds, size_t count);

/* SIGKILL; nothing when it is dead already. */
void child_kill(int pidfd);

/* SIGTERM; nothing when it is dead already. */
void child_terminate(int pidfd);

/* Collect the dead: 0 and *ret_status as of wait(2), or -EAGAIN while it lives, or a fault. */
[[nodiscard]] int child_reap(int pidfd, int *ret_status);

/* Wait until it is dead, at most `timeout_ms`: 0, or -ETIMEDOUT. Only where blocking is right. */
[[nodiscard]] int child_wait(int pidfd, int timeout_ms);
