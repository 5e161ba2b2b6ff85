#include "os/loop.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/test.h"
#include "os/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What happened, in order, one letter each. */
static char story[4096];
static size_t story_len;
static struct loop *loop;

static void tell(char letter)
{
	if (story_len < sizeof(story) - 1)
		story[story_len++] = letter;
}

static void begin(void)
{
	memset(story, 0, sizeof(story));
	story_len = 0;
	if (loop_new(&loop) < 0)
		abort();
}

static void on_give_up(void *context)
{
	(void)context;
	FAIL("the loop slept");
	loop_stop(loop);
}

/* Runs the loop; a loop that is not stopped within 5 s fails the test. */
static void run(void)
{
	struct timer *timer;

	if (timer_new(loop, on_give_up, NULL, &timer) < 0)
		abort();
	timer_set(timer, 5000);
	loop_run(loop);
	timer_free(timer);
}

static void end(const char *want)
{
	loop_free(loop);
	CHECK_STR(str_of(story), str_of(want));
}

static void make_pair(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
}

struct teller {
	struct deferred deferred;
	struct message message;
	struct work work;
	struct teller *next;
	struct watch *watch;
	struct timer *timer;
	int fd;
	int times;
	char letter;
	bool stops;
};

static void teller_speak(struct teller *teller)
{
	tell(teller->letter);
	if (teller->stops)
		loop_stop(loop);
}

static void on_readable(void *context, unsigned events)
{
	struct teller *teller = context;
	char bytes[64];

	CHECK(events & WATCH_READ);
	ssize_t got = read(teller->fd, bytes, sizeof(bytes));
	if (got > 0)
		tell(bytes[0]);
	if (got <= 0 || bytes[0] == '.')
		loop_stop(loop);
}

static void test_a_readable_descriptor_is_reported_until_it_is_read(void)
{
	struct teller teller = {};
	int pair[2];

	begin();
	make_pair(pair);
	teller.fd = pair[0];
	CHECK(watch_new(loop, pair[0], WATCH_READ, on_readable, &teller, &teller.watch) == 0);
	CHECK(write(pair[1], "a", 1) == 1);
	fd_close(&pair[1]); /* the end of file is reported too */
	run();
	watch_free(teller.watch);
	fd_close(&pair[0]);
	end("a");
}

static void on_events(void *context, unsigned events)
{
	struct teller *teller = context;

	tell((char)('0' + events));
	if (++teller->times == 1)
		CHECK(watch_set(teller->watch, WATCH_READ | WATCH_WRITE) == 0);
	if (teller->times == 2)
		CHECK(watch_set(teller->watch, 0) == 0);
}

static void on_stop(void *context)
{
	(void)context;
	tell('s');
	loop_stop(loop);
}

static void test_only_what_is_watched_is_reported(void)
{
	struct teller teller = {};
	int pair[2];

	begin();
	make_pair(pair);
	CHECK(write(pair[1], "a", 1) == 1);
	CHECK(watch_new(loop, pair[0], WATCH_WRITE, on_events, &teller, &teller.watch) == 0);
	CHECK(timer_new(loop, on_stop, NULL, &teller.timer) == 0);
	timer_set(teller.timer, 30);
	run();
	watch_free(teller.watch);
	timer_free(teller.timer);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	end("23s");
}

static void on_error_events(void *context, unsigned events)
{
	struct teller *teller = context;

	tell((char)('0' + events));
	if (++teller->times == 3)
		loop_stop(loop);
}

static void test_an_error_is_both_events_for_as_long_as_it_lasts(void)
{
	struct teller teller = {};
	int ends[2];

	begin();
	CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	fd_close(&ends[0]); /* writing to nobody */
	CHECK(watch_new(loop, ends[1], WATCH_WRITE, on_error_events, &teller, &teller.watch) == 0);
	run();
	watch_free(teller.watch);
	fd_close(&ends[1]);
	end("333");
}

static void on_readable_free_other(void *context, unsigned events)
{
	struct teller *teller = context;

	(void)events;
	tell('a');
	watch_free(teller->next->watch);
	fd_close(&teller->next->fd);
	watch_free(teller->watch);
	fd_close(&teller->fd);
	loop_stop(loop);
}

