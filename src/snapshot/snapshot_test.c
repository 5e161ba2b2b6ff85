/*
 * Processes that save themselves, restored by the real program (MAYFLY_RESTORE). A test is played by
 * a victim, a process with state of all kinds, which is saved and ends; and by its restored copies,
 * which look at their state and end with 0 if it is right.
 */
#include "snapshot/snapshot.h"

#include "snapshot/image.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { IMAGE_AT = 6, BIG = 3 << 20, GO_ON = 1 << 20, CRASHED = 1000 };

static int written = 41;
static char untouched[BIG];
static const char *const constant = "constant";
static _Thread_local int own = 7;
static volatile sig_atomic_t signals;

static int image_new(void)
{
	return memfd_create("image", MFD_CLOEXEC);
}

/* How a process ended: its status, or CRASHED + signal. */
static int wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : CRASHED + WTERMSIG(status);
}

/* Descriptor `fd` is to be `target`, and no other above 2 is to be open. */
static void keep_only(int fd, int target)
{
	if (fd != target)
		(void)dup2(fd, target);
	(void)close_range(3, (unsigned)target - 1, 0);
	(void)close_range((unsigned)target + 1, ~0U, 0);
}

/* A victim: *ret_saved what snapshot_fork() answered there, restored copies end with check(). */
struct victim {
	void (*prepare)(void);
	int (*check)(void);
	uint64_t bytes_max;
	bool keeps_descriptors;
};

static int victim_run(const struct victim *victim, int image)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		if (!victim->keeps_descriptors) {
			keep_only(image, IMAGE_AT);
			image = IMAGE_AT;
		}
		if (victim->prepare)
			victim->prepare();
		const struct snapshot_how how = { image, victim->bytes_max, fork };
		pid_t r = snapshot_fork(&how);
		if (r == 0)
			_exit(victim->check());
		_exit(r < 0 ? -r : 0);
	}
	return wait_for(pid);
}

static pid_t restore_start(int image, int output)
{
	pid_t pid = fork();
	if (pid == 0) {
		char *const argv[] = { (char *)"mayfly-restore", NULL };
		(void)signal(SIGUSR2, SIG_IGN); /* as it may be inherited */
		if (output >= 0) {
			(void)dup2(output, STDOUT_FILENO);
			(void)dup2(output, STDERR_FILENO);
		}
		keep_only(image, IMAGE_AT);
		(void)fcntl(IMAGE_AT, F_SETFD, 0);
		execv(getenv("MAYFLY_RESTORE"), argv);
		_exit(126);
	}
	return pid;
}

static char said[4096];

/* Restore, with what it says in `said`: how it ended. */
static int restore(int image)
{
	int output = memfd_create("output", MFD_CLOEXEC);

	int status = wait_for(restore_start(image, output));
	ssize_t len = pread(output, said, sizeof(said) - 1, 0);
	said[len > 0 ? len : 0] = '\0';
	(void)close(output);
	return status;
}

/* What stays of a process */

static struct {
	char *small, *large, *mapped, *reserved, *shared, *wiped;
	uint64_t stack_place;
	pid_t pid;
	long page;
} kept;

static void on_signal([[maybe_unused]] int signal)
{
	signals++;
}

static char *map_new(size_t len, int prot, int flags)
{
	return mmap(NULL, len, prot, MAP_ANONYMOUS | flags, -1, 0);
}

static void prepare_all(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	sigset_t blocked;

	written = 42;
	own = 8;
	untouched[BIG / 2] = 'x';
	kept.small = memcpy(mem_new(100, 1), "small", 6);
	kept.large = memset(mem_new(BIG, 1), 'l', BIG);
	kept.mapped = memset(map_new(BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE), 'm', BIG / 2);
	kept.reserved = map_new(1ULL << 40, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
	kept.shared = memset(map_new(BIG, PROT_READ | PROT_WRITE, MAP_SHARED), 's', BIG / 2);
	kept.wiped = memset(map_new(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE), 'w', 4096);
	(void)madvise(kept.wiped, 4096, MADV_WIPEONFORK);
	(void)mprotect(kept.mapped, 4096, PROT_NONE);
	(void)sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGHUP);
	(void)sigprocmask(SIG_SETMASK, &blocked, NULL);
	(void)prctl(PR_SET_NAME, "a victim");
	(void)umask(027);
	(void)!chdir("/usr");
	kept.pid = getpid();
}

