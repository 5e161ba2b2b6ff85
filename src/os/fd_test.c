#include "os/fd.h"

#include "base/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* How many descriptors this process has: a test that leaks one sees it here. */
static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		(void)closedir(dir);
	return count;
}

/* A connected pair of non-blocking SOCK_SEQPACKET sockets. */
static void make_pair(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
}

static void close_pair(int pair[2])
{
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_a_scope_closes_what_was_not_taken(void)
{
	int inside, taken;
	{
		scoped_fd closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
		scoped_fd kept = open("/dev/null", O_RDONLY | O_CLOEXEC);
		inside = closed;
		taken = fd_take(&kept);
		CHECK(kept == -1 && is_open(inside) && is_open(taken));
		errno = ENOTTY;
	}
	CHECK(errno == ENOTTY);
	CHECK(!is_open(inside) && is_open(taken));
	fd_close(&taken);
	CHECK(taken == -1);
	fd_close(&taken); /* nothing to do */
}

static void test_all_is_written_and_read_in_pieces(void)
{
	int ends[2];
	char bytes[1000], got[1001];
	size_t len;

	memset(bytes, 'x', sizeof(bytes));
	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	CHECK(fd_write_all(ends[1], (str){ bytes, sizeof(bytes) }) == 0);
	CHECK(fd_write_all(ends[1], (str){}) == 0);
	CHECK(fd_read_all(ends[0], got, 300, &len) == 0 && len == 300); /* no more than asked */
	fd_close(&ends[1]);
	CHECK(fd_read_all(ends[0], got, sizeof(got), &len) == 0 && len == 700);
	CHECK(fd_read_all(ends[0], got, sizeof(got), &len) == 0 && len == 0);
	fd_close(&ends[0]);
	len = 99;
	CHECK(fd_read_all(-1, got, 1, &len) == -EBADF && len == 99);
	CHECK(fd_write_all(-1, S("x")) == -EBADF);
}

static void test_nonblocking_is_set_and_cleared(void)
{
	int ends[2];
	char byte;
	size_t len;

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	CHECK(fd_set_nonblock(ends[0], true) == 0 && fd_set_nonblock(ends[0], true) == 0);
	CHECK(fd_read_all(ends[0], &byte, 1, &len) == -EAGAIN);
	CHECK(fd_set_nonblock(ends[0], false) == 0);
	CHECK((fcntl(ends[0], F_GETFL) & O_NONBLOCK) == 0);
	close_pair(ends);
	CHECK(fd_set_nonblock(-1, true) == -EBADF);
}

static void test_a_message_brings_its_descriptors(void)
{
	int before = count_fds();
	int pair[2], sent[FD_PASS_MAX], got[FD_PASS_MAX];
	size_t len, count;
	char bytes[16];

	make_pair(pair);
	for (int i = 0; i < FD_PASS_MAX; i++)
		sent[i] = memfd_create("passed", MFD_CLOEXEC);
	for (size_t some = 0; some <= FD_PASS_MAX; some++) {
		CHECK(fd_send(pair[0], "frame", 5, sent, some) == 0);
		CHECK(fd_receive(pair[1], bytes, sizeof(bytes), &len, got, FD_PASS_MAX, &count) ==
			0);
		CHECK(len == 5 && memcmp(bytes, "frame", 5) == 0 && count == some);
		for (size_t i = 0; i < count; i++) {
			struct stat a, b;
			CHECK(fstat(sent[i], &a) == 0 && fstat(got[i], &b) == 0);
			CHECK(a.st_ino == b.st_ino && sent[i] != got[i]);
			CHECK(fcntl(got[i], F_GETFD) == FD_CLOEXEC);
			fd_close(&got[i]);
		}
	}
	for (int i = 0; i < FD_PASS_MAX; i++)
		fd_close(&sent[i]);
	close_pair(pair);
	CHECK(count_fds() == before);
}

static void test_messages_keep_their_borders_and_order(void)
{
	int pair[2];
	size_t len, count;
	char bytes[16];

	make_pair(pair);
	CHECK(fd_send(pair[0], "one", 3, NULL, 0) == 0 &&
		fd_send(pair[0], "three", 5, NULL, 0) == 0);
	CHECK(fd_receive(pair[1], bytes, sizeof(bytes), &len, NULL, 0, &count) == 0 && len == 3);
	CHECK(fd_receive(pair[1], bytes, sizeof(bytes), &len, NULL, 0, &count) == 0 && len == 5);
	CHECK(fd_receive(pair[1], bytes, sizeof(bytes), &len, NULL, 0, &count) == -EAGAIN);
	fd_close(&pair[0]);
	CHECK(fd_receive(pair[1], bytes, sizeof(bytes), &len, NULL, 0, &count) == -EPIPE);
	CHECK(fd_send(pair[1], "late", 4, NULL, 0) == -EPIPE); /* and no SIGPIPE */
	fd_close(&pair[1]);
}

static void test_a_peer_that_left_bytes_unread_is_the_end_of_file(void)
{
	int pair[2];
	size_t len, count;
	char bytes[16];

	make_pair(pair);
	CHECK(fd_send(pair[1], "unread", 6, NULL, 0) == 0);
	fd_close(&pair[0]);
	CHECK(fd_receive(pair[1], bytes, sizeof(bytes), &len, NULL, 0, &count) == -EPIPE);
	fd_close(&pair[1]);
}

static void test_a_full_queue_says_so(void)
{
	static char frame[4096];
	int pair[2], r = 0, sent = 0;

	make_pair(pair);
	while (r == 0 && sent++ < 100'000)
		r = fd_send(pair[0], frame, sizeof(frame), NULL, 0);
	CHECK(r == -EAGAIN);
	close_pair(pair);
}

/* A refused message must not leave its descriptors behind. */
static void test_what_does_not_fit_is_refused_and_closed(void)
{
	int pair[2], sent[3], got[3] = { -1, -1, -1 };
	size_t len = 99, count = 99;
	char bytes[4];

	make_pair(pair);
	for (int i = 0; i < 3; i++)
		sent[i] = memfd_create("passed", MFD_CLOEXEC);
	int before = count_fds();
	CHECK(fd_send(pair[0], "12345", 5, sent, 3) == 0);
	CHECK(fd_receive(pair[1], bytes, sizeof(bytes), &len, got, 3, &count) == -EMSGSIZE);
	CHECK(fd_send(pair[0], "1234", 4, sent, 3) == 0);
	CHECK(fd_receive(pair[1], bytes, sizeof(bytes), &len, got, 2, &count) == -EMSGSIZE);
	CHECK(len == 99 && count == 99 && got[0] == -1);
	CHECK(count_fds() == before);
	for (int i = 0; i < 3; i++)
		fd_close(&sent[i]);
	close_pair(pair);
}

/* More descriptors than we ever send: the kernel itself cuts them off. */
static void test_more_descriptors_than_the_most_are_refused(void)
{
	enum { MANY = FD_PASS_MAX + 5 };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(MANY * sizeof(int))];
	} control = {};
	struct iovec part = { (void *)"x", 1 };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.bytes) };
	int pair[2], fds[MANY], got[FD_PASS_MAX];
	size_t len, count;
	char byte;

	make_pair(pair);
	int before = count_fds();
	for (int i = 0; i < MANY; i++)
		fds[i] = pair[0];
	control.head = (struct cmsghdr){ CMSG_LEN(sizeof(fds)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.head), fds, sizeof(fds));
	CHECK(sendmsg(pair[0], &message, 0) == 1);
	CHECK(fd_receive(pair[1], &byte, 1, &len, got, FD_PASS_MAX, &count) == -EMSGSIZE);
	CHECK(count_fds() == before);
	close_pair(pair);
}

