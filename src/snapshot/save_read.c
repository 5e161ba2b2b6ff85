/*
 * What the kernel knows of the calling process, out of /proc: text that the kernel wrote, so it is
 * read without distrust. Nothing here allocates: the heap is being saved.
 */
#include "snapshot/save.h"

#include "base/attr.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Two letters of VmFlags, and what they mean for us. */
struct flag_row {
	char name[3];
	uint32_t flag; /* 0: see saver_take_flags() */
};

static const struct flag_row flag_rows[] = {
	{ "gd", IMAGE_GROWS },
	{ "nr", IMAGE_NORESERVE },
	{ "dp", IMAGE_DROPPABLE },
	{ "dc", IMAGE_DONTFORK },
	{ "wf", IMAGE_WIPEONFORK },
	{ "dd", IMAGE_DONTDUMP },
	{ "hg", IMAGE_HUGE },
	{ "nh", IMAGE_NOHUGE },
};

int saver_read_file(const char *path, char *to, size_t size)
{
	size_t len;

	scoped_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = fd_read_all(fd, to, size, &len);
	return r < 0 ? r : (int)len;
}

static void saver_take_flags(struct saver_map *map, const char *names)
{
	/* Of a device, pages without a struct, huge pages of their own kind, shadow stacks. */
	static const char aliens[][3] = { "io", "pf", "mm", "ht", "ss" };

	for (; names[0] && names[0] != '\n'; names += 3) {
		for (size_t i = 0; i < ARRAY_LEN(flag_rows); i++)
			if (memcmp(names, flag_rows[i].name, 2) == 0)
				map->flags |= flag_rows[i].flag;
		for (size_t i = 0; i < ARRAY_LEN(aliens); i++)
			map->is_alien |= memcmp(names, aliens[i], 2) == 0;
		map->is_shared_writable |= memcmp(names, "sh", 2) == 0;
		map->is_sealed |= memcmp(names, "sl", 2) == 0;
		while (*names == ' ')
			names++;
		if (!names[1])
			break;
	}
}

/* The line that begins a mapping: `start-end rwxp offset major:minor inode   path`. */
static int saver_take_map(struct saver *saver, struct saver_map *map, char *line)
{
	char *at;

	*map = (struct saver_map){ .start = strtoull(line, &at, 16) };
	map->end = strtoull(at + 1, &at, 16);
	map->prot = (at[1] == 'r' ? PROT_READ : 0) | (at[2] == 'w' ? PROT_WRITE : 0) |
		(at[3] == 'x' ? PROT_EXEC : 0);
	map->is_shared = at[4] == 's';
	map->offset = strtoull(at + 5, &at, 16);
	uint64_t major = strtoull(at + 1, &at, 16);
	uint64_t minor = strtoull(at + 1, &at, 16);
	/* As the kernel hands it out in a struct stat. */
	map->device = (minor & 0xff) | major << 8 | (minor & ~0xffULL) << 12;
	map->inode = strtoull(at + 1, &at, 10);
	while (*at == ' ')
		at++;
	size_t len = strlen(at);
	if (saver->path_len + len + 1 > sizeof(saver->names))
		return saver_refuse(saver, E2BIG, "names of mapped files are too long");
	map->path = memcpy(saver->names + saver->path_len, at, len + 1);
	saver->path_len += len + 1;
	return 0;
}

static void saver_take_detail(struct saver_map *map, const char *line)
{
	if (strncmp(line, "Rss:", 4) == 0)
		map->rss_kb = strtoull(line + 4, NULL, 10);
	else if (strncmp(line, "Swap:", 5) == 0)
		map->swap_kb = strtoull(line + 5, NULL, 10);
	else if (strncmp(line, "ProtectionKey:", 14) == 0)
		map->key = strtoull(line + 14, NULL, 10);
	else if (strncmp(line, "VmFlags: ", 9) == 0)
		saver_take_flags(map, line + 9);
}

static int saver_take_line(struct saver *saver, char *line)
{
	if (line[0] >= 'A' && line[0] <= 'Z') {
		if (saver->map_count > 0)
			saver_take_detail(&saver->maps[saver->map_count - 1], line);
		return 0;
	}
	if (saver->map_count == ARRAY_LEN(saver->maps))
		return saver_refuse(
			saver, E2BIG, "there are more than %d mappings", IMAGE_MAPS_MAX);
	return saver_take_map(saver, &saver->maps[saver->map_count++], line);
}

