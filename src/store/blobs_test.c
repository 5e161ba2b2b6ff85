#include "store/blobs.h"

#include "base/attr.h"
#include "base/test.h"
#include "os/fd.h"
#include "wire/digest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static struct blobs *open_fresh(void)
{
	struct blobs *blobs = NULL;
	(void)snprintf(folder, sizeof(folder), "/tmp/blobs_test.XXXXXX");
	CHECK(mkdtemp(folder) && chdir(folder) == 0);
	CHECK(blobs_open("zips", &blobs) == 0);
	return blobs;
}

/* Remove what is left: only folders, when all blobs are gone. */
static void close_fresh(struct blobs *blobs)
{
	CHECK(blobs_wipe(blobs) == 0);
	blobs_close(blobs);
	for (unsigned i = 0; i < 256; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "zips/%02x", i);
		(void)rmdir(name);
	}
	CHECK(rmdir("zips/tmp") == 0 && rmdir("zips") == 0); /* nothing is left behind */
	CHECK(chdir("/") == 0 && rmdir(folder) == 0);
}

/* An unnamed file with these bytes, `times` over. */
static int file_of(str bytes, size_t times)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	CHECK(fd >= 0);
	for (size_t i = 0; i < times; i++)
		CHECK(fd_write_all(fd, bytes) == 0);
	return fd;
}

static size_t count_entries(const char *path)
{
	size_t count = 0;
	DIR *dir = opendir(path);
	CHECK(dir);
	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count - 2;
}

/* SHA-256 of "abc", from FIPS 180-2. */
static const uint8_t abc[32] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
	0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10,
	0xff, 0x61, 0xf2, 0x00, 0x15, 0xad };
#define ABC_PATH "zips/ba/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void put_abc(struct blobs *blobs)
{
	uint8_t digest[32] = {};
	uint64_t size = 0;
	scoped_fd fd = file_of(S("abc"), 1);
	CHECK(blobs_put(blobs, fd, digest, &size) == 0);
	CHECK(memcmp(digest, abc, 32) == 0 && size == 3);
}

static void test_a_blob_is_found_by_its_digest(void)
{
	struct blobs *blobs = open_fresh();
	char got[8];
	size_t len = 0;
	uint64_t size = 0;
	scoped_fd fd = -1;

	CHECK(blobs_get(blobs, abc, &fd, &size) == BLOBS_ABSENT);
	put_abc(blobs);
	CHECK(blobs_get(blobs, abc, &fd, &size) == BLOBS_DONE && size == 3);
	CHECK(fd_read_all(fd, got, sizeof(got), &len) == 0); /* from its start */
	CHECK_STR(((str){ got, len }), S("abc"));
	CHECK(access(ABC_PATH, F_OK) == 0);
	CHECK(count_entries("zips/tmp") == 0);
	close_fresh(blobs);
}

static void test_the_source_is_read_from_its_start_and_not_moved(void)
{
	struct blobs *blobs = open_fresh();
	uint8_t digest[32];
	uint64_t size;
	scoped_fd fd = file_of(S("abc"), 1);

	CHECK(lseek(fd, 2, SEEK_SET) == 2);
	CHECK(blobs_put(blobs, fd, digest, &size) == 0);
	CHECK(memcmp(digest, abc, 32) == 0);
	CHECK(lseek(fd, 0, SEEK_CUR) == 2);
	close_fresh(blobs);
}

static void test_putting_it_again_is_done(void)
{
	struct blobs *blobs = open_fresh();
	put_abc(blobs);
	put_abc(blobs);
	CHECK(count_entries("zips/ba") == 1);
	blobs_close(blobs);
	CHECK(blobs_open("zips", &blobs) == 0); /* and another process finds it */
	put_abc(blobs);
	CHECK(count_entries("zips/ba") == 1);
	close_fresh(blobs);
}

static void test_an_empty_and_a_large_one_are_kept(void)
{
	struct blobs *blobs = open_fresh();
	static const size_t times[] = { 0, 1, 8192, 8193, 100'000 };

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		uint8_t digest[32];
		uint64_t size = 1;
		scoped_fd fd = file_of(S("01234567"), times[i]);
		scoped_fd back = -1;
		CHECK(blobs_put(blobs, fd, digest, &size) == 0 && size == 8 * times[i]);
		CHECK(blobs_get(blobs, digest, &back, &size) == BLOBS_DONE && size == 8 * times[i]);
	}
	close_fresh(blobs);
}

static void test_rot_is_noticed_and_cured_by_putting_it_again(void)
{
	struct blobs *blobs = open_fresh();
	uint64_t size;
	scoped_fd fd = -1;

	put_abc(blobs);
	scoped_fd rot = open(ABC_PATH, O_WRONLY);
	CHECK(rot >= 0 && write(rot, "X", 1) == 1);
	CHECK(blobs_get(blobs, abc, &fd, &size) == -EUCLEAN && fd == -1);
	put_abc(blobs);
	CHECK(blobs_get(blobs, abc, &fd, &size) == BLOBS_DONE);
	close_fresh(blobs);
}

