/*
 * A zygote has no state that matters: whatever it was asked and has not answered when it dies is
 * done again with another (sandbox.c).
 */
#include "warden/zygotes.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "init/init.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/rights.h"
#include "warden/warden.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BACKOFF_MS_MIN = 100, BACKOFF_MS_MAX = 30'000, SWEEP_MS = 50, SWEEPS = 8 };

int zygotes_init(struct warden *w)
{
	const struct filter *filter = &w->filters[FILTER_SANDBOX];

	for (uint32_t i = 0; i < ZYGOTES_MAX; i++) {
		struct zygote_slot *slot = &w->zygotes.slots[i];
		*slot = (struct zygote_slot){ .number = i, .socket.fd = -1 };
		cell_init(&slot->cell);
	}
	w->zygotes.slots[ZYGOTE_EXEC].is_wanted = true;
	return err_pass(fd_sealed("seccomp", (str){ (const char *)filter, sizeof(*filter) },
		&w->zygotes.filter_file));
}

/* ---- the processes ---- */

static _Noreturn void zygote_become_exec(const struct warden *w, int socket)
{
	int kept[] = { socket, w->self, w->null, w->restore_program };
	struct zygote zygote = { socket, w->self, w->null, w->restore_program,
		&w->filters[FILTER_SANDBOX] };

	child_keep_fds(kept, ARRAY_LEN(kept));
	scoped_fd score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (score < 0 || write(score, "500", 3) < 0 || child_die_with_parent(w->self) < 0 ||
		rights_seal() < 0)
		_exit(1);
	fd_close(&score);
	note_send(socket, &(struct note){ .kind = NOTE_READY }, NULL, 0);
	zygote_run(&zygote, w->boot->packs);
}

static _Noreturn void zygote_become_interpreter(
	const struct warden *w, const struct zygote_slot *slot, int socket)
{
	char library[PACK_PATH_MAX + 32];
	struct jail jail = {
		.kind = JAIL_ZYGOTE,
		.parent = w->self,
		.joins = slot->cell.leaf.joins,
		.null = w->null,
		.report = socket,
		.data_dir = w->boot->data_dir,
		.pack = &w->boot->packs[slot->number - ZYGOTE_PACKS],
		.socket = socket,
		.filter_file = w->zygotes.filter_file,
		.library = library,
	};

	(void)snprintf(library, sizeof(library), "%s/mayfly-zygote.so", w->boot->libexec_dir);
	zygote_exec_interpreter(&jail);
}

/* ---- what they say ---- */

static bool zygote_read_note(struct warden *w, struct zygote_slot *slot)
{
	struct note note;
	size_t len, fd_count;

	int r = fd_receive(slot->socket.fd, &note, sizeof(note), &len, NULL, 0, &fd_count);
	if (r == -EAGAIN)
		return false;
	if (r < 0 || len != sizeof(note)) { /* its end: its cell tells the rest */
		source_close(w->epoll, &slot->socket);
		slot->is_ready = false;
		return false;
	}
	note.step[sizeof(note.step) - 1] = '\0';
	if (note.kind != NOTE_READY)
		log_error("zygote_jail_failed", LOG_U64("zygote", slot->number),
			LOG_TEXT("step", note.step), LOG_ERRNO("error", note.value));
	slot->is_ready = note.kind == NOTE_READY;
	slot->backoff_ms = slot->is_ready ? 0 : slot->backoff_ms;
	sandboxes_boot(w);
	return true;
}

static void zygote_on_note(void *context, struct source *socket)
{
	struct warden *w = context;
	(void)zygote_read_note(w, list_entry(socket, struct zygote_slot, socket));
}

static void zygote_on_gone(void *context, struct cell *cell)
{
	struct warden *w = context;
	struct zygote_slot *slot = list_entry(cell, struct zygote_slot, cell);

	while (slot->socket.fd >= 0 && zygote_read_note(w, slot)) /* what it still said */
		continue;
	source_close(w->epoll, &slot->socket);
	slot->is_ready = false;
	log_warn("zygote_ended", LOG_U64("zygote", slot->number),
		LOG_U64("status", (unsigned)cell->status));
	slot->restart_ms = clock_mono_ms() + slot->backoff_ms;
	slot->backoff_ms = MIN(
		MAX(2 * slot->backoff_ms, (uint32_t)BACKOFF_MS_MIN), (uint32_t)BACKOFF_MS_MAX);
	w->zygotes.sweep_ms = clock_mono_ms() + SWEEP_MS;
	w->zygotes.sweep_count = SWEEPS;
}

