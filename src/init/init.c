/*
 * Process 1 of a sandbox: the warden's own image, gone on living in the jail. It holds the
 * namespaces, collects orphans, and when it is killed the kernel kills whatever is left in the pid
 * namespace. The runtime is not its child but the warden's, put beside it by a zygote. It has the
 * identity and the filter of the function that it guards; what protects it is that a process 1
 * gets no signal from its namespace that it does not handle, and that nobody without rights may
 * look into it.
 *
 * It blocks and waits: it is one process a sandbox, and there is nothing else to do.
 */
#include "init/init.h"

#include "os/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void note_send(int report, const struct note *note, const int *fds, size_t fd_count)
{
	(void)!fd_send(report, note, sizeof(*note), fds, fd_count);
}

void note_failure(int report, const char *step, int error)
{
	struct note note = { .kind = NOTE_FAILED, .value = error };

	(void)snprintf(note.step, sizeof(note.step), "%s", step);
	note_send(report, &note, NULL, 0);
}

_Noreturn void init_run(int report)
{
	sigset_t child;
	int signal;

	/* Blocked, it stays pending while nobody waits for it: no orphan's end is missed. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &child, NULL);
	(void)prctl(PR_SET_NAME, "mayfly-init");
	note_send(report, &(struct note){ .kind = NOTE_READY }, NULL, 0);
	(void)close_range(0, ~0U, 0);
	for (;;) {
		while (waitpid(-1, NULL, __WALL | WNOHANG) > 0)
			continue;
		(void)sigwait(&child, &signal);
	}
}
