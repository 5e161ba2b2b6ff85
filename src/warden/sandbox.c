/*
 *          prepare          NOTE_READY          asked for         started
 *   FREE ──────────▶ PREPARING ──────▶ READY ──────────▶ BOOTING ────────▶ LIVE
 *    ▲                   │               │                  │                │ runtime ends, kill
 *    └───────────────────┴───────────────┴──── ENDING ◀─────┴────────────────┘
 *
 * What all sandboxes have in common is made ahead by their process 1; what makes one a function's
 * (limits, code, runtime) when it is asked for: then a zygote forks the runtime into it. One that
 * is asked for while none is ready is prepared at once and goes on by itself.
 *
 * Two processes are ours to collect: process 1 (the cell's) and the runtime. The runtime's end is
 * the end of the sandbox; the kernel lets a pid namespace's first process go only when all others
 * are gone. Only after its cgroup is empty too (cell.c) is FRAME_EXITED told and the slot, with
 * its identity on the host, free for another.
 *
 * A network namespace takes the kernel longer to make and to remove than all else together: it is
 * kept for the next sandbox, emptied. All processes in it are dead by then, and shutdown() on the
 * listeners, of which the router has copies, ends them for everybody.
 *
 * Its cgroup is kept for the slot's next sandbox, too, if it is as new: see cgroup_clean().
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
#include "warden/grafts.h"
#include "warden/warden.h"
#include "zygote/birth.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MEMORY_MB_MIN = 16,
	MEMORY_MB_MAX = 10'240 * 4,
	TMP_MB_MAX = 10'240 * 4,
	EXTRA_MB_MAX = TMP_MB_MAX, /* it may be for /tmp */
	PIDS_MAX = 1024,
	PREPARE_PAUSE_MS = 5, /* without a spawn, before more are prepared */
	TRIES_MAX = 4,	      /* to begin what was asked for */
};

/* Which states may follow which. A move not listed here is a bug, not an error. */
static const unsigned may_follow[SANDBOX_STATES] = {
	[SANDBOX_FREE] = BIT(SANDBOX_PREPARING),
	[SANDBOX_PREPARING] = BIT(SANDBOX_READY) | BIT(SANDBOX_ENDING) | BIT(SANDBOX_FREE),
	[SANDBOX_READY] = BIT(SANDBOX_BOOTING) | BIT(SANDBOX_ENDING) | BIT(SANDBOX_FREE),
	[SANDBOX_BOOTING] = BIT(SANDBOX_LIVE) | BIT(SANDBOX_ENDING) | BIT(SANDBOX_FREE),
	[SANDBOX_LIVE] = BIT(SANDBOX_ENDING) | BIT(SANDBOX_FREE),
	[SANDBOX_ENDING] = BIT(SANDBOX_FREE),
};

/* The list that a slot is in, by its state and whether somebody waits for it; NULL: none. */
static struct list *sandbox_list(struct sandboxes *table, const struct sandbox *sb)
{
	if (sb->state == SANDBOX_FREE)
		return sb->cell.has_cgroup ? &table->rested : &table->free;
	if (sb->state == SANDBOX_LIVE || sb->state == SANDBOX_ENDING)
		return NULL;
	return sb->has_ask ? &table->booting : &table->spare;
}

/* To the back of its list: a slot, an identity, rests as long as possible. What is ready is first. */
static void sandbox_file(struct sandboxes *table, struct sandbox *sb)
{
	struct list *to = sandbox_list(table, sb);

	table->spare_count += (to == &table->spare) - sb->is_spare;
	sb->is_spare = to == &table->spare;
	list_remove(&sb->link);
	if (to && sb->state == SANDBOX_READY)
		list_push_front(to, &sb->link);
	else if (to)
		list_push_back(to, &sb->link);
}

/* The only place that writes the state. */
static void sandbox_enter(struct sandboxes *table, struct sandbox *sb, enum sandbox_state next)
{
	assert(next < SANDBOX_STATES);
	assert(may_follow[sb->state] & BIT(next));
	sb->state = next;
	sb->since_ms = clock_mono_ms();
	sandbox_file(table, sb);
}

