/* It blocks: it happens once, before the warden serves anybody. */
#include "base/err.h"
#include "base/log.h"
#include "init/init.h"
#include "jail/jail.h"
#include "os/child.h"
#include "os/fd.h"

#include <unistd.h>

enum { MOULD_MS_MAX = 10'000 };

int jail_make_mould(const struct warden_boot *boot, int parent, int null, int *ret_mould)
{
	static const struct child_how how = { .cgroup = -1, .name = "mayfly-mould" };
	const int no_joins[CGROUP_TREES] = { -1, -1, -1, -1 };
	scoped_fd ours = -1, theirs = -1, pidfd = -1;
	struct note note = {};
	size_t len = 0, count = 0;
	int status;

	int r = child_channel(&ours, &theirs);
	if (r == 0)
		r = child_start(&how, &pidfd);
	if (r == 0) {
		struct jail jail = { .kind = JAIL_MOULD,
			.parent = parent,
			.joins = no_joins,
			.null = null,
			.report = theirs,
			.data_dir = boot->data_dir,
			.packs = boot->packs,
			.pack_count = boot->pack_count };
		if (jail_enter(&jail) == 0)
			note_send(theirs, &(struct note){ .kind = NOTE_READY }, &jail.mould, 1);
		_exit(0);
	}
	if (r > 0)
		r = child_wait(pidfd, MOULD_MS_MAX);
	if (r == 0)
		r = child_reap(pidfd, &status);
	if (r == 0)
		r = fd_receive(ours, &note, sizeof(note), &len, ret_mould, 1, &count);
	if (r == 0 && (note.kind != NOTE_READY || count != 1)) {
		note.step[sizeof(note.step) - 1] = '\0';
		log_error("mould_failed", LOG_TEXT("step", note.step));
		r = -note.value;
	}
	return r < 0 ? err_raise(r) : 0;
}