#define RIGHT(condition)                                               \
	do {                                                           \
		if (!(condition)) {                                    \
			printf("line %d: %s\n", __LINE__, #condition); \
			fflush(stdout);                                \
			return 1;                                      \
		}                                                      \
	} while (0)

static int check_memory(void)
{
	RIGHT(written == 42 && own == 8 && untouched[BIG / 2] == 'x' && !untouched[BIG / 2 + 1]);
	RIGHT(strcmp(constant, "constant") == 0 && strcmp(kept.small, "small") == 0);
	RIGHT(kept.large[0] == 'l' && kept.large[BIG - 1] == 'l');
	(void)mprotect(kept.mapped, 4096, PROT_READ);
	RIGHT(kept.mapped[0] == 'm' && kept.mapped[BIG / 2 - 1] == 'm' && !kept.mapped[BIG / 2]);
	RIGHT(kept.shared[0] == 's' && !kept.shared[BIG - 1]);
	RIGHT(kept.wiped[0] == 0);
	RIGHT(mprotect(kept.reserved + (1ULL << 39), 4096, PROT_READ | PROT_WRITE) == 0);
	kept.reserved[1ULL << 39] = 1;
	return 0;
}

/* Memory that was restored and grows must not grow into the image. */
static int check_growing(void)
{
	char *more = mem_grow(kept.large, 8, BIG);
	RIGHT(more && more[0] == 'l' && more[BIG - 1] == 'l');
	for (size_t i = BIG + 4096; i < 8ULL * BIG; i++)
		RIGHT(more[i] == 0);
	memset(more, 'n', 8ULL * BIG);
	mem_free(more);

	void *old = sbrk(GO_ON);
	RIGHT(old != (void *)-1);
	memset(old, 'b', GO_ON);
	RIGHT(sbrk(-GO_ON) != (void *)-1);
	for (size_t size = 1; size < 2ULL * GO_ON; size *= 2) {
		char *block = mem_new(size, 1);
		RIGHT(block && !block[size - 1]);
		memset(block, 'c', size);
	}
	return 0;
}

/* Memory that was given back is zero, and no other is. */
static int check_discarding(void)
{
	char *half = kept.mapped + BIG / 4;

	RIGHT(madvise(half, BIG / 8, MADV_DONTNEED) == 0);
	RIGHT(half[-1] == 'm' && half[0] == 0 && half[BIG / 8 - 1] == 0 && half[BIG / 8] == 'm');
	half[0] = 'n';
	RIGHT(madvise(half - 4096, 8192, MADV_DONTNEED) == 0);
	RIGHT(half[0] == 0 && half[-1] == 0 && half[-4096] == 0 && half[-4097] == 'm');
	RIGHT(madvise(half - 8192, 1, MADV_FREE) == 0);
	RIGHT(half[-8193] == 'm' && half[-4097] == half[-8192]);
	/* What is no memory of the image stays as it was: a file of which somebody wants the pages. */
	char *file = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		open("/proc/self/exe", O_RDONLY | O_CLOEXEC), 0);
	file[1] = 'x';
	RIGHT(madvise(file, 4096, MADV_DONTNEED) == 0 &&
		memcmp(file,
			"\x7f"
			"ELF",
			4) == 0);
	return 0;
}

static int check_stack(int depth)
{
	volatile char frame[16 * 1024];

	frame[0] = (char)depth;
	frame[sizeof(frame) - 1] = 1;
	return depth == 0 ? 0 : check_stack(depth - 1) + frame[sizeof(frame) - 1];
}

static void *thread_run(void *argument)
{
	own = 9;
	*(pid_t *)argument = (pid_t)syscall(SYS_gettid);
	mem_free(mem_new(GO_ON, 1));
	return NULL;
}