void sandboxes_init(struct sandboxes *table, uint32_t count)
{
	assert(count > 0 && count <= SANDBOX_SLOTS_MAX);
	list_init(&table->free);
	list_init(&table->rested);
	list_init(&table->spare);
	list_init(&table->booting);
	for (uint32_t i = 0; i < count; i++) {
		struct sandbox *sb = &table->slots[i];
		*sb = (struct sandbox){ .slot = i,
			.report.fd = -1,
			.runtime.fd = -1,
			.mounter.fd = -1,
			.listeners = { -1, -1 },
			.network = -1,
			.cradle = -1,
			.env = -1,
			.log = -1,
			.image = -1 };
		cell_init(&sb->cell);
		list_push_back(&table->free, &sb->link);
	}
}

static void sandbox_kill(struct warden *w, struct sandbox *sb)
{
	cell_kill(&sb->cell);
	if (sb->state != SANDBOX_ENDING)
		sandbox_enter(&w->sandboxes, sb, SANDBOX_ENDING);
}

/* Why it never ran. */
static void sandbox_blame(struct sandbox *sb, const char *step, int error)
{
	sb->error = (uint32_t)error;
	(void)snprintf(sb->step, sizeof(sb->step), "%s", step);
}

static void sandbox_fail(struct warden *w, struct sandbox *sb, const char *step, int error)
{
	if (!sb->step[0])
		sandbox_blame(sb, step, error);
	sandbox_kill(w, sb);
}

/* ---- networks ---- */

/* One that was used before, or -1: its process 1 makes one. */
static int network_take(struct sandboxes *table)
{
	return table->network_count ? table->networks[--table->network_count] : -1;
}

