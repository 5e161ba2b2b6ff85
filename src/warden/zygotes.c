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
#include "warden/warden.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BACKOFF_MS_MIN = 100, BACKOFF_MS_MAX = 30'000, SWEEP_MS = 200 };

static const struct pack_spec *zygote_pack(const struct warden *w, const struct zygote_slot *slot)
{
	assert(slot->number >= ZYGOTE_PACKS);
	return &w->boot->packs[slot->number - ZYGOTE_PACKS];
}

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
	int kept[] = { socket, w->self, w->null };
	struct zygote zygote = { socket, w->self, w->null, &w->filters[FILTER_SANDBOX] };

	child_keep_fds(kept, ARRAY_LEN(kept));
	scoped_fd score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (score < 0 || write(score, "500", 3) < 0 || child_die_with_parent(w->self) < 0 ||
		zygote_tell_ready(&zygote) < 0)
		_exit(1);
	fd_close(&score);
	zygote_run(&zygote, w->boot->packs);
}

/* The environment of an interpreter that is a zygote. Returns the count, without the NULL. */
static size_t zygote_fill_env(const struct pack_spec *pack, char *to[], size_t max)
{
	size_t count = 0;

	to[count++] = (char *)"MAYFLY_ZYGOTE=1";
	to[count++] = (char *)"LD_PRELOAD=" ZYGOTE_LIBRARY;
	for (size_t at = 0; at < pack->env_len && count < max; at += strlen(pack->env + at) + 1)
		to[count++] = (char *)pack->env + at;
	to[count] = NULL;
	return count;
}

static _Noreturn void zygote_become_interpreter(
	const struct warden *w, const struct zygote_slot *slot, const int joins[], int socket)
{
	const struct pack_spec *pack = zygote_pack(w, slot);
	char *argv[PACK_ARGV_MAX + 1] = {}, *envp[66], library[PACK_PATH_MAX + 32];
	struct jail jail = {
		.kind = JAIL_ZYGOTE,
		.parent = w->self,
		.joins = joins,
		.null = w->null,
		.report = socket,
		.data_dir = w->boot->data_dir,
		.pack = pack,
		.socket = socket,
		.filter_file = w->zygotes.filter_file,
		.library = library,
	};

	(void)snprintf(library, sizeof(library), "%s/mayfly-zygote.so", w->boot->libexec_dir);
	if (lseek(jail.filter_file, 0, SEEK_SET) < 0 || jail_enter(&jail) < 0)
		_exit(127);
	for (uint32_t i = 0; i < pack->argc[0]; i++)
		argv[i] = (char *)pack->argv[0][i];
	(void)zygote_fill_env(pack, envp, ARRAY_LEN(envp) - 1);
	execve(argv[0], argv, envp);
	note_failure(jail.report, "exec", errno);
	_exit(127);
}

/* ---- what they say ---- */

static bool zygote_receive(struct warden *w, struct zygote_slot *slot)
{
	union {
		struct zygote_answer answer;
		struct note note;
	} said;
	size_t len, fd_count = 0;
	int pidfd = -1;

	int r = fd_receive(slot->socket.fd, &said, sizeof(said), &len, &pidfd, 1, &fd_count);
	if (r == -EAGAIN)
		return false;
	if (r < 0) { /* its end: its cell tells the rest */
		source_close(w->epoll, &slot->socket);
		slot->is_ready = false;
		return false;
	}
	if (len == sizeof(said.note)) {
		said.note.step[sizeof(said.note.step) - 1] = '\0';
		log_error("zygote_jail_failed", LOG_U64("zygote", slot->number),
			LOG_TEXT("step", said.note.step), LOG_ERRNO("error", said.note.value));
	} else if (said.answer.slot == ZYGOTE_SLOT_READY) {
		slot->is_ready = true;
		slot->backoff_ms = 0;
	} else {
		sandbox_on_answer(w, &said.answer, fd_take(&pidfd));
	}
	fd_close(&pidfd);
	return true;
}

static void zygote_on_answer(void *context, struct source *socket)
{
	struct warden *w = context;
	(void)zygote_receive(w, list_entry(socket, struct zygote_slot, socket));
}

static void zygote_on_gone(void *context, struct cell *cell)
{
	struct warden *w = context;
	struct zygote_slot *slot = list_entry(cell, struct zygote_slot, cell);

	while (slot->socket.fd >= 0 && zygote_receive(w, slot)) /* what it still said */
		continue;
	source_close(w->epoll, &slot->socket);
	slot->is_ready = false;
	log_warn("zygote_ended", LOG_U64("zygote", slot->number),
		LOG_U64("status", (unsigned)cell->status));
	slot->restart_ms = clock_mono_ms() + slot->backoff_ms;
	slot->backoff_ms = MIN(
		MAX(2 * slot->backoff_ms, (uint32_t)BACKOFF_MS_MIN), (uint32_t)BACKOFF_MS_MAX);
	sandboxes_lose_zygote(w, slot->number);
	w->zygotes.sweep_ms = clock_mono_ms() + SWEEP_MS;
}

/*
 * A child that a zygote forked just before it died, without having told us, is ours all the same:
 * if nobody collects it, its pid namespace never ends. By now all that we know of are collected.
 */
static uint64_t zygotes_sweep(struct warden *w, uint64_t now_ms)
{
	if (!w->zygotes.sweep_ms)
		return UINT64_MAX;
	if (now_ms < w->zygotes.sweep_ms)
		return w->zygotes.sweep_ms;
	w->zygotes.sweep_ms = 0;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		log_warn("orphan_collected");
	return UINT64_MAX;
}

static int zygote_start(struct warden *w, struct zygote_slot *slot)
{
	char name[CGROUP_NAME_MAX];
	const struct cell_how how = {
		.cgroup = name, .process = "mayfly-zygote", .gone = zygote_on_gone
	};
	int joins[CGROUP_TREES];
	scoped_fd ours = -1, theirs = -1;

	(void)snprintf(name, sizeof(name), "z%u", slot->number);
	int r = child_channel(&ours, &theirs);
	if (r < 0)
		return err_pass(r);
	r = cell_start(&w->cells, &slot->cell, &how, joins);
	if (r == 0 && slot->number == ZYGOTE_EXEC)
		zygote_become_exec(w, theirs);
	if (r == 0)
		zygote_become_interpreter(w, slot, joins, theirs);
	if (r < 0)
		return err_pass(r);
	r = source_open(w->epoll, &slot->socket, fd_take(&ours), zygote_on_answer);
	if (r < 0) {
		cell_kill(&slot->cell);
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

	if (slot->socket.fd < 0)
		return err_raise(-ENOTCONN);
	int r = fd_send(slot->socket.fd, ask, sizeof(*ask), fds, fd_count);
	return r == -EAGAIN ? err_raise(r) : err_pass(r);
}
