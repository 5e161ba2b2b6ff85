/*
 * The loop is libuv's, used for readiness only: handlers read and write themselves.
 *
 * One iteration, in libuv's order:
 *
 *     timers -> idle -> prepare: deferred tasks -> poll: ready descriptors, messages,
 *     finished work, signals -> check: deferred tasks -> closed handles are freed
 *
 * System calls: one epoll_wait an iteration, and what the handlers do. Arming timers,
 * deferring, and watching the same events as before cost none; a message or a finished work
 * costs one eventfd write and read, however many come at once.
 *
 * Deferred tasks run right after the poll phase. Those deferred elsewhere (by a timer, or
 * before loop_run) run in `prepare`, so that no poll can sleep on them. Tasks that defer
 * others are served in the same go for a few rounds, which saves an epoll_wait each; beyond
 * that the idle handle makes the next poll return at once, so that a task which defers
 * itself for ever cannot starve the descriptors. The same handle lets a poll return at once while
 * tasks wait for calm: one that found nothing is when they run.
 *
 * Messages: a lock-free stack that any thread pushes onto and the loop takes whole and turns
 * round, which keeps each thread's order. Who pushes onto the empty stack rings the bell.
 *
 * A handle's memory is freed in libuv's close callback, after the iteration in which its
 * owner let go of it: until then libuv still has it in its queues.
 */
#include "os/loop.h"

#include "base/err.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <uv.h>

enum { LOOP_DEFER_ROUNDS = 8 };

struct loop {
	uv_loop_t uv;
	uv_async_t bell;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle;
	struct list deferred;
	struct list calm; /* deferred until a poll finds nothing */
	struct list signals;
	_Atomic(struct message *) inbox; /* newest first */
	unsigned work_pending;
	unsigned handles; /* watches and timers that are not freed */
	bool is_running;
	bool is_busy; /* the last poll has found something */
};

struct watch {
	uv_poll_t poll;
	struct loop *loop;
	watch_fn *on_ready;
	void *context;
	unsigned events;
};

struct timer {
	uv_timer_t timer;
	struct loop *loop;
	timer_fn *on_time;
	void *context;
};

struct loop_signal {
	uv_signal_t signal;
	struct list link;
	signal_fn *on_signal;
	void *context;
};

struct loop_job {
	uv_work_t request;
	struct work *work;
};

/* libuv's error codes on Linux are negative errnos already. */
static int loop_raise(int result)
{
	return result < 0 ? err_raise(result) : 0;
}

static void loop_on_idle(uv_idle_t *idle)
{
	(void)idle; /* being active is what it does: the poll does not sleep */
}

/* Everything that is in the list now; what these tasks defer comes in the next round. */
static void loop_run_round(struct list *tasks)
{
	struct list round;

	list_init(&round);
	while (!list_empty(tasks)) {
		struct list *link = list_first(tasks);
		list_remove(link);
		list_push_back(&round, link);
	}
	while (!list_empty(&round)) { /* a task may cancel another one of the same round */
		struct deferred *task = list_entry(list_first(&round), struct deferred, link);
		list_remove(&task->link);
		task->run(task);
	}
}

static void loop_run_deferred(struct loop *loop)
{
	for (int i = 0; i < LOOP_DEFER_ROUNDS && !list_empty(&loop->deferred); i++)
		loop_run_round(&loop->deferred);
	if (list_empty(&loop->deferred) && list_empty(&loop->calm))
		(void)uv_idle_stop(&loop->idle);
	else
		(void)uv_idle_start(&loop->idle, loop_on_idle);
}

static void loop_on_prepare(uv_prepare_t *prepare)
{
	struct loop *loop = prepare->data;

	loop_run_deferred(loop);
	loop->is_busy = false;
}

static void loop_on_check(uv_check_t *check)
{
	struct loop *loop = check->data;

	if (!loop->is_busy)
		loop_run_round(&loop->calm);
	loop_run_deferred(loop);
}

/* The inbox as a chain, the oldest first. */
static struct message *loop_take_messages(struct loop *loop)
{
	struct message *newest = atomic_exchange_explicit(&loop->inbox, NULL, memory_order_acquire);
	struct message *oldest = NULL;