static void test_what_is_dropped_is_gone(void)
{
	struct blobs *blobs = open_fresh();
	uint64_t size;
	scoped_fd fd = -1;

	put_abc(blobs);
	CHECK(blobs_drop(blobs, abc) == BLOBS_DONE);
	CHECK(blobs_drop(blobs, abc) == BLOBS_ABSENT);
	CHECK(blobs_get(blobs, abc, &fd, &size) == BLOBS_ABSENT);
	put_abc(blobs);
	CHECK(blobs_wipe(blobs) == 0);
	CHECK(blobs_get(blobs, abc, &fd, &size) == BLOBS_ABSENT);
	close_fresh(blobs);
}

static void test_a_disk_that_takes_no_more_leaves_nothing_behind(void)
{
	struct blobs *blobs = open_fresh();
	struct rlimit small = { 64 * 1024, RLIM_INFINITY };
	struct rlimit old;
	uint8_t digest[32];
	uint64_t size;

	scoped_fd fd = file_of(S("01234567"), 40'000);
	CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	CHECK(blobs_put(blobs, fd, digest, &size) == -EFBIG);
	CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
	CHECK(count_entries("zips/tmp") == 0 && count_entries("zips") == 1);
	CHECK(blobs_put(blobs, fd, digest, &size) == 0);
	close_fresh(blobs);
}

static void test_leavings_of_a_killed_writer_go_at_the_next_open(void)
{
	struct blobs *blobs = open_fresh();

	blobs_close(blobs);
	int fd = open("zips/tmp/half", O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0);
	close(fd);
	CHECK(blobs_open("zips", &blobs) == 0);
	CHECK(count_entries("zips/tmp") == 0);
	close_fresh(blobs);
}

static _Noreturn void put_until_killed(int acks)
{
	struct blobs *blobs;
	if (blobs_open("zips", &blobs) < 0)
		_exit(1);
	for (uint32_t n = 0;; n++) {
		uint8_t digest[32];
		uint64_t size;
		scoped_fd fd = file_of((str){ (const char *)&n, sizeof(n) }, 5000);
		if (blobs_put(blobs, fd, digest, &size) < 0 || write(acks, digest, 32) != 32)
			_exit(1);
	}
}

static void test_what_was_acknowledged_survives_kill_9(void)
{
	struct blobs *blobs = open_fresh();

	for (int round = 0; round < 10; round++) {
		int ends[2];
		uint8_t digest[32];

		CHECK(pipe2(ends, O_CLOEXEC) == 0);
		pid_t child = fork();
		if (child == 0)
			put_until_killed(ends[1]);
		close(ends[1]);
		CHECK(read(ends[0], digest, 32) == 32);
		usleep((useconds_t)round * 700);
		CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
		do {
			scoped_fd fd = -1;
			uint64_t size = 0;
			CHECK(blobs_get(blobs, digest, &fd, &size) == BLOBS_DONE && size == 20'000);
		} while (read(ends[0], digest, 32) == 32);
		close(ends[0]);
	}
	blobs_close(blobs);
	CHECK(blobs_open("zips", &blobs) == 0); /* empties what the last one left */
	close_fresh(blobs);
}

/* The kernel tells once that a file could not be written. */
static void test_what_could_not_be_synced_is_not_kept_by_trying_again(void)
{
	struct blobs *blobs = open_fresh();
	scoped_fd fd = file_of(S("abc"), 1);
	struct blob_draft draft;
	int ends[2];

	CHECK(blobs_draft(blobs, fd, &draft) == 0);
	int file = dup(draft.fd);
	CHECK(pipe(ends) == 0 && dup2(ends[1], draft.fd) == draft.fd); /* fsync(2): EINVAL */
	CHECK(blobs_sync(&draft) == -EINVAL);
	CHECK(dup2(file, draft.fd) == draft.fd && fsync(draft.fd) == 0);
	CHECK(blobs_keep(&draft) == -EINVAL);
	blobs_draft_done(&draft);
	close(file);
	close(ends[0]);
	close(ends[1]);
	scoped_fd none = -1;
	uint64_t size;
	CHECK(blobs_get(blobs, abc, &none, &size) == BLOBS_ABSENT);
	close_fresh(blobs);
}

TESTS(TEST(test_a_blob_is_found_by_its_digest),
	TEST(test_the_source_is_read_from_its_start_and_not_moved),
	TEST(test_putting_it_again_is_done), TEST(test_an_empty_and_a_large_one_are_kept),
	TEST(test_rot_is_noticed_and_cured_by_putting_it_again), TEST(test_what_is_dropped_is_gone),
	TEST(test_a_disk_that_takes_no_more_leaves_nothing_behind),
	TEST(test_leavings_of_a_killed_writer_go_at_the_next_open),
	TEST(test_what_was_acknowledged_survives_kill_9),
	TEST(test_what_could_not_be_synced_is_not_kept_by_trying_again))