/* It is empty: keep it. */
static void sandbox_leave_network(struct sandboxes *table, struct sandbox *sb, bool is_good)
{
	for (int i = 0; i < SANDBOX_LISTENERS; i++) {
		is_good = is_good && shutdown(sb->listeners[i], SHUT_RDWR) == 0;
		fd_close(&sb->listeners[i]);
	}
	if (is_good && sb->network >= 0 && table->network_count < SANDBOX_SLOTS_MAX)
		table->networks[table->network_count++] = fd_take(&sb->network);
	fd_close(&sb->network);
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
static int sandbox_prepare(struct warden *w, struct sandbox *sb);

/*
 * It never came so far that its program could have been to blame: somebody on the host killed a
 * process of it, or the zygote, or a network that was used is in disorder. Then the same is begun
 * again, by exec and in a network of its own.
 */
static bool sandbox_begin_again(struct warden *w, struct sandbox *sb)
{
	if (sb->was_live || !sb->has_ask || sb->is_forgotten || sb->cell.was_oom ||
		(sb->step[0] && !sb->is_again) || sb->tries == TRIES_MAX)
		return false;
	log_warn("sandbox_begins_again", LOG_U64("zygote", sb->zygote), LOG_TEXT("step", sb->step),
		LOG_ERRNO("error", (int)sb->error));
	sb->is_again = true;
	if (sb->ask.start == START_FORK)
		sb->ask.start = START_EXEC;
	sandbox_enter(&w->sandboxes, sb, SANDBOX_FREE);
	int r = sandbox_prepare(w, sb);
	if (r < 0)
		err_log(r, "beginning a sandbox again");
	return r == 0;
}

/* Nothing of it is left: tell, and free the slot. */
static void sandbox_on_gone(void *context, struct cell *cell)
{
	struct warden *w = context;
	struct sandbox *sb = list_entry(cell, struct sandbox, cell);
	struct exited_frame frame = { .head = { FRAME_EXITED, 0, sb->ask.head.ticket },
		.memory_peak = cell->memory_peak };

	while (sandbox_read_note(w, sb)) /* what it said before it died */
		continue;
	source_close(w->epoll, &sb->report);
	source_close(w->epoll, &sb->runtime);
	source_close(w->epoll, &sb->mounter);
	cradle_empty(&w->cradles, &sb->cradle);
	sandbox_leave_network(&w->sandboxes, sb, sb->state == SANDBOX_ENDING);
	if (sandbox_begin_again(w, sb))
		return;
	if (!sb->was_live && !sb->step[0]) /* killed from outside, or for memory, on its way */
		sandbox_blame(sb, "boot", ECHILD);
	if (sb->was_live)
		frame.handle = (struct sandbox_handle){ sb->slot, sb->generation };
	sandbox_judge(sb, &frame);
	log_debug("sandbox_exited", LOG_U64("slot", sb->slot), LOG_U64("kind", frame.kind),
		LOG_U64("value", frame.value), LOG_TEXT("step", frame.step));
	bool is_told = sb->has_ask && !sb->is_forgotten;
	if (!sb->has_ask && sb->step[0]) {
		log_error("sandbox_not_prepared", LOG_TEXT("step", sb->step),
			LOG_ERRNO("error", (int)sb->error));
		w->sandboxes.prepare_ms = clock_mono_ms() + 1000;
	}
	if (sb->state != SANDBOX_FREE)
		sandbox_enter(&w->sandboxes, sb, SANDBOX_FREE);
	sb->has_ask = false;
	sb->tries = 0;
	fd_close(&sb->env);
	fd_close(&sb->log);
	fd_close(&sb->image);
	if (is_told)
		gate_tell(w, &frame, sizeof(frame), NULL, 0);
}

/* The runtime has ended, and with it the sandbox. */
static void sandbox_on_runtime(void *context, struct source *runtime)
{
	struct warden *w = context;
	struct sandbox *sb = list_entry(runtime, struct sandbox, runtime);

	int r = child_reap(runtime->fd, &sb->status);
	if (r == -EAGAIN)
		return;
	sb->has_status = r == 0;
	source_close(w->epoll, runtime);
	while (sandbox_read_note(w, sb))
		continue;
	sandbox_kill(w, sb);
}

static void sandbox_on_mounter(void *context, struct source *mounter)
{
	struct warden *w = context;
	int status;

	if (child_reap(mounter->fd, &status) != -EAGAIN)
		source_close(w->epoll, mounter);
}

/* ---- what is said inside ---- */

static void sandbox_take_up(struct warden *w, struct sandbox *sb);
static void graft_end(struct warden *w, struct sandbox *sb, int error);

/* A zygote has forked: the child is ours, and a runtime or, of one that has a runtime, its mounter. */
static void sandbox_on_born(struct warden *w, struct sandbox *sb, int *pidfd)
{
	const bool is_mounter = sb->was_live;

	int r = *pidfd < 0
		? err_raise(-EPROTO)
		: source_open(w->epoll, is_mounter ? &sb->mounter : &sb->runtime, fd_take(pidfd),
			  is_mounter ? sandbox_on_mounter : sandbox_on_runtime);
	if (r < 0) {
		err_log(r, "watching a runtime");
		sandbox_fail(w, sb, "report", -r);
	}
	sandboxes_boot(w); /* the zygote has room for a question */
}

static void sandbox_on_ready(struct warden *w, struct sandbox *sb)
{
	source_close(w->epoll, &sb->report);
	if (sb->state != SANDBOX_PREPARING)
		return;
	sandbox_enter(&w->sandboxes, sb, SANDBOX_READY);
	if (sb->has_ask)
		sandbox_take_up(w, sb);
}

/* The runtime runs: the router gets copies of the listeners. */
static void sandbox_on_live(struct warden *w, struct sandbox *sb)
{
	struct spawned_frame frame = { { FRAME_SPAWNED, 0, sb->ask.head.ticket },
		{ sb->slot, sb->generation }, sb->zygote == ZYGOTE_EXEC ? START_EXEC : START_FORK,
		0 };
	int fds[] = { fcntl(sb->listeners[0], F_DUPFD_CLOEXEC, 0),
		fcntl(sb->listeners[1], F_DUPFD_CLOEXEC, 0),
		fcntl(sb->cell.memory_fd, F_DUPFD_CLOEXEC, 0),
		fd_take(&sb->cell.leaf.memory_stat) };

	if (fds[0] < 0 || fds[1] < 0 || fds[2] < 0 || fds[3] < 0) {
		for (size_t i = 0; i < ARRAY_LEN(fds); i++)
			fd_close(&fds[i]);
		sandbox_fail(w, sb, "report", EMFILE);
		return;
	}
	sb->was_live = true;
	log_debug("sandbox_started", LOG_U64("slot", sb->slot), LOG_U64("zygote", sb->zygote),
		LOG_U64("ms", clock_mono_ms() - sb->since_ms));
	sandbox_enter(&w->sandboxes, sb, SANDBOX_LIVE);
	fd_close(&sb->env);
	fd_close(&sb->log);
	fd_close(&sb->image);
	cgroup_leaf_close(&sb->cell.leaf);
	gate_tell(w, &frame, sizeof(frame), fds, ARRAY_LEN(fds));
}

static void sandbox_on_note(struct warden *w, struct sandbox *sb, struct note *note, int fds[])
{
	note->step[sizeof(note->step) - 1] = '\0';
	cradle_empty(&w->cradles, &sb->cradle); /* who speaks has been born */
	switch (note->kind) {
	case NOTE_LISTENERS:
		for (size_t i = 0; i < SANDBOX_LISTENERS; i++) {
			fd_close(&sb->listeners[i]);
			sb->listeners[i] = fd_take(&fds[i]);
		}
		fd_close(&sb->network);
		sb->network = fd_take(&fds[SANDBOX_LISTENERS]);
		break;
	case NOTE_FAILED:
		sandbox_blame(sb, note->step, note->value);
		sb->is_again |= !sb->is_started; /* what was to be started is not to blame */
		break;
	case NOTE_READY:
		sandbox_on_ready(w, sb);
		break;
	case NOTE_BORN:
		sandbox_on_born(w, sb, &fds[0]);
		break;
	case NOTE_STARTED:
		sb->is_started = true;
		break;
	default: /* it is our own image that speaks, and says nothing else */
		log_error("sandbox_note_unknown", LOG_U64("kind", note->kind));
	}
}

/* Nobody holds the other end any more: what was to be exec'ed has been, or who spoke is dead. */
static void sandbox_on_silence(struct warden *w, struct sandbox *sb)
{
	source_close(w->epoll, &sb->report);
	if (sb->state == SANDBOX_LIVE)
		graft_end(w, sb, sb->is_started ? 0 : sb->step[0] ? (int)sb->error : ECHILD);
	else if (sb->state == SANDBOX_BOOTING && sb->runtime.fd < 0 && !sb->has_status) {
		sb->is_again = true;
		sandbox_fail(w, sb, "zygote", ECHILD);
	} else if (sb->state == SANDBOX_BOOTING && sb->is_started && !sb->step[0])
		sandbox_on_live(w, sb);
}

/* Read one note: false when there is none, for now or for ever. */
static bool sandbox_read_note(struct warden *w, struct sandbox *sb)
{
	struct note note;
	int fds[SANDBOX_LISTENERS + 1] = { -1, -1, -1 };
	size_t len, count;

	int r = sb->report.fd < 0
		? -EAGAIN
		: fd_receive(sb->report.fd, &note, sizeof(note), &len, fds, ARRAY_LEN(fds), &count);
	if (r == -EAGAIN)
		return false;
	if (r < 0 || len != sizeof(note)) {
		sandbox_on_silence(w, sb);
		return false;
	}
	sandbox_on_note(w, sb, &note, fds);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fd_close(&fds[i]);
	return true;
}

static void sandbox_on_report(void *context, struct source *report)
{
	struct warden *w = context;
	(void)sandbox_read_note(w, list_entry(report, struct sandbox, report));
}

/* ---- the beginning: what all have in common ---- */

/* Begin a life in a free slot; has_ask says whether somebody waits for it. */
static int sandbox_prepare(struct warden *w, struct sandbox *sb)
{
	scoped_fd ours = -1, theirs = -1;
	struct birth birth = { .cells = &w->cells,
		.cell = &sb->cell,
		.gone = sandbox_on_gone,
		.cradles = &w->cradles,
		.jail = { .kind = JAIL_INIT,
			.uid = w->boot->sandbox_uid + sb->slot,
			.parent = w->self,
			.filter = &w->filters[FILTER_INIT],
			.null = w->null,
			.data_dir = w->boot->data_dir,
			.mould = w->mould } };

	sb->network = birth.jail.network = sb->is_again ? -1 : network_take(&w->sandboxes);
	sb->is_started = sb->is_again = sb->has_status = false;
	sb->tries++;
	sb->was_live = sb->was_killed = sb->is_forgotten = false;
	sandbox_blame(sb, "", 0);
	(void)snprintf(birth.cgroup, sizeof(birth.cgroup), "s%u", sb->slot);
	int r = child_channel(&ours, &theirs);
	if (r == 0)
		r = source_open(w->epoll, &sb->report, fd_take(&ours), sandbox_on_report);
	birth.jail.report = theirs;
	if (r == 0)
		r = birth_begin(&birth, &sb->cradle);
	if (r < 0) {
		source_close(w->epoll, &sb->report);
		fd_close(&sb->network);
		return err_pass(r);
	}
	sb->generation++;
	sandbox_enter(&w->sandboxes, sb, SANDBOX_PREPARING);
	return 0;
}

/* ---- the beginning: what makes it a function's ---- */

/* The limits of its cgroup. Initialisation has what CPU there is. */
static int sandbox_limit(struct sandbox *sb, bool is_held)
{
	const struct spawn_function *function = &sb->ask.function;
	const struct cgroup_limits limits = {
		.memory_bytes = (function->memory_mb + function->extra_mb) * MIB,
		.pids_max = PIDS_MAX,
		.cpu_mb = function->memory_mb,
		.is_cpu_strict = is_held && function->cpu_strict,
	};

	return err_pass(cell_limit(&sb->cell, &limits));
}

/* Ask a zygote to send somebody into the sandbox, whose notes we read from *ret_report. */
static int sandbox_ask_zygote(struct warden *w, const struct sandbox *sb, enum zygote_work work,
	const struct grafts *grafts, int *ret_report)
{
	static struct zygote_ask ask; /* large, and there is one thread */
	const struct cgroup_leaf *leaf = &sb->cell.leaf;
	const bool is_runtime = work != ZYGOTE_MOUNTER;
	scoped_fd ours = -1, theirs = -1;
	int fds[FD_PASS_MAX];
	size_t count = ZYGOTE_ASK_REST;

	int r = child_channel(&ours, &theirs);
	if (r < 0)
		return err_pass(r);
	ask = (struct zygote_ask){ .work = work,
		.uid = w->boot->sandbox_uid + sb->slot,
		.pack = sb->ask.pack,
		.tmp_mb = sb->ask.function.has_code ? sb->ask.function.tmp_mb : 0,
		.graft_count = grafts->count,
		.bind_count = grafts->bind_count,
		.has_image = is_runtime && sb->image >= 0 };
	fds[ZYGOTE_ASK_TARGET] = sb->cell.process.fd;
	fds[ZYGOTE_ASK_CGROUP] = is_runtime ? leaf->unified : w->null;
	fds[ZYGOTE_ASK_REPORT] = theirs;
	fds[ZYGOTE_ASK_ENV] = is_runtime ? sb->env : w->null;
	fds[ZYGOTE_ASK_LOG] = is_runtime ? sb->log : w->null;
	fds[ZYGOTE_ASK_IMAGE] = ask.has_image ? sb->image : w->null;
	for (int tree = 0; tree < CGROUP_TREES && is_runtime; tree++)
		if (leaf->joins[tree] >= 0) {
			fds[count++] = leaf->joins[tree];
			ask.join_count++;
		}
	for (uint32_t i = 0; i < grafts->count; i++) {
		fds[count++] = grafts->trees[i];
		memcpy(ask.graft_paths[i], grafts->paths[i], PACK_PATH_MAX);
	}
	r = zygote_ask(w, is_runtime ? sb->zygote : ZYGOTE_EXEC, &ask, fds, count);
	if (r == 0)
		*ret_report = fd_take(&ours);
	return r == -EAGAIN ? r : err_pass(r);
}

/* Limits, code, and who puts it there: 0; -EAGAIN when no zygote takes the question now; or a fault. */
static int sandbox_send(struct warden *w, struct sandbox *sb, enum zygote_work work)
{
	static struct grafts grafts; /* large, and there is one thread */
	const struct pack_spec *pack = &w->boot->packs[sb->ask.pack];
	int report = -1;

	int r = sandbox_limit(sb, false);
	if (r < 0)
		return err_pass(r);
	r = grafts_make(w, &sb->ask.function, work == ZYGOTE_MOUNTER ? NULL : pack, &grafts);
	if (r < 0) {
		sandbox_blame(sb, grafts.step, -r);
		return err_pass(r);
	}
	r = sandbox_ask_zygote(w, sb, work, &grafts, &report);
	if (r == -EAGAIN && sb->zygote != ZYGOTE_EXEC && work == ZYGOTE_RUNTIME) {
		sb->zygote = ZYGOTE_EXEC;
		r = sandbox_ask_zygote(w, sb, work, &grafts, &report);
	}
	grafts_close(&grafts);
	if (r < 0)
		return r == -EAGAIN ? r : err_pass(r);
	sb->is_started = false; /* who is sent now has not */
	return err_pass(source_open(w->epoll, &sb->report, report, sandbox_on_report));
}

/* It is complete and somebody wants it: have its runtime started, if not now then soon. */
static void sandbox_boot(struct warden *w, struct sandbox *sb)
{
	assert(sb->has_ask && sb->state == SANDBOX_BOOTING && sb->report.fd < 0);
	sb->zygote = zygote_choose(w, &sb->ask);
	int r = sandbox_send(w, sb,
		sb->ask.start == START_RESTORE	       ? ZYGOTE_RESTORE
			: sb->ask.start == START_GUARD ? ZYGOTE_GUARD
						       : ZYGOTE_RUNTIME);
	if (r == -EAGAIN) {
		w->sandboxes.is_queueing = true;
	} else if (r < 0) {
		err_log(r, "starting a runtime");
		sandbox_fail(w, sb, "start", -r);
	}
}

static void sandbox_take_up(struct warden *w, struct sandbox *sb)
{
	sandbox_enter(&w->sandboxes, sb, SANDBOX_BOOTING);
	sandbox_boot(w, sb);
}

void sandboxes_boot(struct warden *w)
{
	if (!w->sandboxes.is_queueing)
		return;
	w->sandboxes.is_queueing = false;
	list_each(link, &w->sandboxes.booting) {
		struct sandbox *sb = list_entry(link, struct sandbox, link);
		if (sb->state == SANDBOX_BOOTING && sb->report.fd < 0 && sb->runtime.fd < 0 &&
			!w->sandboxes.is_queueing)
			sandbox_boot(w, sb);
	}
}

/* ---- what the router asks ---- */

static const char *function_check(const struct spawn_function *function)
{
	if (function->layer_count > FRAME_LAYERS_MAX || function->cpu_strict > 1 ||
		function->has_code > 1)
		return "a function with impossible choices";
	if (function->memory_mb < MEMORY_MB_MIN || function->memory_mb > MEMORY_MB_MAX ||
		function->tmp_mb < 1 || function->tmp_mb > TMP_MB_MAX ||
		function->extra_mb > EXTRA_MB_MAX)
		return "a function with impossible sizes";
	return NULL;
}

/* Why no router that works would ask this, or NULL. */
static const char *spawn_check(
	const struct warden *w, const struct spawn_frame *ask, const int fds[])
{
	struct stat st;
	const int sealed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;

	if (ask->reserved || ask->pack >= w->boot->pack_count || ask->network >= NETWORK_MODES ||
		ask->start >= START_MODES)
		return "a spawn with impossible choices";
	const char *reason = function_check(&ask->function);
	if (reason)
		return reason;
	int seals = fcntl(fds[0], F_GET_SEALS);
	if (seals < 0 || (seals & sealed) != sealed || fstat(fds[0], &st) < 0 ||
		st.st_size > ENV_BLOCK_MAX)
		return "an environment that is no sealed block";
	int flags = fcntl(fds[1], F_GETFL);
	if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) != O_WRONLY ||
		fstat(fds[1], &st) < 0 || !S_ISFIFO(st.st_mode))
		return "a log that is no pipe to write";
	bool is_guarded = ask->start == START_GUARD;
	if (ask->head.op == FRAME_SPAWN_IMAGE &&
		(fstat(fds[2], &st) < 0 ||
			!(is_guarded ? S_ISSOCK(st.st_mode) : S_ISREG(st.st_mode))))
		return "an image that is no file, or a guard's socket that is none";
	if (ask->head.op != FRAME_SPAWN_IMAGE && (is_guarded || ask->start == START_RESTORE))
		return "a restoration without an image, or a guard without a socket";
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