/* Both are ready in one poll; whoever comes first frees both. */
static void test_a_freed_watch_is_never_called_again(void)
{
	struct teller one = {}, two = {};
	int first[2], second[2];

	begin();
	make_pair(first);
	make_pair(second);
	one = (struct teller){ .next = &two, .fd = first[0] };
	two = (struct teller){ .next = &one, .fd = second[0] };
	CHECK(watch_new(loop, one.fd, WATCH_READ, on_readable_free_other, &one, &one.watch) == 0);
	CHECK(watch_new(loop, two.fd, WATCH_READ, on_readable_free_other, &two, &two.watch) == 0);
	CHECK(write(first[1], "x", 1) == 1 && write(second[1], "x", 1) == 1);
	run();
	fd_close(&first[1]);
	fd_close(&second[1]);
	watch_free(NULL);
	end("a");
}

static void test_a_file_cannot_be_watched(void)
{
	struct watch *watch = NULL;
	scoped_fd fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	begin();
	CHECK(watch_new(loop, fd, WATCH_READ, on_readable, NULL, &watch) == -EPERM && !watch);
	end("");
}

static void on_timer(void *context)
{
	struct teller *teller = context;

	teller_speak(teller);
	if (--teller->times > 0)
		timer_set(teller->timer, 1);
}

static void test_timers_fire_once_in_the_order_of_their_time(void)
{
	struct teller tellers[] = { { .letter = 'c', .stops = true }, { .letter = 'a', .times = 2 },
		{ .letter = 'x' }, { .letter = 'b' } };
	static const uint64_t ms[] = { 40, 1, 2, 20 };

	begin();
	uint64_t before = clock_mono_ms();
	for (int i = 0; i < 4; i++) {
		CHECK(timer_new(loop, on_timer, &tellers[i], &tellers[i].timer) == 0);
		timer_set(tellers[i].timer, ms[i]);
	}
	timer_clear(tellers[2].timer);
	timer_set(tellers[0].timer, 30); /* again: the last time counts */
	run();
	CHECK(clock_mono_ms() - before >= 29 && loop_now_ms(loop) > 0);
	for (int i = 0; i < 4; i++)
		timer_free(tellers[i].timer);
	timer_free(NULL);
	end("aabc");
}