/* What the kernel has mapped is where it is in a restored process only if it lets itself be moved. */
static int saver_check_vdso(struct saver *saver, const struct saver_map *map)
{
	if (map->path[0] == '[' && map->path[1] == 'v' && map->is_sealed && map->start < IMAGE_TOP)
		return saver_refuse(saver, ENOSYS, "the kernel's own mappings are sealed");
	return 0;
}

/* What the kernel put there, and the saver's own, are no memory of the process. */
static bool saver_is_to_save(struct saver *saver, const struct saver_map *map)
{
	struct image_header *header = &saver->header;

	if (map->start == (uintptr_t)saver || map->start >= IMAGE_TOP)
		return false;
	if (strncmp(map->path, "[vvar", 5) != 0 && strcmp(map->path, "[vdso]") != 0)
		return strcmp(map->path, "[uprobes]") != 0;
	if (header->vdso_count < IMAGE_VDSO_MAX)
		header->vdso[header->vdso_count++] = (struct image_range){ map->start, map->end };
	if (strcmp(map->path, "[vdso]") == 0)
		header->vdso_hash = image_hash((const uint64_t *)(uintptr_t)map->start,
			(map->end - map->start) / sizeof(uint64_t));
	return false;
}

static int saver_read_lines(struct saver *saver, int fd)
{
	size_t have = 0;

	for (;;) {
		ssize_t n = read(fd, saver->chunk + have, sizeof(saver->chunk) - have);
		if (n < 0)
			return saver_refuse(saver, errno, "/proc/self/smaps cannot be read");
		have += (size_t)n;
		char *line = saver->chunk, *end;
		for (; (end = memchr(line, '\n', have)); line = end + 1) {
			*end = '\0';
			have -= (size_t)(end + 1 - line);
			int r = saver_take_line(saver, line);
			if (r < 0)
				return r;
		}
		if (n == 0)
			return 0;
		memmove(saver->chunk, line, have);
	}
}

int saver_read_maps(struct saver *saver)
{
	size_t kept = 0;

	scoped_fd fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return saver_refuse(saver, errno, "/proc/self/smaps cannot be opened");
	int r = saver_read_lines(saver, fd);
	if (r < 0)
		return r;
	for (size_t i = 0; i < saver->map_count && r == 0; i++) {
		r = saver_check_vdso(saver, &saver->maps[i]);
		if (saver_is_to_save(saver, &saver->maps[i]))
			saver->maps[kept++] = saver->maps[i];
	}
	saver->map_count = kept;
	return r;
}

/* The numbers of proc(5)'s list that we want, and where they go. */
static void saver_take_number(struct image_header *header, int number, uint64_t value)
{
	const struct {
		int number;
		uint64_t *to;
	} rows[] = {
		{ 26, &header->code[0] },
		{ 27, &header->code[1] },
		{ 28, &header->stack },
		{ 45, &header->data[0] },
		{ 46, &header->data[1] },
		{ 47, &header->brk[0] },
		{ 48, &header->arguments[0] },
		{ 49, &header->arguments[1] },
		{ 50, &header->environment[0] },
		{ 51, &header->environment[1] },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].number == number)
			*rows[i].to = value;
}

int saver_read_process(struct saver *saver)
{
	struct image_header *header = &saver->header;

	int len = saver_read_file("/proc/self/stat", saver->chunk, sizeof(saver->chunk) - 1);
	if (len < 0)
		return saver_refuse(saver, -len, "/proc/self/stat cannot be read");
	saver->chunk[len] = '\0';
	char *at = strrchr(saver->chunk, ')'); /* its name may be of anything */
	for (int number = 3; at && number <= 51; number++) {
		at = strchr(at + 1, ' ');
		if (at)
			saver_take_number(header, number, strtoull(at + 1, NULL, 10));
	}
	len = saver_read_file("/proc/self/auxv", (char *)header->auxv, sizeof(header->auxv));
	if (len < 0)
		return saver_refuse(saver, -len, "/proc/self/auxv cannot be read");
	header->auxv_count = (uint64_t)len / sizeof(header->auxv[0]);
	return 0;
}
