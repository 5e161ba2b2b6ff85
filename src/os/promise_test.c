#include "base/test.h"
#include "os/loop.h"

#include <pthread.h>
#include <unistd.h>

struct answer {
	struct promise promise;
	int value;
	unsigned delay_us;
};

static void *answer_late(void *context)
{
	struct answer *answer = context;

	(void)usleep(answer->delay_us);
	answer->value = 42;
	promise_keep(&answer->promise);
	return NULL;
}

static void check_answer(unsigned delay_us)
{
	struct answer answer = { .delay_us = delay_us };
	pthread_t thread;

	promise_init(&answer.promise);
	if (pthread_create(&thread, NULL, answer_late, &answer)) {
		FAIL("no thread");
		return;
	}
	promise_wait(&answer.promise);
	CHECK(answer.value == 42);
	(void)pthread_join(thread, NULL);
}

static void test_the_waiter_sees_what_was_written_before_the_promise_was_kept(void)
{
	check_answer(20'000);
	for (unsigned i = 0; i < 50; i++)
		check_answer(i);
}

static void test_a_kept_promise_does_not_wait(void)
{
	struct promise promise;

	promise_init(&promise);
	promise_keep(&promise);
	promise_wait(&promise);
	promise_wait(&promise);
	CHECK(promise.kept == 1);
}

TESTS(TEST(test_the_waiter_sees_what_was_written_before_the_promise_was_kept),
	TEST(test_a_kept_promise_does_not_wait))