/* The free slot that is prepared soonest, of several the one that rested longest; or NULL. */
static struct list *sandboxes_free(struct sandboxes *table)
{
	return list_first(list_empty(&table->rested) ? &table->free : &table->rested);
}

/* One that is ready, or will be soonest; NULL when there is none. */
static struct sandbox *sandbox_take(struct warden *w)
{
	struct list *link = list_first(&w->sandboxes.spare);

	if (!link)
		link = sandboxes_free(&w->sandboxes);
	return link ? list_entry(link, struct sandbox, link) : NULL;
}

const char *sandbox_spawn(struct warden *w, const union frame *frame, int fds[])
{
	const char *reason = spawn_check(w, &frame->spawn, fds);
	if (reason)
		return reason;
	if (frame->spawn.network != NETWORK_ISOLATED) {
		spawn_refuse(w, frame, "network mode", EOPNOTSUPP);
		return NULL;
	}
	struct sandbox *sb = sandbox_take(w);
	if (!sb) { /* the router counts too, but a slot is free only when all of it is gone */
		spawn_refuse(w, frame, "slot", EAGAIN);
		return NULL;
	}
	int r = sb->state == SANDBOX_FREE ? sandbox_prepare(w, sb) : 0;
	if (r < 0) {
		err_log(r, "preparing a sandbox");
		spawn_refuse(w, frame, "start", -r);
		return NULL;
	}
	sb->has_ask = true;
	sb->ask = frame->spawn;
	sb->env = fd_take(&fds[0]);
	sb->log = fd_take(&fds[1]);
	if (sb->ask.head.op == FRAME_SPAWN_IMAGE)
		sb->image = fd_take(&fds[2]);
	w->sandboxes.prepare_ms = clock_mono_ms() + PREPARE_PAUSE_MS;
	if (sb->state == SANDBOX_READY)
		sandbox_take_up(w, sb);
	else
		sandbox_file(&w->sandboxes, sb);
	return NULL;
}

