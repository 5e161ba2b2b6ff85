/*
 * The pages of a process, into its image. Each mapping is cut into pieces: pages that nobody has
 * written (empty, or as they are in a file that can be found again), and runs of those that are this
 * process's own. A short gap between two such runs is saved with them: each piece costs a system
 * call in every restored process.
 *
 * In the image a run is followed by a gap, of no bytes but of many addresses, if its mapping may grow
 * (mremap): the pages that it grows by are the image's then, and have to be zero.
 */
#include "snapshot/save.h"

#include "base/attr.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	HOLE_PAGES_MAX = 32, /* within a run */
	STACK_BELOW =
		256, /* bytes below the stack pointer that are in use: the red zone, and more */
};

#define PAGE_PRESENT   (1ULL << 63)
#define PAGE_SWAPPED   (1ULL << 62)
#define PAGE_OF_FILE   (1ULL << 61)
#define IMAGE_SPAN_MAX (8ULL << 40) /* what file systems let a file be long, and then some less */
#define GAP_MAX	       (16ULL * GIB)

/* One mapping, while it is cut. */
struct cut {
	const struct saver_map *map;
	uint32_t empty_kind; /* of its pages that are not saved */
	uint32_t data_kind;  /* of those that are */
	uint32_t file;
	uint32_t flags;
	bool is_whole; /* all pages have to be looked at */
	uint64_t done; /* all below has its piece */
};

static bool page_is_zero(const char *page)
{
	const uint64_t *words = (const uint64_t *)page;

	for (size_t i = 0; i < IMAGE_PAGE / sizeof(*words); i += 8)
		if (words[i] | words[i + 1] | words[i + 2] | words[i + 3] | words[i + 4] |
			words[i + 5] | words[i + 6] | words[i + 7])
			return false;
	return true;
}

