/*
 * A promise is one futex word: 0 until it is kept. The keeper touches nothing after it has
 * set the word but the word's address in the wake-up, which the kernel only compares: so the
 * waiter may free the promise as soon as it sees it kept.
 */
#include "os/loop.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static void promise_futex(struct promise *promise, int operation, uint32_t value)
{
	(void)syscall(SYS_futex, &promise->kept, operation, value, NULL, NULL, 0);
}

void promise_init(struct promise *promise)
{
	atomic_init(&promise->kept, 0);
}

void promise_wait(struct promise *promise)
{
	/* Woken for nothing, by a signal, or kept before we slept: the word decides. */
	while (atomic_load_explicit(&promise->kept, memory_order_acquire) == 0)
		promise_futex(promise, FUTEX_WAIT_PRIVATE, 0);
}

void promise_keep(struct promise *promise)
{
	atomic_store_explicit(&promise->kept, 1, memory_order_release);
	promise_futex(promise, FUTEX_WAKE_PRIVATE, INT_MAX);
}