/* A sandbox that the handle names: NULL when it has ended; or why it cannot be, in *ret_reason. */
static struct sandbox *sandbox_find(
	struct warden *w, struct sandbox_handle handle, const char **ret_reason)
{
	*ret_reason = NULL;
	if (handle.slot >= w->boot->sandboxes_max) {
		*ret_reason = "a slot that does not exist";
		return NULL;
	}
	struct sandbox *sb = &w->sandboxes.slots[handle.slot];
	if (handle.generation == 0 || handle.generation > sb->generation ||
		(handle.generation == sb->generation && !sb->was_live)) {
		*ret_reason = "a sandbox that never was";
		return NULL;
	}
	return handle.generation == sb->generation && sb->state == SANDBOX_LIVE ? sb : NULL;
}

const char *sandbox_ask(struct warden *w, const union frame *frame, [[maybe_unused]] int fds[])
{
	const char *reason;

	struct sandbox *sb = sandbox_find(w, frame->sandbox.handle, &reason);
	if (!sb) /* it has ended, and the news is on its way */
		return reason;
	if (frame->head.op == FRAME_KILL) {
		sb->was_killed = !sb->has_status; /* it may have ended by itself just now */
		sandbox_kill(w, sb);
		return NULL;
	}
	if (frame->head.op == FRAME_TERMINATE) {
		child_terminate(sb->runtime.fd);
		return NULL;
	}
	/* What is frozen, or has a ceiling, may still be so when the next one comes. */
	sb->cell.is_marked |= frame->head.op == FRAME_FREEZE || sb->ask.function.cpu_strict;
	int r = frame->head.op == FRAME_HOLD
		? sandbox_limit(sb, true)
		: cgroup_freeze(&w->cgroups, sb->cell.name, frame->head.op == FRAME_FREEZE);
	if (r < 0)
		err_log(r, "freezing, thawing or holding a sandbox");
	return NULL;
}

