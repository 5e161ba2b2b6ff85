/*
 * A process saves itself:
 *
 *	caller ── fork ──▶ child ── mark ── threads' state, mappings, pages ──▶ image ── exit
 *	   ▲                 └──── land ◀──── any restored process: fork() returns 0
 *	   └── wait ── fork() returns the child's number
 *
 * It is a child that is saved, because a process that has just been forked is what a restored one is:
 * its C library has put its locks in order, and libraries that must not go on as two have their ways to
 * notice. And the caller goes on untouched.
 *
 * The alternatives: ptrace, as CRIU has it, needs rights and takes long; to keep the process and fork
 * from it, as a zygote does, keeps its memory.
 */
#include "snapshot/snapshot.h"

#include "snapshot/discard.h"
#include "snapshot/machine.h"
#include "snapshot/save.h"

#include "base/attr.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <asm/prctl.h>

enum { SIGNAL_BYTES = 8, RSEQ_LEN_MAX = 512, RSEQ_STEP = 32, THREAD_WAITS_MAX = 100 };

/* glibc's, where it registers itself; musl and older ones do not have them. */
extern const ptrdiff_t __rseq_offset [[gnu::weak]]; /* NOLINT */

static struct machine_context save_context;

int saver_refuse(struct saver *saver, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(saver->why, sizeof(saver->why), format, arguments);
	va_end(arguments);
	return -error;
}

/* The image says why it is none. */
static void image_refuse(int image, int error, const char *why)
{
	char line[600];

	int len = snprintf(line, sizeof(line), IMAGE_REFUSED "%d %s\n", error, why);
	if (ftruncate(image, 0) == 0 && len > 0)
		(void)!pwrite(image, line, (size_t)MIN(len, (int)sizeof(line) - 1), 0);
}