static int check_process(void)
{
	struct timespec now;
	struct sigaction action;
	sigset_t blocked;
	pthread_t thread;
	pid_t tid = 0;
	char name[16], directory[64];

	RIGHT(getpid() != kept.pid && syscall(SYS_gettid) == getpid());
	RIGHT(raise(SIGUSR1) == 0 && signals == 1);
	RIGHT(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	RIGHT(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0 && sigismember(&blocked, SIGHUP));
	RIGHT(!sigismember(&blocked, SIGTERM));
	RIGHT(clock_gettime(CLOCK_REALTIME, &now) == 0 && llabs(now.tv_sec - time(NULL)) < 60);
	RIGHT(pthread_create(&thread, NULL, thread_run, &tid) == 0);
	RIGHT(pthread_join(thread, NULL) == 0 && tid > 0 && tid != getpid() && own == 8);
	RIGHT(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "a victim") == 0);
	RIGHT(umask(0) == 027 && getcwd(directory, sizeof(directory)));
	RIGHT(strcmp(directory, "/usr") == 0);
	RIGHT(fcntl(IMAGE_AT, F_GETFD) < 0);
	return 0;
}

static int check_fork(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(check_memory() == 0 && kept.shared[1] == 's' ? 3 : 4);
	RIGHT(wait_for(pid) == 3);
	return 0;
}

static int check_all(void)
{
	RIGHT(check_memory() == 0);
	RIGHT(check_process() == 0);
	RIGHT(check_stack(400) == 400);
	RIGHT(check_fork() == 0);
	RIGHT(check_discarding() == 0);
	RIGHT(check_growing() == 0);
	RIGHT(fabs(sqrt(2.0) * sqrt(2.0) - 2.0) < 1e-9);
	printf("pid %d\n", (int)getpid());
	fflush(stdout);
	return 0;
}

static int check_nothing(void)
{
	return 5;
}

static const struct victim full = { .prepare = prepare_all, .check = check_all };
static const struct victim plain = { .check = check_nothing };

static void test_a_restored_process_has_what_the_saved_one_had(void)
{
	int image = image_new();

	CHECK(victim_run(&full, image) == 0);
	CHECK(restore(image) == 0);
	CHECK(strncmp(said, "pid ", 4) == 0);
	if (strncmp(said, "pid ", 4) != 0)
		FAIL(said);
	(void)close(image);
}

static void test_processes_restored_at_the_same_time_do_not_see_each_other(void)
{
	int image = image_new();
	pid_t pids[8];

	CHECK(victim_run(&full, image) == 0);
	for (size_t i = 0; i < ARRAY_LEN(pids); i++)
		pids[i] = restore_start(image, open("/dev/null", O_WRONLY | O_CLOEXEC));
	for (size_t i = 0; i < ARRAY_LEN(pids); i++)
		CHECK(wait_for(pids[i]) == 0);
	(void)close(image);
}

static void test_memory_that_nobody_wrote_takes_no_room(void)
{
	int image = image_new();
	struct stat st;

	CHECK(victim_run(&full, image) == 0);
	CHECK(fstat(image, &st) == 0);
	CHECK(st.st_blocks * 512 > 2 * BIG && st.st_blocks * 512 < 3 * BIG);
	(void)close(image);
}

/* A refusal: its errno, and what the image says then. */
static void check_refusal(const struct victim *victim, int error, const char *words)
{
	char line[700];
	int image = image_new();

	CHECK(victim_run(victim, image) == error);
	ssize_t len = pread(image, line, sizeof(line) - 1, 0);
	line[len > 0 ? len : 0] = '\0';
	CHECK(strncmp(line, IMAGE_REFUSED, strlen(IMAGE_REFUSED)) == 0);
	CHECK(strtol(line + strlen(IMAGE_REFUSED), NULL, 10) == error);
	CHECK(strstr(line, words) != NULL);
	if (!strstr(line, words))
		FAIL(line);
	CHECK(restore(image) == 127);
	(void)close(image);
}

static void *thread_wait([[maybe_unused]] void *argument)
{
	return pause(), NULL;
}

static void prepare_thread(void)
{
	pthread_t thread;

	(void)pthread_create(&thread, NULL, thread_wait, NULL);
}

static void prepare_child(void)
{
	pid_t parent = getpid();

	if (fork() == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent) /* it may have ended before we asked */
			(void)pause();
		_exit(0);
	}
}

static void prepare_descriptor(void)
{
	(void)eventfd(0, EFD_CLOEXEC);
}

static void prepare_file(void)
{
	int fd = memfd_create("elsewhere", MFD_CLOEXEC);

	(void)!ftruncate(fd, 4096);
	(void)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
}