/* ---- code for a runtime that runs already ---- */

static void graft_end(struct warden *w, struct sandbox *sb, int error)
{
	struct grafted_frame frame = { { FRAME_GRAFTED, 0, sb->graft_ticket },
		{ sb->slot, sb->generation }, (uint32_t)error, 0 };

	gate_tell(w, &frame, sizeof(frame), NULL, 0);
	if (error)
		sandbox_kill(w, sb);
}

const char *sandbox_graft(struct warden *w, const union frame *frame, [[maybe_unused]] int fds[])
{
	const char *reason = function_check(&frame->graft.function);
	if (reason || !frame->graft.function.has_code)
		return reason ? reason : "a graft of nothing";
	struct sandbox *sb = sandbox_find(w, frame->graft.handle, &reason);
	if (!sb)
		return reason;
	if (sb->ask.function.has_code)
		return "a second function in one sandbox";
	sb->ask.function = frame->graft.function;
	sb->graft_ticket = frame->head.ticket;
	int r = sandbox_send(w, sb, ZYGOTE_MOUNTER);
	if (r < 0) {
		err_log(r, "giving a sandbox its code");
		graft_end(w, sb, -r);
	}
	return NULL;
}

/* ---- all of them ---- */

static bool sandbox_has(const struct sandbox *sb, const uint8_t digest[static DIGEST_LEN])
{
	const struct spawn_function *function = &sb->ask.function;
	bool has = !memcmp(function->code, digest, DIGEST_LEN);

	for (uint32_t i = 0; i < function->layer_count; i++)
		has |= !memcmp(function->layers[i], digest, DIGEST_LEN);
	return has && sb->has_ask && function->has_code;
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
		if (sb->state == SANDBOX_FREE || !sb->has_ask)
			continue;
		sb->is_forgotten = true;
		sandbox_kill(w, sb);
	}
}

