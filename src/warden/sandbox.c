/*
 *            spawn             STARTED          init ends
 *   FREE ───────────▶ BOOTING ─────────▶ LIVE ─────────────────▶ FREE
 *                        │                │ kill                  ▲
 *                        └────────────────┴────────▶ ENDING ──────┘
 *
 * The end of init is the end of all: the kernel lets a pid namespace's first process go only
 * when all others are gone. Only after its cgroup is removed too (cell.c) is FRAME_EXITED told
 * and the slot, with its identity on the host, free for another.
 *
 * A stale handle is no offence: a sandbox may end while the router asks to kill it. One that
 * was never given is.
 */
#include "warden/sandbox.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "init/init.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/fd.h"
#include "warden/jail.h"
#include "warden/warden.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MEMORY_MB_MIN = 16,
	MEMORY_MB_MAX = 10'240 * 4,
	TMP_MB_MAX = 10'240 * 4,
	EXTRA_MB_MAX = 1024,
	PIDS_MAX = 1024,
};

/* Which states may follow which. A move not listed here is a bug, not an error. */
static const unsigned may_follow[SANDBOX_STATES] = {
	[SANDBOX_FREE] = BIT(SANDBOX_BOOTING),
	[SANDBOX_BOOTING] = BIT(SANDBOX_LIVE) | BIT(SANDBOX_ENDING) | BIT(SANDBOX_FREE),
	[SANDBOX_LIVE] = BIT(SANDBOX_ENDING) | BIT(SANDBOX_FREE),
	[SANDBOX_ENDING] = BIT(SANDBOX_FREE),
};

/* The only place that writes the state, and with it the list that the slot is in. */
static void sandbox_enter(struct sandboxes *table, struct sandbox *sb, enum sandbox_state next)
{
	assert(next < SANDBOX_STATES);
	assert(may_follow[sb->state] & BIT(next));
	sb->state = next;
	sb->since_ms = clock_mono_ms();
	list_remove(&sb->link);
	if (next == SANDBOX_FREE) /* at the back: an identity rests as long as possible */
		list_push_back(&table->free, &sb->link);
	else if (next == SANDBOX_BOOTING)
		list_push_back(&table->booting, &sb->link);
}

void sandboxes_init(struct sandboxes *table, uint32_t count)
{
	assert(count > 0 && count <= SANDBOX_SLOTS_MAX);
	list_init(&table->free);
	list_init(&table->booting);
	for (uint32_t i = 0; i < count; i++) {
		struct sandbox *sb = &table->slots[i];
		*sb = (struct sandbox){ .slot = i, .report.fd = -1, .listeners = { -1, -1 } };
		cell_init(&sb->cell);
		list_push_back(&table->free, &sb->link);
	}
}

static void sandbox_kill(struct warden *w, struct sandbox *sb)
{
	cell_kill(w, &sb->cell);
	if (sb->state != SANDBOX_ENDING)
		sandbox_enter(&w->sandboxes, sb, SANDBOX_ENDING);
}

/* Why it never ran. */
static void sandbox_blame(struct sandbox *sb, const char *step, int error)
{
	sb->error = (uint32_t)error;
	(void)snprintf(sb->step, sizeof(sb->step), "%s", step);
}

/* ---- the end ---- */

static void sandbox_judge(const struct sandbox *sb, struct exited_frame *frame)
{
	bool is_signal = !sb->has_status || WIFSIGNALED(sb->status);
	/* Without a status somebody on the host, or the kernel, killed our init. */
	uint32_t signal = sb->has_status && is_signal ? (uint32_t)WTERMSIG(sb->status) : SIGKILL;

	frame->value = signal;
	if (!sb->was_live) {
		frame->kind = EXIT_NO_START;
		frame->value = sb->cell.was_oom ? ENOMEM : sb->error;
		memcpy(frame->step, sb->step, sizeof(frame->step));
	} else if (sb->was_killed) {
		frame->kind = EXIT_KILLED;
	} else if (is_signal) {
		frame->kind = sb->cell.was_oom && signal == SIGKILL ? EXIT_OOM : EXIT_SIGNAL;
	} else {
		frame->kind = EXIT_STATUS;
		frame->value = (uint32_t)WEXITSTATUS(sb->status);
	}
}

