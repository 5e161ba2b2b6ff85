#pragma once
/* Between the files that save a process. They run in a process that has nothing else to do. */
#include "snapshot/image.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct saver_map {
	uint64_t start, end, offset;
	uint64_t device, inode;
	uint64_t rss_kb, swap_kb, key;
	uint32_t prot;
	uint32_t flags; /* enum image_map_flag */
	bool is_shared, is_shared_writable;
	bool is_alien; /* of a device, or of a kind of memory of its own */
	bool is_sealed;
	const char *path;
};

enum { SAVER_CHUNK = 256 * 1024, SAVER_LINE_MAX = 8192 };

/* All in one shared mapping, which is easily told from what is to be saved. */
struct saver {
	int image, memory, pagemap;
	uint64_t bytes, bytes_max; /* written */
	uint64_t end;		   /* of what has been given out of the image */
	uint64_t gap;
	size_t map_count;
	size_t path_len; /* of the names that /proc told */
	struct image_header header;
	struct saver_map maps[IMAGE_MAPS_MAX];
	char names[2 * IMAGE_PATHS_MAX];
	struct image_map pieces[IMAGE_MAPS_MAX];
	struct image_file files[IMAGE_FILES_MAX];
	struct image_descriptor descriptors[IMAGE_DESCRIPTORS_MAX];
	char paths[IMAGE_PATHS_MAX];
	char chunk[SAVER_CHUNK];
	uint64_t pages[SAVER_CHUNK / 8]; /* of /proc/self/pagemap */
	char why[512];			 /* in words */
};

/* Say why not: returns -error. */
[[gnu::format(printf, 3, 4)]] int saver_refuse(
	struct saver *saver, int error, const char *format, ...);

/* save_read.c: learn all mappings of this process, but the saver's own. 0 or -errno. */
[[nodiscard]] int saver_read_maps(struct saver *saver);

/* save_read.c: what /proc/self/stat, auxv and the kernel know of this process. 0 or -errno. */
[[nodiscard]] int saver_read_process(struct saver *saver);

/* save_read.c: read a small file of /proc whole; its length or -errno. */
[[nodiscard]] int saver_read_file(const char *path, char *to, size_t size);

/* save_files.c: what is open, and how it is to be open again. 0 or -errno. */
[[nodiscard]] int saver_read_descriptors(struct saver *saver);

/*
 * save_files.c: the number of a file that is found again by its path. 0, or -ENOENT when there is
 * no room.
 */
[[nodiscard]] int saver_add_file(
	struct saver *saver, const char *path, const struct stat *st, uint32_t *ret_file);

/* save_memory.c: write the pages of all mappings, as pieces with places in the image. 0 or -errno. */
[[nodiscard]] int saver_write_memory(struct saver *saver);

/* save_memory.c: write all bytes at an offset. 0 or -errno. */
[[nodiscard]] int saver_write(struct saver *saver, const void *bytes, size_t len, uint64_t offset);