/* The oldest of a list that should not have any so old. */
static uint64_t booting_tick(struct warden *w, struct list *list, uint64_t now_ms)
{
	list_each(link, list) {
		struct sandbox *sb = list_entry(link, struct sandbox, link);
		if (sb->state == SANDBOX_READY)
			continue;
		if (now_ms < sb->since_ms + SANDBOX_BOOT_MS_MAX)
			return sb->since_ms + SANDBOX_BOOT_MS_MAX;
		log_error("sandbox_boot_too_slow", LOG_U64("slot", sb->slot));
		sandbox_fail(w, sb, "deadline", ETIMEDOUT);
	}
	return UINT64_MAX;
}

/* One more is prepared ahead, if some are missing and nobody is waiting for a start. */
static uint64_t prepare_tick(struct warden *w, uint64_t now_ms)
{
	struct sandboxes *table = &w->sandboxes;
	struct list *link = sandboxes_free(table);

	if (table->spare_count >= w->boot->prepared || !link || w->is_draining)
		return UINT64_MAX;
	if (now_ms < table->prepare_ms)
		return table->prepare_ms;
	int r = sandbox_prepare(w, list_entry(link, struct sandbox, link));
	if (r < 0) {
		err_log(r, "preparing a sandbox");
		table->prepare_ms = now_ms + 1000;
		return table->prepare_ms;
	}
	return table->spare_count < w->boot->prepared ? now_ms : UINT64_MAX;
}

uint64_t sandboxes_tick(struct warden *w, uint64_t now_ms)
{
	uint64_t due = booting_tick(w, &w->sandboxes.booting, now_ms);

	due = MIN(due, booting_tick(w, &w->sandboxes.spare, now_ms));
	return MIN(due, prepare_tick(w, now_ms));
}