/*
 * A child that a zygote forked just before it died, without having told us, is ours all the same:
 * if nobody collects it, its pid namespace never ends. Those we know of are collected at once: who
 * is dead still the next time is one that we do not know of.
 */
static uint64_t zygotes_sweep(struct warden *w, uint64_t now_ms)
{
	struct zygotes *zygotes = &w->zygotes;
	siginfo_t dead = {};

	if (!zygotes->sweep_ms || now_ms < zygotes->sweep_ms)
		return zygotes->sweep_ms ? zygotes->sweep_ms : UINT64_MAX;
	int r = waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT);
	if (r == 0 && dead.si_pid && dead.si_pid == zygotes->orphan) {
		(void)waitpid(dead.si_pid, NULL, 0);
		log_warn("orphan_collected", LOG_I64("pid", dead.si_pid));
		zygotes->sweep_count = SWEEPS;
	}
	zygotes->orphan = r == 0 ? dead.si_pid : 0;
	zygotes->sweep_ms = zygotes->orphan || --zygotes->sweep_count ? now_ms + SWEEP_MS : 0;
	return zygotes->sweep_ms ? zygotes->sweep_ms : UINT64_MAX;
}

static int zygote_start(struct warden *w, struct zygote_slot *slot)
{
	char name[CGROUP_NAME_MAX];
	const struct cell_how how = {
		.cgroup = name, .process = "mayfly-zygote", .gone = zygote_on_gone
	};
	scoped_fd ours = -1, theirs = -1;

	(void)snprintf(name, sizeof(name), "z%u", slot->number);
	int r = child_channel(&ours, &theirs);
	if (r == 0)
		r = source_open(w->epoll, &slot->socket, fd_take(&ours), zygote_on_note);
	if (r == 0) {
		r = cell_start(&w->cells, &slot->cell, &how);
		if (r == 0 && slot->number == ZYGOTE_EXEC)
			zygote_become_exec(w, theirs);
		if (r == 0)
			zygote_become_interpreter(w, slot, theirs);
	}
	if (r < 0) {
		source_close(w->epoll, &slot->socket);
		return err_pass(r);
	}
	/* It is the warden's image, it understands at once. */
	slot->is_ready = slot->number == ZYGOTE_EXEC;
	return 0;
}

uint64_t zygotes_tick(struct warden *w, uint64_t now_ms)
{
	uint64_t due = zygotes_sweep(w, now_ms);

	if (w->is_draining)
		return due;
	for (uint32_t i = 0; i < ZYGOTE_PACKS + w->boot->pack_count; i++) {
		struct zygote_slot *slot = &w->zygotes.slots[i];
		if (!slot->is_wanted || slot->cell.process.fd >= 0 || list_linked(&slot->cell.link))
			continue;
		int r = now_ms >= slot->restart_ms ? zygote_start(w, slot) : 0;
		if (r < 0) {
			err_log(r, "starting a zygote");
			slot->restart_ms = now_ms + BACKOFF_MS_MAX;
		}
		if (slot->cell.process.fd < 0)
			due = MIN(due, slot->restart_ms);
	}
	return due;
}

/* ---- what is asked of them ---- */

const char *zygote_warm(struct warden *w, const union frame *frame, [[maybe_unused]] int fds[])
{
	uint32_t pack = frame->warm.pack;

	if (pack >= w->boot->pack_count || frame->warm.reserved)
		return "a pack that does not exist";
	if (w->boot->packs[pack].start == START_FORK)
		w->zygotes.slots[ZYGOTE_PACKS + pack].is_wanted = true;
	return NULL;
}

uint32_t zygote_choose(struct warden *w, const struct spawn_frame *ask)
{
	struct zygote_slot *slot = &w->zygotes.slots[ZYGOTE_PACKS + ask->pack];

	if (ask->start != START_FORK || w->boot->packs[ask->pack].start != START_FORK)
		return ZYGOTE_EXEC;
	slot->is_wanted = true;
	return slot->is_ready ? slot->number : ZYGOTE_EXEC;
}

int zygote_ask(struct warden *w, uint32_t number, const struct zygote_ask *ask, const int *fds,
	size_t fd_count)
{
	const struct zygote_slot *slot = &w->zygotes.slots[number];

	size_t size = offsetof(struct zygote_ask, graft_paths) + ask->graft_count * PACK_PATH_MAX;

	int r = slot->socket.fd < 0 ? -EAGAIN : fd_send(slot->socket.fd, ask, size, fds, fd_count);
	return r == -EPIPE || r == -ECONNRESET ? -EAGAIN : r == -EAGAIN ? r : err_pass(r);
}