static void test_what_cannot_be_saved_is_refused_in_words(void)
{
	check_refusal(&(struct victim){ prepare_thread, check_nothing }, EBUSY, "thread");
	check_refusal(&(struct victim){ prepare_child, check_nothing }, ECHILD, "child");
	check_refusal(&(struct victim){ prepare_descriptor, check_nothing }, EBADFD, "eventfd");
	check_refusal(&(struct victim){ prepare_file, check_nothing }, EOPNOTSUPP, "elsewhere");
	check_refusal(&(struct victim){ prepare_all, check_nothing, BIG }, EOVERFLOW, "larger");
}

static struct {
	int file, device, connection, copy;
} opened;

static void prepare_open(void)
{
	int pair[2];

	opened.file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	(void)lseek(opened.file, 100, SEEK_SET);
	opened.device = open("/dev/zero", O_RDWR);
	(void)socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
	opened.connection = dup2(pair[0], 200);
	(void)close(pair[0]);
	(void)close(pair[1]);
	opened.copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 100);
}

static int check_open(void)
{
	char byte = 'x';

	RIGHT(lseek(opened.file, 0, SEEK_CUR) == 100 && read(opened.file, &byte, 1) == 1);
	RIGHT(fcntl(opened.file, F_GETFD) == FD_CLOEXEC && fcntl(opened.device, F_GETFD) == 0);
	RIGHT(read(opened.device, &byte, 1) == 1 && byte == 0);
	RIGHT(read(opened.connection, &byte, 1) == 0);
	RIGHT(fcntl(opened.connection, F_GETFL) & O_NONBLOCK);
	RIGHT(send(opened.connection, &byte, 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	RIGHT(write(opened.copy, "here", 4) == 4);
	RIGHT(fcntl(opened.copy, F_GETFD) == FD_CLOEXEC);
	RIGHT(close(opened.copy) == 0 && close(opened.connection) == 0 &&
		close(opened.device) == 0);
	RIGHT(close(opened.file) == 0);
	for (int fd = 3; fd < 300; fd++)
		RIGHT(fcntl(fd, F_GETFD) < 0);
	return 0;
}

static void test_what_can_be_opened_again_is_open(void)
{
	int image = image_new();

	CHECK(victim_run(&(struct victim){ prepare_open, check_open }, image) == 0);
	CHECK(restore(image) == 0);
	CHECK(strcmp(said, "here") == 0);
	if (strcmp(said, "here") != 0)
		FAIL(said);
	(void)close(image);
}

static void prepare_open_file(void)
{
	(void)mmap(NULL, 4096, PROT_READ, MAP_SHARED, open("/bin/sh", O_RDONLY | O_CLOEXEC), 0);
	(void)close(3);
}

static void test_a_file_that_is_only_read_may_be_shared(void)
{
	int image = image_new();

	CHECK(victim_run(&(struct victim){ prepare_open_file, check_nothing }, image) == 0);
	CHECK(restore(image) == 5);
	(void)close(image);
}

/* An image of which something else is wrong each time; it ends the restorer cleanly. */
static void check_damaged(int image, uint64_t size)
{
	CHECK(ftruncate(image, (off_t)size) == 0);
	CHECK(restore(image) == 127);
	CHECK(strncmp(said, "restore: ", 9) == 0);
}

static int image_copy(int image, uint64_t len)
{
	static char bytes[1 << 20];
	int copy = image_new();
	struct stat st;

	CHECK(fstat(image, &st) == 0 && len <= sizeof(bytes));
	CHECK(pread(image, bytes, len, 0) == (ssize_t)len);
	CHECK(pwrite(copy, bytes, len, 0) == (ssize_t)len && ftruncate(copy, st.st_size) == 0);
	return copy;
}

static void test_an_image_that_is_cut_off_is_refused(void)
{
	static const uint64_t sizes[] = { 0, 1, 8, 100, sizeof(struct image_header) - 1,
		sizeof(struct image_header), 64 * 1024, 700 * 1024 };
	int image = image_new();

	CHECK(victim_run(&plain, image) == 0);
	for (size_t i = ARRAY_LEN(sizes); i-- > 0;)
		check_damaged(image, sizes[i]);
	(void)close(image);
}

/* What is written over the header at an offset. */
struct damage {
	size_t offset;
	uint64_t value;
};

#define DAMAGE(member, value)                                  \
	{                                                      \
		offsetof(struct image_header, member), (value) \
	}

static void test_an_image_with_a_wrong_header_is_refused(void)
{
	static const struct damage damages[] = {
		DAMAGE(magic, 0),
		DAMAGE(version, 2 | 4096ULL << 32),
		DAMAGE(version, IMAGE_VERSION | 8192ULL << 32),
		DAMAGE(size, 1),
		DAMAGE(map_count, UINT64_MAX),
		DAMAGE(map_count, 1), /* the landing is not mapped then */
		DAMAGE(maps_at, 1ULL << 62),
		DAMAGE(files_at, UINT64_MAX),
		DAMAGE(paths_len, 1ULL << 40),
		DAMAGE(paths_len, 1),
		DAMAGE(cpu, UINT64_MAX),
		DAMAGE(vdso_count, 0),
		DAMAGE(vdso_count, 100),
		DAMAGE(vdso, 1),
		DAMAGE(vdso, IMAGE_RESTORER),
		DAMAGE(vdso_hash, 1),
		DAMAGE(land, 8),
		DAMAGE(context, 8),
		DAMAGE(context, UINT64_MAX - 7),
		DAMAGE(tid_address, 16),
		DAMAGE(auxv_count, 1 << 20),
		DAMAGE(robust_len, 1),
		DAMAGE(directory, 'x'),
	};
	int image = image_new();

	CHECK(victim_run(&plain, image) == 0);
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		int copy = image_copy(image, 1 << 20);
		CHECK(pwrite(copy, &damages[i].value, 8, (off_t)damages[i].offset) == 8);
		int status = restore(copy);
		CHECK(status == 127 && strncmp(said, "restore: ", 9) == 0);
		if (status != 127)
			(void)fprintf(stderr, "damage %zu: %d\n", i, status);
		(void)close(copy);
	}
	(void)close(image);
}

/* Mappings that would overwrite the restorer, each other, or nothing that can be. */
static void test_an_image_with_wrong_mappings_is_refused(void)
{
	static const struct image_map wrong[] = {
		{ .start = 0, .end = 4096 },
		{ .start = 4096, .end = 4096 },
		{ .start = 8192, .end = 4096 },
		{ .start = 4097, .end = 8192 },
		{ .start = 4096, .end = IMAGE_TOP },
		{ .start = IMAGE_RESTORER, .end = IMAGE_RESTORER + 4096 },
		{ .start = 4096, .end = 1ULL << 63 },
		{ .start = 65536, .end = 69632, .kind = 9 },
		{ .start = 65536, .end = 69632, .prot = 64 },
		{ .start = 65536, .end = 69632, .kind = IMAGE_DATA, .offset = 1 },
		{ .start = 65536, .end = 69632, .kind = IMAGE_DATA, .offset = 1ULL << 63 },
		{ .start = 65536, .end = 69632, .kind = IMAGE_FILE, .file = 100'000 },
	};
	struct image_header header;
	int image = image_new();

	CHECK(victim_run(&plain, image) == 0);
	CHECK(pread(image, &header, sizeof(header), 0) == sizeof(header));
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		int copy = image_copy(image, 1 << 20);
		CHECK(pwrite(copy, &wrong[i], sizeof(wrong[i]), (off_t)header.maps_at) ==
			sizeof(wrong[i]));
		int status = restore(copy);
		CHECK(status == 127 && strncmp(said, "restore: mapping: ", 18) == 0);
		if (status != 127)
			(void)fprintf(stderr, "mapping %zu: %d: %s\n", i, status, said);
		(void)close(copy);
	}
	(void)close(image);
}

TESTS(TEST(test_a_restored_process_has_what_the_saved_one_had),
	TEST(test_processes_restored_at_the_same_time_do_not_see_each_other),
	TEST(test_memory_that_nobody_wrote_takes_no_room),
	TEST(test_what_cannot_be_saved_is_refused_in_words),
	TEST(test_what_can_be_opened_again_is_open),
	TEST(test_a_file_that_is_only_read_may_be_shared),
	TEST(test_an_image_that_is_cut_off_is_refused),
	TEST(test_an_image_with_a_wrong_header_is_refused),
	TEST(test_an_image_with_wrong_mappings_is_refused))