static void test_a_sealed_file_can_be_read_and_never_changed(void)
{
	scoped_fd fd = -1;
	char got[16];
	size_t len;

	CHECK(fd_sealed("boot", S("settings"), &fd) == 0);
	CHECK(fd_read_all(fd, got, sizeof(got), &len) == 0);
	CHECK_STR(((str){ got, len }), S("settings"));
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM);
	CHECK(pwrite(fd, "x", 1, 100) < 0 && errno == EPERM);
	CHECK(ftruncate(fd, 0) < 0 && errno == EPERM);
	CHECK(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
}

static void test_what_a_file_has_is_copied_once(void)
{
	char path[] = "/tmp/fd_testXXXXXX", got[10'000];
	scoped_fd file = mkstemp(path), fd = -1, copy = -1;
	size_t len;
	int before = count_fds();

	for (size_t size = 0; size <= 8193;
		size += 4096 + (size == 4096)) { /* at borders of its steps */
		CHECK(ftruncate(file, (off_t)size) == 0);
		CHECK(pwrite(file, "begin", size ? 5 : 0, 0) >= 0);
		CHECK(fd_sealed_file(path, 8193, &fd, &copy) == 0);
		CHECK(pwrite(file, "other", 5, 0) == 5); /* not seen any more */
		CHECK(fd_read_all(copy, got, sizeof(got), &len) == 0 && len == size);
		CHECK(!size || memcmp(got, "begin", 5) == 0);
		CHECK(lseek(fd, 0, SEEK_CUR) == (off_t)size && pwrite(fd, "x", 1, 0) < 0);
		CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == FD_CLOEXEC);
		fd_close(&fd);
		fd_close(&copy);
	}
	CHECK(fd_sealed_file(path, 8192, &fd, &copy) == -EFBIG);
	CHECK(fd_sealed_file("/dev/null", 10, &fd, &copy) == -EINVAL);
	CHECK(fd_sealed_file("/tmp", 10, &fd, &copy) == -EINVAL);
	CHECK(unlink(path) == 0);
	CHECK(fd_sealed_file(path, 10, &fd, &copy) == -ENOENT);
	CHECK(mkfifo(path, 0600) == 0); /* nobody is waited for */
	CHECK(fd_sealed_file(path, 10, &fd, &copy) == -EINVAL && fd == -1 && copy == -1);
	CHECK(unlink(path) == 0);
	CHECK(count_fds() == before);
}

TESTS(TEST(test_a_scope_closes_what_was_not_taken), TEST(test_all_is_written_and_read_in_pieces),
	TEST(test_nonblocking_is_set_and_cleared), TEST(test_a_message_brings_its_descriptors),
	TEST(test_messages_keep_their_borders_and_order),
	TEST(test_a_peer_that_left_bytes_unread_is_the_end_of_file),
	TEST(test_a_full_queue_says_so), TEST(test_what_does_not_fit_is_refused_and_closed),
	TEST(test_more_descriptors_than_the_most_are_refused),
	TEST(test_a_sealed_file_can_be_read_and_never_changed),
	TEST(test_what_a_file_has_is_copied_once))