/* Is this where and how it is registered? The kernel tells only by how it refuses to do it again. */
static void saver_find_rseq(struct image_header *header)
{
	if (!&__rseq_offset)
		return;
	uint64_t place = (uintptr_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset;
	for (uint64_t len = RSEQ_STEP; len <= RSEQ_LEN_MAX; len += RSEQ_STEP) {
		if (syscall(SYS_rseq, place, len, 0, IMAGE_SIGNATURE) == 0) {
			(void)syscall(SYS_rseq, place, len, 1, IMAGE_SIGNATURE); /* it was not */
			return;
		}
		if (errno == EBUSY) {
			header->rseq = place;
			header->rseq_len = len;
			return;
		}
	}
}

/* What the kernel keeps for a thread. */
static int saver_read_thread(struct saver *saver)
{
	struct image_header *header = &saver->header;
	stack_t altstack;

	if (syscall(SYS_arch_prctl, ARCH_GET_FS, &header->fs) < 0 ||
		syscall(SYS_arch_prctl, ARCH_GET_GS, &header->gs) < 0 ||
		syscall(SYS_get_robust_list, 0, &header->robust_list, &header->robust_len) < 0)
		return saver_refuse(saver, errno, "a thread's registers");
	if (prctl(PR_GET_TID_ADDRESS, &header->tid_address) < 0)
		return saver_refuse(
			saver, ENOSYS, "the kernel does not tell where thread numbers are");
	if (sigaltstack(NULL, &altstack) < 0)
		return saver_refuse(saver, errno, "sigaltstack");
	header->altstack = (uintptr_t)altstack.ss_sp;
	header->altstack_size = altstack.ss_size;
	header->altstack_flags = (uint32_t)altstack.ss_flags;
	saver_find_rseq(header);
	for (int i = 0; i < IMAGE_SIGNALS; i++)
		if (syscall(SYS_rt_sigaction, i + 1, NULL, &header->signals[i], SIGNAL_BYTES) < 0)
			return saver_refuse(saver, errno, "signal %d", i + 1);
	return 0;
}

static int saver_read_rest(struct saver *saver)
{
	struct image_header *header = &saver->header;

	if (prctl(PR_GET_NAME, header->name) < 0 ||
		!getcwd(header->directory, sizeof(header->directory)))
		return saver_refuse(saver, errno, "its directory");
	header->umask = (uint32_t)umask(0);
	(void)umask((mode_t)header->umask);
	header->brk[1] = (uint64_t)syscall(SYS_brk, 0);
	header->pid = (uint32_t)getpid();
	machine_cpu(header->cpu);
	return saver_read_process(saver);
}

static int saver_write_tables(struct saver *saver)
{
	struct image_header *header = &saver->header;

	memcpy(header->magic, IMAGE_MAGIC, sizeof(header->magic));
	header->version = IMAGE_VERSION;
	header->page_size = IMAGE_PAGE;
	header->land = (uintptr_t)machine_land;
	header->context = (uintptr_t)&save_context;
	header->size = saver->end;
	if (ftruncate(saver->image, (off_t)saver->end) < 0)
		return saver_refuse(saver, errno, "the image cannot be made as long as it is");
	int r = saver_write(saver, saver->pieces, header->map_count * sizeof(saver->pieces[0]),
		header->maps_at);
	if (r == 0)
		r = saver_write(saver, saver->files, header->file_count * sizeof(saver->files[0]),
			header->files_at);
	if (r == 0)
		r = saver_write(saver, saver->descriptors,
			header->descriptor_count * sizeof(saver->descriptors[0]),
			header->descriptors_at);
	if (r == 0)
		r = saver_write(saver, saver->paths, header->paths_len, header->paths_at);
	if (r == 0) /* the last: without it there is no image */
		r = saver_write(saver, header, sizeof(*header), 0);
	return r;
}

/* The tables have places of the size that they could have: holes take none. */
static void saver_place_tables(struct saver *saver)
{
	struct image_header *header = &saver->header;

	header->maps_at = (sizeof(*header) | (IMAGE_PAGE - 1)) + 1;
	header->files_at = header->maps_at + sizeof(saver->pieces);
	header->descriptors_at = header->files_at + sizeof(saver->files);
	header->paths_at = header->descriptors_at + sizeof(saver->descriptors);
	saver->end = ((header->paths_at + sizeof(saver->paths)) | (IMAGE_PAGE - 1)) + 1;
}

static int saver_write_all(struct saver *saver)
{
	int r = saver_read_descriptors(saver);
	if (r == 0)
		r = saver_read_thread(saver);
	if (r == 0)
		r = saver_read_rest(saver);
	if (r == 0)
		r = saver_read_maps(saver);
	saver_place_tables(saver);
	if (r == 0)
		r = saver_write_memory(saver);
	return r < 0 ? r : saver_write_tables(saver);
}

static struct saver *saver_new(const struct snapshot_how *how)
{
	struct saver *saver = mmap(NULL, sizeof(*saver), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (saver == MAP_FAILED)
		return NULL;
	saver->image = how->image;
	saver->bytes_max = how->bytes_max;
	return saver;
}

/* In the child: 0 in every restored process; else it ends. */
static int child_save(const struct snapshot_how *how)
{
	uint64_t all = UINT64_MAX, blocked;

	/* A handler that ran meanwhile would be saved half-way. */
	(void)syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &blocked, SIGNAL_BYTES);
	if (machine_mark(&save_context) != 0) {
		discard_begin(&save_context);
		return 0;
	}
	struct saver *saver = saver_new(how);
	if (!saver)
		_exit(ENOMEM);
	saver->header.blocked = blocked;
	int r = saver_write_all(saver);
	if (r < 0)
		image_refuse(how->image, -r, saver->why);
	_exit(-r);
}

/* A directory for each thread, and two links that all directories have. */
static int caller_count_threads(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) < 0 ? -errno : (int)st.st_nlink - 2;
}

/* One that has been joined may not have left the kernel yet. */
static int caller_wait_for_threads(void)
{
	const struct timespec pause = { .tv_nsec = 2'000'000 };

	int count = caller_count_threads();
	for (int i = 0; i < THREAD_WAITS_MAX && count > 1; i++) {
		(void)nanosleep(&pause, NULL);
		count = caller_count_threads();
	}
	return count < 0 ? count : count == 1 ? 0 : -EBUSY;
}

static int caller_check(void)
{
	siginfo_t info;

	int r = caller_wait_for_threads();
	if (r < 0)
		return r;
	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0)
		return -ECHILD;
	return errno == ECHILD ? 0 : -errno;
}

/* How it ended. */
static int caller_wait(int image, pid_t child)
{
	int status;
	pid_t ended;

	do
		ended = waitpid(child, &status, 0);
	while (ended < 0 && errno == EINTR);
	if (ended < 0)
		return -errno;
	if (WIFEXITED(status))
		return -WEXITSTATUS(status);
	image_refuse(image, ECANCELED, "the process that wrote it was killed");
	return -ECANCELED;
}

pid_t snapshot_fork(const struct snapshot_how *how)
{
	int r = caller_check();
	if (r < 0) {
		image_refuse(how->image, -r,
			r == -EBUSY	       ? "there is more than one thread"
				: r == -ECHILD ? "there are child processes"
					       : "/proc cannot be read");
		return r;
	}
	pid_t child = how->fork();
	if (child < 0)
		return -errno;
	if (child == 0)
		return child_save(how);
	r = caller_wait(how->image, child);
	return r < 0 ? r : child;
}
