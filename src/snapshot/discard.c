/*
 * Memory that a program has given back, by MADV_DONTNEED or MADV_FREE, is zero when it comes again, and
 * allocators count on it. But in a restored process it is pages of the image, which would come
 * again as they were saved. So this stands in for the C library's madvise(): what of a range is the
 * image's becomes memory without a file first. (glibc's own allocator calls the kernel by itself, and does not
 * count on zeros there.)
 *
 * The kernel knows what is the image's: whatever is mapped of the same file as memory of which we
 * know that it was saved. To
 * ask it takes long, so what was the image's at the first call is remembered: most calls are about
 * other memory. It may be called by an allocator, on any thread: nothing here allocates or locks.
 */
#include "snapshot/discard.h"

#include "snapshot/image.h"

#include "base/attr.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RANGES_MAX = 1024, HEAD_LEN = 120, READ_LEN = 2048 };
enum discard_memory { NOT_ASKED, IS_ASKING, IS_KNOWN };

static struct {
	const void *own;    /* NULL: it is no restored process */
	_Atomic int memory; /* enum discard_memory */
	bool has_more;	    /* than there is room for: then each call asks */
	size_t count;
	struct image_range ranges[RANGES_MAX];
} discard;

/* The head of a line of /proc/self/maps. */
struct discard_line {
	struct image_range range;
	int prot;
	bool is_private;
	char file[40]; /* device and inode, as they are written there */
};

typedef void discard_line_fn(void *context, const struct discard_line *line);

static void line_parse(const char *text, struct discard_line *line)
{
	char *at;

	line->range.start = strtoull(text, &at, 16);
	line->range.end = strtoull(at + 1, &at, 16);
	line->prot = (at[1] == 'r' ? PROT_READ : 0) | (at[2] == 'w' ? PROT_WRITE : 0) |
		(at[3] == 'x' ? PROT_EXEC : 0);
	line->is_private = at[4] == 'p';
	(void)strtoull(at + 5, &at, 16); /* its offset */
	size_t len = 0, words = 0;
	for (at++; *at && len < sizeof(line->file) - 1; at++) {
		words += *at == ' ';
		if (words == 2)
			break;
		line->file[len++] = *at;
	}
	line->file[len] = '\0';
}

static int lines_read(discard_line_fn *take, void *context)
{
	char bytes[READ_LEN], head[HEAD_LEN];
	struct discard_line line;
	size_t len = 0;
	ssize_t n;

	scoped_fd fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (bytes[i] != '\n') {
				if (len < sizeof(head) - 1)
					head[len++] = bytes[i];
				continue;
			}
			head[len] = '\0';
			len = 0;
			line_parse(head, &line);
			take(context, &line);
		}
	return n < 0 ? -errno : 0;
}

/* The image, as /proc/self/maps calls it. */
static void take_image(void *context, const struct discard_line *line)
{
	uint64_t own = (uintptr_t)discard.own;

	if (own >= line->range.start && own < line->range.end)
		memcpy(context, line->file, sizeof(line->file));
}

static bool line_is_image(const struct discard_line *line, const char *image)
{
	return line->is_private && (line->prot & PROT_WRITE) && strcmp(line->file, image) == 0;
}

static void take_range(void *context, const struct discard_line *line)
{
	if (!line_is_image(line, context))
		return;
	if (discard.count < RANGES_MAX)
		discard.ranges[discard.count++] = line->range;
	else
		discard.has_more = true;
}

/* May any of it be the image's? */
static bool range_is_suspect(uint64_t start, uint64_t end)
{
	char image[sizeof(((struct discard_line *)NULL)->file)] = "";
	int expected = NOT_ASKED;

	if (atomic_compare_exchange_strong(&discard.memory, &expected, IS_ASKING)) {
		if (lines_read(take_image, image) < 0 || lines_read(take_range, image) < 0)
			discard.has_more = true;
		atomic_store(&discard.memory, IS_KNOWN);
	}
	if (atomic_load(&discard.memory) != IS_KNOWN || discard.has_more)
		return true;
	for (size_t i = 0; i < discard.count; i++)
		if (start < discard.ranges[i].end && end > discard.ranges[i].start)
			return true;
	return false;
}

struct replacing {
	struct image_range range;
	char image[40];
};

static void take_replaced(void *context, const struct discard_line *line)
{
	const struct replacing *replacing = context;
	uint64_t start = MAX(line->range.start, replacing->range.start);
	uint64_t end = MIN(line->range.end, replacing->range.end);

	if (start < end && line_is_image(line, replacing->image))
		(void)mmap((void *)(uintptr_t)start, end - start, line->prot, /* NOLINT */
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

[[gnu::visibility("default")]] int madvise(void *address, size_t len, int advice);

int madvise(void *address, size_t len, int advice)
{
	struct replacing replacing = { { (uintptr_t)address, (uintptr_t)address + len }, "" };

	if (discard.own && (advice == MADV_DONTNEED || advice == MADV_FREE) &&
		(uintptr_t)address % IMAGE_PAGE == 0 &&
		range_is_suspect(replacing.range.start, replacing.range.end)) {
		replacing.range.end = (replacing.range.end + IMAGE_PAGE - 1) &
			~(uint64_t)(IMAGE_PAGE - 1);
		if (lines_read(take_image, replacing.image) == 0)
			(void)lines_read(take_replaced, &replacing);
	}
	return (int)syscall(SYS_madvise, address, len, advice);
}

void discard_begin(const void *own)
{
	discard.own = own;
}
