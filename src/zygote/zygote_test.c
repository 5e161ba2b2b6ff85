#include "zygote/zygote.h"

#include "base/attr.h"
#include "base/test.h"
#include "init/init.h"
#include "os/child.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static int null_fd;

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Ask a zygote `len` bytes of a question with so many descriptors: what zygote_next() says. */
static int next(const struct zygote_ask *ask, size_t len, size_t fd_count, int report)
{
	scoped_fd ours = -1, theirs = -1;
	struct zygote_birth birth;
	int fds[FD_PASS_MAX];

	CHECK(child_channel(&ours, &theirs) == 0);
	for (size_t i = 0; i < fd_count; i++)
		fds[i] = i == ZYGOTE_ASK_REPORT && report >= 0 ? report : null_fd;
	CHECK(fd_send(ours, ask, len, fds, fd_count) == 0);
	return zygote_next(&(struct zygote){ .socket = theirs, .null = null_fd }, &birth);
}

static size_t size_with(uint32_t grafts)
{
	return offsetof(struct zygote_ask, graft_paths) + grafts * PACK_PATH_MAX;
}

static void a_question_that_no_warden_asks_ends_the_zygote(void)
{
	struct zygote_ask ask = { .join_count = 1, .graft_count = 2, .bind_count = 1 };
	const size_t size = size_with(2), fds = ZYGOTE_ASK_REST + 1 + 2;
	int before = count_fds();

	CHECK(next(&ask, 1, fds, -1) == -EPROTO);
	CHECK(next(&ask, size - 1, fds, -1) == -EPROTO);
	CHECK(next(&ask, size + PACK_PATH_MAX, fds, -1) == -EPROTO);
	CHECK(next(&ask, size, fds - 1, -1) == -EPROTO);
	CHECK(next(&ask, size, fds + 1, -1) == -EPROTO);
	CHECK(next(&ask, size, 0, -1) == -EPROTO);
	ask.bind_count = 3; /* of two */
	CHECK(next(&ask, size, fds, -1) == -EPROTO);
	ask = (struct zygote_ask){ .join_count = ZYGOTE_JOINS_MAX + 1 };
	CHECK(next(&ask, size_with(0), ZYGOTE_ASK_REST + ZYGOTE_JOINS_MAX + 1, -1) == -EPROTO);
	ask = (struct zygote_ask){ .graft_count = GRAFTS_MAX + 1 };
	CHECK(next(&ask, sizeof(ask), ZYGOTE_ASK_REST + 1, -1) == -EPROTO);
	ask = (struct zygote_ask){ .graft_count = UINT32_MAX };
	CHECK(next(&ask, sizeof(ask), ZYGOTE_ASK_REST, -1) == -EPROTO);
	CHECK(count_fds() == before); /* what came with them is closed */
}

static void a_fork_that_fails_is_told_and_the_zygote_goes_on(void)
{
	const struct zygote_ask ask = {};
	int before = count_fds();
	scoped_fd ours = -1, theirs = -1;
	struct note note = {};
	size_t len = 0, count;

	CHECK(child_channel(&ours, &theirs) == 0);
	CHECK(next(&ask, size_with(0), ZYGOTE_ASK_REST, theirs) == 1); /* /dev/null is no process */
	fd_close(&theirs);
	CHECK(fd_receive(ours, &note, sizeof(note), &len, NULL, 0, &count) == 0);
	CHECK(len == sizeof(note) && note.kind == NOTE_FAILED && note.value == EINVAL);
	CHECK(strcmp(note.step, "fork") == 0);
	CHECK(fd_receive(ours, &note, sizeof(note), &len, NULL, 0, &count) == -EPIPE);
	fd_close(&ours);
	CHECK(count_fds() == before);
}

static void without_a_warden_there_is_nothing_to_do(void)
{
	scoped_fd ours = -1, theirs = -1;
	struct zygote_birth birth;

	CHECK(child_channel(&ours, &theirs) == 0);
	fd_close(&ours);
	CHECK(zygote_next(&(struct zygote){ .socket = theirs, .null = null_fd }, &birth) == -EPIPE);
}

int main(void)
{
	static const struct test_case tests[] = {
		TEST(a_question_that_no_warden_asks_ends_the_zygote),
		TEST(a_fork_that_fails_is_told_and_the_zygote_goes_on),
		TEST(without_a_warden_there_is_nothing_to_do),
	};

	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return test_main(tests, ARRAY_LEN(tests));
}