static bool sandbox_read_note(struct warden *w, struct sandbox *sb);

/* Nothing of it is left: tell, and free the slot. */
static void sandbox_on_gone(struct warden *w, struct cell *cell)
{
	struct sandbox *sb = list_entry(cell, struct sandbox, cell);
	struct exited_frame frame = { .head = { FRAME_EXITED, 0, sb->ask.head.ticket },
		.memory_peak = cell->memory_peak };

	while (sandbox_read_note(w, sb)) /* what it said before it died */
		continue;
	source_close(w->epoll, &sb->report);
	for (int i = 0; i < SANDBOX_LISTENERS; i++)
		fd_close(&sb->listeners[i]);
	if (!sb->was_live && !sb->step[0]) /* killed from outside, or for memory, on its way */
		sandbox_blame(sb, "boot", ECHILD);
	if (sb->was_live)
		frame.handle = (struct sandbox_handle){ sb->slot, sb->generation };
	sandbox_judge(sb, &frame);
	log_debug("sandbox_exited", LOG_U64("slot", sb->slot), LOG_U64("kind", frame.kind),
		LOG_U64("value", frame.value), LOG_TEXT("step", frame.step));
	sandbox_enter(&w->sandboxes, sb, SANDBOX_FREE);
	if (!sb->is_forgotten)
		gate_tell(w, &frame, sizeof(frame), NULL, 0);
}

/* ---- what its init says ---- */

static void sandbox_on_started(struct warden *w, struct sandbox *sb)
{
	struct spawned_frame frame = { { FRAME_SPAWNED, 0, sb->ask.head.ticket },
		{ sb->slot, sb->generation } };
	int fds[] = { sb->listeners[0], sb->listeners[1],
		fcntl(sb->cell.memory_fd, F_DUPFD_CLOEXEC, 0) };

	if (sb->state != SANDBOX_BOOTING || fds[0] < 0 || fds[1] < 0 || fds[2] < 0) {
		fd_close(&fds[2]);
		sandbox_blame(sb, "report", EPROTO);
		sandbox_kill(w, sb);
		return;
	}
	sb->listeners[0] = sb->listeners[1] = -1;
	sb->was_live = true;
	log_debug("sandbox_started", LOG_U64("slot", sb->slot),
		LOG_U64("ms", clock_mono_ms() - sb->since_ms));
	sandbox_enter(&w->sandboxes, sb, SANDBOX_LIVE);
	gate_tell(w, &frame, sizeof(frame), fds, ARRAY_LEN(fds));
}

static void sandbox_on_note(struct warden *w, struct sandbox *sb, struct note *note, int fds[])
{
	note->step[sizeof(note->step) - 1] = '\0';
	switch (note->kind) {
	case NOTE_LISTENERS:
		for (size_t i = 0; i < SANDBOX_LISTENERS; i++) {
			fd_close(&sb->listeners[i]);
			sb->listeners[i] = fd_take(&fds[i]);
		}
		break;
	case NOTE_FAILED:
		sandbox_blame(sb, note->step, note->value);
		break;
	case NOTE_STARTED:
		sandbox_on_started(w, sb);
		break;
	case NOTE_ENDED:
		sb->has_status = true;
		sb->status = note->value;
		break;
	default: /* it is our own image that speaks, and says nothing else */
		log_error("sandbox_note_unknown", LOG_U64("kind", note->kind));
	}
}

/* Read one note: false when there is none, for now or for ever. */
static bool sandbox_read_note(struct warden *w, struct sandbox *sb)
{
	struct note note;
	int fds[SANDBOX_LISTENERS] = { -1, -1 };
	size_t len, count;

	int r = sb->report.fd < 0 ? -EAGAIN
				  : fd_receive(sb->report.fd, &note, sizeof(note), &len, fds,
					    SANDBOX_LISTENERS, &count);
	if (r == -EAGAIN)
		return false;
	if (r < 0 || len != sizeof(note)) { /* its end: the pidfd tells the rest */
		source_close(w->epoll, &sb->report);
		return false;
	}
	sandbox_on_note(w, sb, &note, fds);
	for (size_t i = 0; i < SANDBOX_LISTENERS; i++)
		fd_close(&fds[i]);
	return true;
}