static void test_a_timer_counts_from_when_it_is_set(void)
{
	struct teller teller = { .letter = 'a', .stops = true };

	begin();
	CHECK(timer_new(loop, on_timer, &teller, &teller.timer) == 0);
	(void)usleep(30'000); /* the loop's own idea of now is old */
	uint64_t before = clock_mono_ms();
	timer_set(teller.timer, 20);
	run();
	CHECK(clock_mono_ms() - before >= 19);
	timer_free(teller.timer);
	end("a");
}

static void on_deferred(struct deferred *self)
{
	teller_speak(list_entry(self, struct teller, deferred));
}

static void on_deferred_again(struct deferred *self)
{
	struct teller *teller = list_entry(self, struct teller, deferred);

	if (--teller->times == 0)
		teller->stops = true;
	teller_speak(teller);
	if (teller->times > 0)
		loop_defer(loop, self);
}

static void on_readable_defer(void *context, unsigned events)
{
	struct teller *teller = context;
	char byte;

	(void)events;
	CHECK(read(teller->fd, &byte, 1) == 1);
	tell('r');
	loop_defer(loop, &teller->next->deferred);
	loop_defer(loop, &teller->next->deferred); /* twice is once */
}

static void test_deferred_tasks_run_after_all_ready_descriptors(void)
{
	struct teller task = { .deferred.run = on_deferred, .letter = 'd', .stops = true };
	struct teller tellers[3];
	int pairs[3][2];

	begin();
	for (int i = 0; i < 3; i++) {
		make_pair(pairs[i]);
		tellers[i] = (struct teller){ .next = &task, .fd = pairs[i][0] };
		CHECK(watch_new(loop, pairs[i][0], WATCH_READ, on_readable_defer, &tellers[i],
			      &tellers[i].watch) == 0);
		CHECK(write(pairs[i][1], "x", 1) == 1);
	}
	run();
	for (int i = 0; i < 3; i++) {
		watch_free(tellers[i].watch);
		fd_close(&pairs[i][0]);
		fd_close(&pairs[i][1]);
	}
	end("rrrd");
}

static void on_timer_defer(void *context)
{
	struct teller *teller = context;

	tell('t');
	loop_defer(loop, &teller->deferred);
}

static void test_a_task_deferred_by_a_timer_does_not_wait_for_a_descriptor(void)
{
	struct teller teller = { .deferred.run = on_deferred, .letter = 'd', .stops = true };

	begin();
	CHECK(timer_new(loop, on_timer_defer, &teller, &teller.timer) == 0);
	timer_set(teller.timer, 1);
	run();
	timer_free(teller.timer);
	end("td");
}

static void test_a_task_deferred_before_the_loop_runs_does_not_wait(void)
{
	struct teller teller = { .deferred.run = on_deferred, .letter = 'd', .stops = true };

	begin();
	loop_defer(loop, &teller.deferred);
	run();
	end("d");
}

static void test_a_task_may_defer_itself_and_descriptors_are_still_served(void)
{
	struct teller task = { .deferred.run = on_deferred_again, .letter = 'd', .times = 200 };
	struct teller reader = {};
	int pair[2];

	begin();
	make_pair(pair);
	reader.fd = pair[0];
	CHECK(watch_new(loop, pair[0], WATCH_READ, on_readable, &reader, &reader.watch) == 0);
	CHECK(write(pair[1], "a", 1) == 1);
	loop_defer(loop, &task.deferred);
	run();
	watch_free(reader.watch);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	loop_free(loop);
	ptrdiff_t at = str_find(str_of(story), 'a');
	CHECK(story_len == 201 && at >= 0 && at < 50); /* long before the last of the 200 */
}

/* Reads one byte, and is ready again at once. */
static void on_one_byte(void *context, unsigned events)
{
	struct teller *teller = context;
	char byte;

	(void)events;
	CHECK(read(teller->fd, &byte, 1) == 1);
	tell(byte);
}

static void on_calm_again(struct deferred *self)
{
	struct teller *teller = list_entry(self, struct teller, deferred);

	teller_speak(teller);
	if (--teller->times > 0)
		loop_defer_until_calm(loop, self);
	else
		loop_stop(loop);
}

static void test_calm_is_when_nothing_is_ready(void)
{
	struct teller task = { .deferred.run = on_calm_again, .letter = '-', .times = 3 };
	struct teller other = { .deferred.run = on_deferred, .letter = 'x' };
	struct teller reader = {};
	int pair[2];

	begin();
	make_pair(pair);
	reader.fd = pair[0];
	CHECK(watch_new(loop, pair[0], WATCH_READ, on_one_byte, &reader, &reader.watch) == 0);
	CHECK(write(pair[1], "abcdefgh", 8) == 8);
	loop_defer_until_calm(loop, &other.deferred);
	loop_defer_until_calm(loop, &task.deferred);
	loop_defer_until_calm(loop, &task.deferred); /* twice is once */
	loop_defer_cancel(&other.deferred);
	run();
	watch_free(reader.watch);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	end("abcdefgh---");
}

static void test_who_waits_for_calm_does_not_sleep(void)
{
	struct teller task = { .deferred.run = on_calm_again, .letter = '-', .times = 1 };

	begin();
	loop_defer_until_calm(loop, &task.deferred);
	run();
	end("-");
}

static void on_deferred_cancel(struct deferred *self)
{
	struct teller *teller = list_entry(self, struct teller, deferred);

	teller_speak(teller);
	loop_defer_cancel(&teller->next->deferred);
}

static void test_a_cancelled_task_does_not_run(void)
{
	struct teller tellers[] = {
		{ .deferred.run = on_deferred, .letter = 'x' },
		{ .deferred.run = on_deferred_cancel, .letter = 'a', .next = &tellers[2] },
		{ .deferred.run = on_deferred, .letter = 'y' },
		{ .deferred.run = on_deferred, .letter = 'b', .stops = true },
	};

	begin();
	for (int i = 0; i < 4; i++)
		loop_defer(loop, &tellers[i].deferred);
	loop_defer_cancel(&tellers[0].deferred);
	loop_defer_cancel(&tellers[0].deferred); /* not in any more: nothing */
	run();
	end("ab");
}

enum { SENDERS = 4, MESSAGES = 2000 };

struct counted {
	struct message message;
	int sender, number;
};

static int next_number[SENDERS];
static int messages_seen;

static void on_counted(struct message *self)
{
	struct counted *counted = (struct counted *)self;

	CHECK(counted->number == next_number[counted->sender]);
	next_number[counted->sender]++;
	mem_free(counted);
	if (++messages_seen == SENDERS * MESSAGES)
		loop_stop(loop);
}

static void *send_messages(void *context)
{
	int sender = (int)(intptr_t)context;

	for (int i = 0; i < MESSAGES; i++) {
		struct counted *counted = mem_one(struct counted);
		if (!counted)
			abort();
		*counted = (struct counted){ { .run = on_counted }, sender, i };
		loop_post(loop, &counted->message);
	}
	return NULL;
}

static void test_messages_of_a_thread_arrive_in_order(void)
{
	pthread_t threads[SENDERS];

	begin();
	messages_seen = 0;
	memset(next_number, 0, sizeof(next_number));
	for (int i = 0; i < SENDERS; i++) {
		if (pthread_create(&threads[i], NULL, send_messages, (void *)(intptr_t)i))
			abort();
	}
	run();
	for (int i = 0; i < SENDERS; i++)
		(void)pthread_join(threads[i], NULL);
	CHECK(messages_seen == SENDERS * MESSAGES);
	end("");
}

static void on_message(struct message *self)
{
	struct teller *teller = list_entry(self, struct teller, message);

	teller_speak(teller);
	if (teller->next)
		loop_post(loop, &teller->next->message);
}

static void test_a_message_handler_may_post(void)
{
	struct teller second = { .message.run = on_message, .letter = 'b', .stops = true };
	struct teller first = { .message.run = on_message, .letter = 'a', .next = &second };

	begin();
	loop_post(loop, &first.message);
	run();
	end("ab");
}

static pthread_t worker;
static atomic_int works_run;

static void on_work(struct work *self)
{
	(void)self;
	atomic_fetch_add(&works_run, 1);
}

static void on_work_tell_thread(struct work *self)
{
	worker = pthread_self();
	on_work(self);
}

static void on_work_done(struct work *self)
{
	CHECK(self->loop == loop);
	teller_speak(list_entry(self, struct teller, work));
}

static void test_work_runs_elsewhere_and_is_done_here(void)
{
	struct teller teller = { .work = { .run = on_work_tell_thread, .done = on_work_done },
		.letter = 'w',
		.stops = true };

	begin();
	works_run = 0;
	CHECK(loop_work_pending(loop) == 0);
	CHECK(loop_work(loop, &teller.work) == 0);
	CHECK(loop_work_pending(loop) == 1);
	run();
	CHECK(loop_work_pending(loop) == 0 && works_run == 1);
	CHECK(!pthread_equal(worker, pthread_self()));
	end("w");
}

static int works_left;

static void on_one_of_many_done(struct work *self)
{
	(void)self;
	CHECK(loop_work_pending(loop) == (unsigned)(works_left - 1));
	if (--works_left == 0)
		loop_stop(loop);
}

static void test_more_work_than_threads_is_all_done(void)
{
	struct work works[100];

	begin();
	works_left = 100;
	works_run = 0;
	for (int i = 0; i < 100; i++) {
		works[i] = (struct work){ .run = on_work, .done = on_one_of_many_done };
		CHECK(loop_work(loop, &works[i]) == 0);
	}
	run();
	CHECK(works_left == 0 && works_run == 100);
	end("");
}

static struct promise asked;

static void on_answer(struct message *self)
{
	(void)self;
	tell('m');
	promise_keep(&asked);
}

static void on_work_ask(struct work *self)
{
	struct teller *teller = list_entry(self, struct teller, work);

	loop_post(loop, &teller->message);
	promise_wait(&asked);
}

static void test_a_worker_asks_the_loop_and_waits_for_its_promise(void)
{
	struct teller teller = { .work = { .run = on_work_ask, .done = on_work_done },
		.message.run = on_answer,
		.letter = 'd',
		.stops = true };

	begin();
	promise_init(&asked);
	CHECK(loop_work(loop, &teller.work) == 0);
	run();
	end("md");
}

static void on_signal(void *context, int number)
{
	CHECK(context == story);
	tell(number == SIGTERM ? 'T' : number == SIGHUP ? 'H' : '?');
	if (number == SIGTERM)
		loop_stop(loop);
	else
		(void)raise(SIGTERM);
}

static void test_signals_arrive_on_the_loop(void)
{
	begin();
	CHECK(loop_on_signal(loop, SIGTERM, on_signal, story) == 0);
	CHECK(loop_on_signal(loop, SIGHUP, on_signal, story) == 0);
	(void)raise(SIGHUP);
	run();
	end("HT");
}

static void test_a_loop_may_stop_and_run_again(void)
{
	struct teller teller = { .message.run = on_message, .letter = 'a', .stops = true };

	begin();
	for (int i = 0; i < 3; i++) {
		loop_post(loop, &teller.message);
		run();
	}
	end("aaa");
}

/* Everything that allocates, once each; -ENOMEM as soon as one does not get it. */
static int use_everything(const int pair[2])
{
	struct teller teller = { .work = { .run = on_work, .done = on_work_done }, .stops = true };
	struct loop *made;
	int r = loop_new(&made);

	if (r < 0)
		return r;
	loop = made;
	r = watch_new(loop, pair[0], WATCH_READ, on_readable, &teller, &teller.watch);
	if (r == 0)
		r = timer_new(loop, on_timer, &teller, &teller.timer);
	if (r == 0)
		r = loop_on_signal(loop, SIGHUP, on_signal, story);
	if (r == 0)
		r = loop_work(loop, &teller.work);
	if (r == 0)
		loop_run(loop);
	watch_free(teller.watch);
	timer_free(teller.timer);
	loop_free(loop);
	return r;
}

static void test_survives_every_failed_allocation(void)
{
	int pair[2];

	make_pair(pair);
	for (int nth = 1; nth < 20; nth++) {
		fault_countdown = nth;
		int r = use_everything(pair);
		bool reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(r == (reached ? -ENOMEM : 0));
		if (!reached) {
			CHECK(nth == 6); /* loop, watch, timer, signal, work: five */
			fd_close(&pair[0]);
			fd_close(&pair[1]);
			return;
		}
	}
	FAIL("never succeeded");
}

TESTS(TEST(test_a_readable_descriptor_is_reported_until_it_is_read),
	TEST(test_only_what_is_watched_is_reported),
	TEST(test_an_error_is_both_events_for_as_long_as_it_lasts),
	TEST(test_a_freed_watch_is_never_called_again), TEST(test_a_file_cannot_be_watched),
	TEST(test_timers_fire_once_in_the_order_of_their_time),
	TEST(test_a_timer_counts_from_when_it_is_set),
	TEST(test_deferred_tasks_run_after_all_ready_descriptors),
	TEST(test_a_task_deferred_by_a_timer_does_not_wait_for_a_descriptor),
	TEST(test_a_task_deferred_before_the_loop_runs_does_not_wait),
	TEST(test_a_task_may_defer_itself_and_descriptors_are_still_served),
	TEST(test_calm_is_when_nothing_is_ready), TEST(test_who_waits_for_calm_does_not_sleep),
	TEST(test_a_cancelled_task_does_not_run), TEST(test_messages_of_a_thread_arrive_in_order),
	TEST(test_a_message_handler_may_post), TEST(test_work_runs_elsewhere_and_is_done_here),
	TEST(test_more_work_than_threads_is_all_done),
	TEST(test_a_worker_asks_the_loop_and_waits_for_its_promise),
	TEST(test_signals_arrive_on_the_loop), TEST(test_a_loop_may_stop_and_run_again),
	TEST(test_survives_every_failed_allocation))