int saver_write(struct saver *saver, const void *bytes, size_t len, uint64_t offset)
{
	const char *at = bytes;

	saver->bytes += len;
	if (saver->bytes_max && saver->bytes > saver->bytes_max)
		return saver_refuse(saver, EOVERFLOW, "the image is larger than %llu bytes",
			(unsigned long long)saver->bytes_max);
	while (len > 0) {
		ssize_t n = pwrite(saver->image, at, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return saver_refuse(
				saver, n < 0 ? errno : EIO, "the image cannot be written");
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Read memory as another would: pages that are not there (beyond the end of a file) come as zero. */
static size_t saver_read_memory(struct saver *saver, uint64_t start, size_t len)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = pread(
			saver->memory, saver->chunk + have, len - have, (off_t)(start + have));
		if (n > 0) {
			have += (size_t)n;
			continue;
		}
		memset(saver->chunk + have, 0, IMAGE_PAGE);
		have += IMAGE_PAGE;
	}
	return have;
}

/* The pages of a chunk that are not zero; the rest stays a hole. */
static int saver_write_chunk(struct saver *saver, size_t len, uint64_t offset)
{
	for (size_t at = 0, end; at < len; at = end) {
		bool is_zero = page_is_zero(saver->chunk + at);
		for (end = at + IMAGE_PAGE; end < len; end += IMAGE_PAGE)
			if (page_is_zero(saver->chunk + end) != is_zero)
				break;
		int r = is_zero ? 0 : saver_write(saver, saver->chunk + at, end - at, offset + at);
		if (r < 0)
			return r;
	}
	return 0;
}

static int saver_add(struct saver *saver, const struct image_map *piece)
{
	if (piece->start == piece->end)
		return 0;
	if (saver->header.map_count == IMAGE_MAPS_MAX)
		return saver_refuse(saver, E2BIG, "there are more than %d pieces", IMAGE_MAPS_MAX);
	saver->pieces[saver->header.map_count++] = *piece;
	return 0;
}

static int cut_add_rest(struct saver *saver, struct cut *cut, uint64_t end)
{
	struct image_map piece = {
		.start = cut->done,
		.end = end,
		.kind = cut->empty_kind,
		.prot = cut->map->prot,
		.flags = cut->flags,
		.file = cut->file,
		.offset = cut->empty_kind == IMAGE_FILE
			? cut->map->offset + (cut->done - cut->map->start)
			: 0,
	};

	cut->done = end;
	return saver_add(saver, &piece);
}

/* A run of pages that are to be saved. */
static int cut_add_run(struct saver *saver, struct cut *cut, uint64_t start, uint64_t end)
{
	struct image_map piece = {
		.start = start,
		.end = end,
		.kind = cut->data_kind,
		.prot = cut->map->prot,
		.flags = cut->flags,
		.offset = saver->end,
	};

	int r = cut_add_rest(saver, cut, start);
	for (uint64_t at = start; r == 0 && at < end; at += SAVER_CHUNK) {
		size_t len = saver_read_memory(saver, at, MIN(end - at, SAVER_CHUNK));
		r = saver_write_chunk(saver, len, piece.offset + (at - start));
	}
	saver->end += end - start;
	if (end == cut->map->end && (piece.prot & PROT_WRITE) && piece.kind == IMAGE_DATA)
		saver->end += saver->gap;
	cut->done = end;
	return r < 0 ? r : saver_add(saver, &piece);
}

static bool cut_is_own(const struct cut *cut, uint64_t page)
{
	if (cut->is_whole)
		return true;
	return (page & (PAGE_PRESENT | PAGE_SWAPPED)) && !(page & PAGE_OF_FILE);
}

/* Is it a page that reads as zero though it is there? Only worth a look where no file is behind it. */
static bool saver_is_blank(struct saver *saver, const struct cut *cut, uint64_t at)
{
	if (cut->empty_kind == IMAGE_FILE)
		return false;
	return saver_read_memory(saver, at, IMAGE_PAGE) && page_is_zero(saver->chunk);
}

static int saver_read_pages(struct saver *saver, uint64_t start, uint64_t count)
{
	size_t len = count * sizeof(uint64_t);

	ssize_t n = pread(
		saver->pagemap, saver->pages, len, (off_t)(start / IMAGE_PAGE * sizeof(uint64_t)));
	if (n != (ssize_t)len)
		return saver_refuse(
			saver, n < 0 ? errno : EIO, "/proc/self/pagemap cannot be read");
	return 0;
}

static int cut_write(struct saver *saver, struct cut *cut)
{
	const uint64_t batch = ARRAY_LEN(saver->pages) * IMAGE_PAGE;
	uint64_t run = 0, run_end = 0; /* none: 0 */
	int r = 0;

	for (uint64_t base = cut->map->start; base < cut->map->end; base += batch) {
		uint64_t count = MIN(cut->map->end - base, batch) / IMAGE_PAGE;
		r = saver_read_pages(saver, base, count);
		for (uint64_t i = 0; r == 0 && i < count; i++) {
			uint64_t at = base + i * IMAGE_PAGE;
			if (!cut_is_own(cut, saver->pages[i]) || saver_is_blank(saver, cut, at))
				continue;
			if (run && at - run_end > HOLE_PAGES_MAX * IMAGE_PAGE) {
				r = cut_add_run(saver, cut, run, run_end);
				run = 0;
			}
			run = run ? run : at;
			run_end = at + IMAGE_PAGE;
		}
		if (r < 0)
			return r;
	}
	r = run ? cut_add_run(saver, cut, run, run_end) : 0;
	return r < 0 ? r : cut_add_rest(saver, cut, cut->map->end);
}

/* Is what the name leads to now what is mapped? */
static bool saver_is_file(const struct saver_map *map, int fd, struct stat *st)
{
	return fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_ino == map->inode &&
		st->st_dev == map->device;
}

/* The number of the file behind a mapping; -ENOENT if it cannot be found by its name. */
static int saver_find_file(struct saver *saver, const struct saver_map *map, uint32_t *ret_file)
{
	struct stat st;

	if (map->path[0] != '/')
		return -ENOENT;
	scoped_fd fd = open(map->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || !saver_is_file(map, fd, &st))
		return -ENOENT;
	return saver_add_file(saver, map->path, &st, ret_file);
}

static bool map_is_shared_anonymous(const struct saver_map *map)
{
	return strcmp(map->path, "/dev/zero (deleted)") == 0 ||
		strncmp(map->path, "[anon_shmem:", 12) == 0;
}

/* How a mapping is to be cut. */
static int saver_judge(struct saver *saver, const struct saver_map *map, struct cut *ret_cut)
{
	struct cut cut = { .map = map, .done = map->start, .flags = map->flags };

	if (map->is_alien || map->key)
		return saver_refuse(saver, EOPNOTSUPP, "memory of a kind of its own is mapped: %s",
			map->path[0] ? map->path : "anonymous");
	cut.empty_kind = IMAGE_EMPTY;
	cut.data_kind = IMAGE_DATA;
	if (map->is_shared && map_is_shared_anonymous(map)) {
		cut.flags |= IMAGE_SHARED;
		cut.data_kind = IMAGE_COPY;
		cut.is_whole = true;
	} else if (map->is_shared && map->is_shared_writable) {
		return saver_refuse(
			saver, EOPNOTSUPP, "a file is mapped to be written: %s", map->path);
	} else if (map->inode && saver_find_file(saver, map, &cut.file) == 0) {
		cut.empty_kind = IMAGE_FILE;
		cut.flags |= map->is_shared ? IMAGE_SHARED : 0;
	} else if (map->inode) {
		cut.is_whole = true;
	}
	if (map->flags & (IMAGE_WIPEONFORK | IMAGE_DROPPABLE)) /* a copy of it is to be empty */
		cut.data_kind = UINT32_MAX;
	*ret_cut = cut;
	return 0;
}

/* A stack: what is below its pointer is nothing. It grows, which memory of a file cannot. */
static int saver_write_stack(struct saver *saver, struct cut *cut)
{
	uint64_t pointer = (uintptr_t)__builtin_frame_address(0);

	if (pointer >= cut->map->start && pointer < cut->map->end)
		cut->done = (pointer - STACK_BELOW) & ~(uint64_t)(IMAGE_PAGE - 1);
	cut->done = MAX(cut->done, cut->map->start);
	cut->data_kind = IMAGE_COPY;
	return cut_add_run(saver, cut, cut->done, cut->map->end);
}

static int saver_write_map(struct saver *saver, const struct saver_map *map)
{
	struct cut cut;

	int r = saver_judge(saver, map, &cut);
	if (r < 0)
		return r;
	if (map->flags & IMAGE_GROWS)
		return saver_write_stack(saver, &cut);
	bool is_untouched = !cut.is_whole && map->rss_kb == 0 && map->swap_kb == 0;
	if (is_untouched || cut.data_kind == UINT32_MAX)
		return cut_add_rest(saver, &cut, map->end);
	return cut_write(saver, &cut);
}

/* How long a file may be is known by asking for it. */
static void saver_find_gap(struct saver *saver)
{
	saver->gap = MIN(IMAGE_SPAN_MAX / (saver->map_count + 1), GAP_MAX);
	saver->gap -= saver->gap % MIB;
	while (saver->gap > 0 &&
		ftruncate(saver->image, (off_t)(saver->gap * (saver->map_count + 1))) < 0)
		saver->gap = saver->gap > MIB ? saver->gap / 2 / MIB * MIB : 0;
}

int saver_write_memory(struct saver *saver)
{
	int r = 0;

	saver->memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	if (saver->memory < 0)
		return saver_refuse(saver, errno, "/proc/self/mem cannot be opened");
	saver->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (saver->pagemap < 0)
		return saver_refuse(saver, errno, "/proc/self/pagemap cannot be opened");
	saver_find_gap(saver);
	for (size_t i = 0; i < saver->map_count && r == 0; i++)
		r = saver_write_map(saver, &saver->maps[i]);
	return r;
}