	while (newest) {
		struct message *next = newest->next;
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

static void loop_on_bell(uv_async_t *bell)
{
	struct loop *loop = bell->data;
	struct message *message = loop_take_messages(loop);

	loop->is_busy = true;
	while (message) {
		struct message *next = message->next; /* run() may free it */
		message->run(message);
		message = next;
	}
}

/* The handles of the loop itself. None of these can fail but the bell (it needs an eventfd). */
static int loop_start_handles(struct loop *loop)
{
	int r = uv_async_init(&loop->uv, &loop->bell, loop_on_bell);
	if (r < 0)
		return err_raise(r);
	(void)uv_prepare_init(&loop->uv, &loop->prepare);
	(void)uv_check_init(&loop->uv, &loop->check);
	(void)uv_idle_init(&loop->uv, &loop->idle);
	loop->bell.data = loop->prepare.data = loop->check.data = loop;
	(void)uv_prepare_start(&loop->prepare, loop_on_prepare);
	(void)uv_check_start(&loop->check, loop_on_check);
	return 0;
}

int loop_new(struct loop **ret_loop)
{
	struct loop *loop = mem_one(struct loop);
	if (!loop)
		return err_raise(-ENOMEM);
	list_init(&loop->deferred);
	list_init(&loop->calm);
	list_init(&loop->signals);
	int r = loop_raise(uv_loop_init(&loop->uv));
	if (r < 0) {
		mem_free(loop);
		return err_pass(r);
	}
	r = loop_start_handles(loop);
	if (r < 0) {
		(void)uv_loop_close(&loop->uv);
		mem_free(loop);
		return err_pass(r);
	}

	*ret_loop = loop;
	return 0;
}

static void loop_on_signal_closed(uv_handle_t *handle)
{
	mem_free(handle->data);
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	assert(!loop->is_running && loop->handles == 0 && loop->work_pending == 0);
	list_each(link, &loop->signals) {
		struct loop_signal *signal = list_entry(link, struct loop_signal, link);
		uv_close((uv_handle_t *)&signal->signal, loop_on_signal_closed);
	}
	uv_close((uv_handle_t *)&loop->bell, NULL);
	uv_close((uv_handle_t *)&loop->prepare, NULL);
	uv_close((uv_handle_t *)&loop->check, NULL);
	uv_close((uv_handle_t *)&loop->idle, NULL);
	(void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* runs the close callbacks */
	int r = uv_loop_close(&loop->uv);
	assert(r == 0);
	(void)r;
	mem_free(loop);
}

void loop_run(struct loop *loop)
{
	assert(!loop->is_running);
	loop->is_running = true;
	(void)uv_run(&loop->uv, UV_RUN_DEFAULT);
	loop->is_running = false;
}

void loop_stop(struct loop *loop)
{
	uv_stop(&loop->uv);
}

uint64_t loop_now_ms(const struct loop *loop)
{
	return uv_now(&loop->uv);
}

static void watch_on_poll(uv_poll_t *poll, int status, int events);

static int watch_start(struct watch *watch)
{
	int events = (watch->events & WATCH_READ ? UV_READABLE : 0) |
		(watch->events & WATCH_WRITE ? UV_WRITABLE : 0);

	return uv_poll_start(&watch->poll, events, watch_on_poll);
}

static void watch_on_poll(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	unsigned ready = (events & UV_READABLE ? WATCH_READ : 0) |
		(events & UV_WRITABLE ? WATCH_WRITE : 0);

	if (status < 0) {
		/* libuv stops polling a descriptor with an error: level-triggered means go on. */
		ready = WATCH_READ | WATCH_WRITE;
		(void)watch_start(watch);
	}
	watch->loop->is_busy = true;
	watch->on_ready(watch->context, ready);
}

int watch_new(struct loop *loop, int fd, unsigned events, watch_fn *on_ready, void *context,
	struct watch **ret_watch)
{
	assert(on_ready && (events & ~(unsigned)(WATCH_READ | WATCH_WRITE)) == 0);
	struct watch *watch = mem_one(struct watch);
	if (!watch)
		return err_raise(-ENOMEM);
	*watch = (struct watch){
		.loop = loop,
		.on_ready = on_ready,
		.context = context,
		.events = events,
	};
	int r = uv_poll_init(&loop->uv, &watch->poll, fd);
	if (r < 0) {
		mem_free(watch);
		return err_raise(r);
	}
	watch->poll.data = watch;
	loop->handles++;
	r = watch_start(watch);
	if (r < 0) {
		watch_free(watch);
		return err_raise(r);
	}

	*ret_watch = watch;
	return 0;
}

int watch_set(struct watch *watch, unsigned events)
{
	assert((events & ~(unsigned)(WATCH_READ | WATCH_WRITE)) == 0);
	if (events == watch->events)
		return 0;
	watch->events = events;
	return loop_raise(watch_start(watch));
}

static void watch_on_closed(uv_handle_t *handle)
{
	mem_free(handle->data);
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	assert(watch->loop->handles > 0);
	watch->loop->handles--;
	uv_close((uv_handle_t *)&watch->poll, watch_on_closed);
}

static void timer_on_time(uv_timer_t *handle)
{
	struct timer *timer = handle->data;

	timer->on_time(timer->context);
}

int timer_new(struct loop *loop, timer_fn *on_time, void *context, struct timer **ret_timer)
{
	assert(on_time);
	struct timer *timer = mem_one(struct timer);
	if (!timer)
		return err_raise(-ENOMEM);
	timer->loop = loop;
	timer->on_time = on_time;
	timer->context = context;
	(void)uv_timer_init(&loop->uv, &timer->timer); /* never fails */
	timer->timer.data = timer;
	loop->handles++;

	*ret_timer = timer;
	return 0;
}

void timer_set(struct timer *timer, uint64_t ms)
{
	if (!timer->loop->is_running)
		uv_update_time(&timer->loop->uv); /* the time of the last iteration is long ago */
	(void)uv_timer_start(&timer->timer, timer_on_time, ms, 0);
}

void timer_clear(struct timer *timer)
{
	(void)uv_timer_stop(&timer->timer);
}

static void timer_on_closed(uv_handle_t *handle)
{
	mem_free(handle->data);
}

void timer_free(struct timer *timer)
{
	if (!timer)
		return;
	assert(timer->loop->handles > 0);
	timer->loop->handles--;
	uv_close((uv_handle_t *)&timer->timer, timer_on_closed);
}

void loop_defer(struct loop *loop, struct deferred *task)
{
	assert(task->run);
	if (!list_linked(&task->link))
		list_push_back(&loop->deferred, &task->link);
}

void loop_defer_until_calm(struct loop *loop, struct deferred *task)
{
	assert(task->run);
	if (!list_linked(&task->link))
		list_push_back(&loop->calm, &task->link);
}

void loop_defer_cancel(struct deferred *task)
{
	list_remove(&task->link);
}

void loop_post(struct loop *loop, struct message *message)
{
	assert(message->run);
	struct message *newest = atomic_load_explicit(&loop->inbox, memory_order_relaxed);

	do
		message->next = newest;
	while (!atomic_compare_exchange_weak_explicit(
		&loop->inbox, &newest, message, memory_order_release, memory_order_relaxed));
	if (!newest)
		(void)uv_async_send(&loop->bell);
}

static void loop_on_work(uv_work_t *request)
{
	struct loop_job *job = request->data;

	job->work->run(job->work);
}

static void loop_on_worked(uv_work_t *request, int status)
{
	struct loop_job *job = request->data;
	struct work *work = job->work;

	assert(status == 0); /* nobody cancels */
	(void)status;
	assert(work->loop->work_pending > 0);
	work->loop->work_pending--;
	work->loop->is_busy = true;
	work->internal = NULL;
	mem_free(job);
	work->done(work);
}

int loop_work(struct loop *loop, struct work *work)
{
	assert(work->run && work->done);
	struct loop_job *job = mem_one(struct loop_job);
	if (!job)
		return err_raise(-ENOMEM);
	job->work = work;
	job->request.data = job;
	work->loop = loop;
	work->internal = job;
	loop->work_pending++;
	int r = uv_queue_work(&loop->uv, &job->request, loop_on_work, loop_on_worked);
	assert(r == 0); /* it refuses a missing callback only */
	(void)r;
	return 0;
}

unsigned loop_work_pending(const struct loop *loop)
{
	return loop->work_pending;
}

static void loop_on_uv_signal(uv_signal_t *handle, int number)
{
	struct loop_signal *signal = handle->data;

	signal->on_signal(signal->context, number);
}

int loop_on_signal(struct loop *loop, int number, signal_fn *on_signal, void *context)
{
	assert(on_signal);
	struct loop_signal *signal = mem_one(struct loop_signal);
	if (!signal)
		return err_raise(-ENOMEM);
	signal->on_signal = on_signal;
	signal->context = context;
	int r = uv_signal_init(&loop->uv, &signal->signal);
	if (r < 0) {
		mem_free(signal);
		return err_raise(r);
	}
	signal->signal.data = signal;
	list_push_back(&loop->signals, &signal->link);
	return loop_raise(uv_signal_start(&signal->signal, loop_on_uv_signal, number));
}