static void sandbox_on_report(void *context, struct source *report)
{
	struct warden *w = context;
	(void)sandbox_read_note(w, list_entry(report, struct sandbox, report));
}

/* ---- the beginning ---- */

/* Why no router that works would ask this, or NULL. */
static const char *spawn_check(
	const struct warden *w, const struct spawn_frame *ask, const int fds[])
{
	struct stat st;
	const int sealed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;

	if (ask->reserved || ask->layer_count > FRAME_LAYERS_MAX ||
		ask->pack >= w->boot->pack_count || ask->network >= NETWORK_MODES ||
		ask->cpu_strict > 1)
		return "a spawn with impossible choices";
	if (ask->memory_mb < MEMORY_MB_MIN || ask->memory_mb > MEMORY_MB_MAX || ask->tmp_mb < 1 ||
		ask->tmp_mb > TMP_MB_MAX || ask->extra_mb > EXTRA_MB_MAX)
		return "a spawn with impossible sizes";
	int seals = fcntl(fds[0], F_GET_SEALS);
	if (seals < 0 || (seals & sealed) != sealed || fstat(fds[0], &st) < 0 ||
		st.st_size > ENV_BLOCK_MAX)
		return "an environment that is no sealed block";
	int flags = fcntl(fds[1], F_GETFL);
	if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) != O_WRONLY ||
		fstat(fds[1], &st) < 0 || !S_ISFIFO(st.st_mode))
		return "a log that is no pipe to write";
	return NULL;
}

static void spawn_refuse(struct warden *w, const union frame *ask, const char *step, int error)
{
	struct exited_frame frame = { .head = { FRAME_EXITED, 0, ask->head.ticket },
		.kind = EXIT_NO_START,
		.value = (uint32_t)error };

	(void)snprintf(frame.step, sizeof(frame.step), "%s", step);
	gate_tell(w, &frame, sizeof(frame), NULL, 0);
}

/* Forget what the slot's former life left in it; begin the next. */
static void sandbox_renew(struct sandbox *sb, const struct spawn_frame *ask)
{
	sb->generation++;
	sb->ask = *ask;
	sb->was_live = sb->was_killed = sb->is_forgotten = sb->has_status = false;
	sandbox_blame(sb, "", 0);
}

static _Noreturn void sandbox_become(const struct warden *w, const struct sandbox *sb,
	const int fds[], const int joins[], int report)
{
	struct jail jail = {
		.kind = JAIL_SANDBOX,
		.uid = w->boot->sandbox_uid + sb->slot,
		.parent = w->self,
		.joins = joins,
		.filter = &w->filters[FILTER_SANDBOX],
		.data_dir = w->boot->data_dir,
		.null = w->null,
		.report = report,
		.ask = &sb->ask,
		.pack = &w->boot->packs[sb->ask.pack],
		.env = fds[0],
		.log = fds[1],
	};

	jail_enter(&jail);
}

static int sandbox_start(struct warden *w, struct sandbox *sb, const int fds[])
{
	const struct cgroup_limits limits = {
		.memory_bytes = (sb->ask.memory_mb + sb->ask.extra_mb) * MIB,
		.pids_max = PIDS_MAX,
		.cpu_mb = sb->ask.memory_mb,
		.is_cpu_strict = sb->ask.cpu_strict,
	};
	char name[CGROUP_NAME_MAX];
	const struct cell_how how = { name, &limits, CLONE_NEWPID, "mayfly-jail", sandbox_on_gone };
	scoped_fd ours = -1, theirs = -1;
	int joins[CGROUP_TREES];

	(void)snprintf(name, sizeof(name), "s%u", sb->slot);
	int r = child_channel(&ours, &theirs);
	if (r < 0)
		return err_pass(r);
	r = cell_start(w, &sb->cell, &how, joins);
	if (r == 0)
		sandbox_become(w, sb, fds, joins, theirs);
	if (r < 0)
		return err_pass(r);
	sandbox_enter(&w->sandboxes, sb, SANDBOX_BOOTING);
	r = source_open(w->epoll, &sb->report, fd_take(&ours), sandbox_on_report);
	if (r < 0)
		err_log(r, "watching a sandbox's report"); /* the boot's deadline ends it */
	return 0;
}

const char *sandbox_spawn(struct warden *w, const union frame *frame, int fds[])
{
	struct list *link = list_first(&w->sandboxes.free);

	const char *reason = spawn_check(w, &frame->spawn, fds);
	if (reason)
		return reason;
	if (frame->spawn.network != NETWORK_ISOLATED) {
		spawn_refuse(w, frame, "network mode", EOPNOTSUPP);
		return NULL;
	}
	if (!link) { /* the router counts too, but a slot is free only when all of it is gone */
		spawn_refuse(w, frame, "slot", EAGAIN);
		return NULL;
	}
	struct sandbox *sb = list_entry(link, struct sandbox, link);
	sandbox_renew(sb, &frame->spawn);
	int r = sandbox_start(w, sb, fds);
	if (r < 0) {
		err_log(r, "starting a sandbox");
		spawn_refuse(w, frame, "start", -r);
	}
	return NULL;
}

/* ---- what else is asked ---- */

const char *sandbox_ask(struct warden *w, const union frame *frame, [[maybe_unused]] int fds[])
{
	struct sandbox_handle handle = frame->sandbox.handle;

	if (handle.slot >= w->boot->sandboxes_max)
		return "a slot that does not exist";
	struct sandbox *sb = &w->sandboxes.slots[handle.slot];
	if (handle.generation == 0 || handle.generation > sb->generation)
		return "a sandbox that never was";
	if (handle.generation != sb->generation || sb->state != SANDBOX_LIVE)
		return NULL; /* it has ended, and the news is on its way */
	if (frame->head.op == FRAME_KILL) {
		sb->was_killed = !sb->has_status; /* it may have ended by itself just now */
		sandbox_kill(w, sb);
		return NULL;
	}
	int r = cgroup_freeze(&w->cgroups, sb->cell.name, frame->head.op == FRAME_FREEZE);
	if (r < 0)
		err_log(r, "freezing or thawing a sandbox");
	return NULL;
}

static bool sandbox_has(const struct sandbox *sb, const uint8_t digest[static DIGEST_LEN])
{
	bool has = !memcmp(sb->ask.code, digest, DIGEST_LEN);

	for (uint32_t i = 0; i < sb->ask.layer_count; i++)
		has |= !memcmp(sb->ask.layers[i], digest, DIGEST_LEN);
	return has && sb->state != SANDBOX_FREE;
}

bool sandbox_uses(const struct warden *w, const uint8_t digest[static DIGEST_LEN])
{
	for (uint32_t i = 0; i < w->boot->sandboxes_max; i++)
		if (sandbox_has(&w->sandboxes.slots[i], digest))
			return true;
	return false;
}

void sandboxes_forget_router(struct warden *w)
{
	for (uint32_t i = 0; i < w->boot->sandboxes_max; i++) {
		struct sandbox *sb = &w->sandboxes.slots[i];
		if (sb->state == SANDBOX_FREE)
			continue;
		sb->is_forgotten = true;
		sandbox_kill(w, sb);
	}
}

uint64_t sandboxes_tick(struct warden *w, uint64_t now_ms)
{
	list_each(link, &w->sandboxes.booting) {
		struct sandbox *sb = list_entry(link, struct sandbox, link);
		if (now_ms < sb->since_ms + SANDBOX_BOOT_MS_MAX)
			return sb->since_ms + SANDBOX_BOOT_MS_MAX;
		log_error("sandbox_boot_too_slow", LOG_U64("slot", sb->slot));
		sandbox_blame(sb, "deadline", ETIMEDOUT);
		sandbox_kill(w, sb);
	}
	return UINT64_MAX;
}
