/*
 * A process becomes another one: the program that is exec'ed with the image of a saved process as
 * descriptor IMAGE_FD. It has no C library, and lies where no process is, since all of the
 * memory of the saved process comes to where it was. Its way:
 *
 *	look at the image; move the kernel's own mappings (vdso) near; unmap all else; map the image's
 *	pieces; move the kernel's mappings to where they were; give the kernel what it keeps for a
 *	process; jump into the saved process, which unmaps what is left of us (machine_land)
 *
 * Whatever is wrong with an image, only this process is harmed, which has the rights of the saved one;
 * all the same nothing is believed that could make it jump, or write, before it has been looked at.
 * Any failure ends it with status 127 and a line on descriptor 2.
 *
 * Descriptors 0, 1 and 2 stay. What is ENV_FD becomes IMAGE_FD, a number that the saved process
 * had in use and has nothing of its own at.
 */
#include "snapshot/image.h"
#include "snapshot/machine.h"

#include <asm/prctl.h>
#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/auxvec.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	ENV_FD = 3,   /* JAIL_FD_ENV */
	IMAGE_FD = 6, /* JAIL_FD_IMAGE */
	STACK_SIZE = 32 * 1024,
	STATUS = 127,
	SET_MASK = 2, /* SIG_SETMASK */
	LOCAL = 1,    /* AF_UNIX */
	STREAM = 1,   /* SOCK_STREAM */
	SIGNAL_BYTES = 8,
};

/* Where the kernel's mappings wait, in our vicinity. */
#define WAITING_AT (IMAGE_RESTORER + IMAGE_VICINITY / 2)

struct altstack {
	uint64_t at;
	int32_t flags;
	uint64_t size;
};

[[gnu::used, gnu::aligned(16)]] static char stack[STACK_SIZE];
static struct image_header header;
static struct image_map maps[IMAGE_MAPS_MAX];
static struct image_file files[IMAGE_FILES_MAX];
static struct image_descriptor descriptors[IMAGE_DESCRIPTORS_MAX];
static char paths[IMAGE_PATHS_MAX + 1];
static struct {
	int fd;
	uint32_t number;
} opened = { -1, 0 };

static long kernel6(
	long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

#define at(pointer)	      ((uint64_t)(uintptr_t)(pointer))
#define kernel1(number, a)    kernel6((number), (uint64_t)(a), 0, 0, 0, 0, 0)
#define kernel2(number, a, b) kernel6((number), (uint64_t)(a), (uint64_t)(b), 0, 0, 0, 0)
#define kernel3(number, a, b, c) \
	kernel6((number), (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), 0, 0, 0)
#define kernel4(number, a, b, c, d) \
	kernel6((number), (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), 0, 0)
#define kernel5(number, a, b, c, d, e)                                                \
	kernel6((number), (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), \
		(uint64_t)(e), 0)

static void say(const char *text)
{
	size_t len = 0;

	while (text[len])
		len++;
	(void)kernel3(__NR_write, 2, at(text), len);
}

static _Noreturn void fail(const char *step, long r)
{
	char digits[24] = {};
	size_t i = sizeof(digits) - 1;

	for (uint64_t n = (uint64_t)-r; n > 0 || i == sizeof(digits) - 1; n /= 10)
		digits[--i] = (char)('0' + n % 10);
	say("restore: ");
	say(step);
	say(": ");
	say(digits + i);
	say("\n");
	for (;;)
		(void)kernel1(__NR_exit_group, STATUS);
}

static void must(const char *step, long r)
{
	if (r < 0)
		fail(step, r);
}

static void need(const char *step, bool is_right)
{
	if (!is_right)
		fail(step, -EINVAL);
}

/* Read exactly so many bytes of the image. */
static void image_read(const char *step, uint64_t to, uint64_t len, uint64_t offset)
{
	while (len > 0) {
		long n = kernel4(__NR_pread64, IMAGE_FD, to, len, offset);
		if (n == -EINTR)
			continue;
		must(step, n == 0 ? -ENODATA : n);
		to += (uint64_t)n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
}

static bool is_page(uint64_t value)
{
	return value % IMAGE_PAGE == 0;
}

static bool is_within(uint64_t offset, uint64_t len, uint64_t size)
{
	return offset <= size && len <= size - offset;
}

static bool is_near(uint64_t start, uint64_t end)
{
	return start < IMAGE_RESTORER + IMAGE_VICINITY && end > IMAGE_RESTORER;
}

/* A range of addresses that a saved process may have had. */
static bool is_range(uint64_t start, uint64_t end)
{
	return is_page(start) && is_page(end) && start >= IMAGE_PAGE && start < end &&
		end <= IMAGE_TOP && !is_near(start, end);
}

static void check_map(const struct image_map *map, uint64_t after)
{
	need("mapping", is_range(map->start, map->end) && map->start >= after);
	need("mapping", map->prot <= 7 && map->kind <= IMAGE_FILE && is_page(map->offset));
	if (map->kind == IMAGE_DATA || map->kind == IMAGE_COPY)
		need("mapping", is_within(map->offset, map->end - map->start, header.size));
	if (map->kind == IMAGE_FILE)
		need("mapping", map->file < header.file_count && map->offset < INT64_MAX / 2);
}

static void check_vdso(void)
{
	need("vdso", header.vdso_count > 0 && header.vdso_count <= IMAGE_VDSO_MAX);
	for (uint32_t i = 0; i < header.vdso_count; i++) {
		const struct image_range *range = &header.vdso[i];
		need("vdso", is_range(range->start, range->end));
		need("vdso", range->start >= (i ? header.vdso[i - 1].end : 0));
		need("vdso", range->end - header.vdso[0].start <= IMAGE_VICINITY / 4);
		for (uint32_t k = 0; k < header.map_count; k++)
			need("vdso", maps[k].end <= range->start || maps[k].start >= range->end);
	}
}

/* Is it memory that the image brings? */
static bool is_mapped(uint64_t start, uint64_t len, uint32_t prot)
{
	for (uint32_t i = 0; i < header.map_count; i++)
		if (start >= maps[i].start && start < maps[i].end)
			return len <= maps[i].end - start && (maps[i].prot & prot) == prot;
	return false;
}

static void check_machine(uint64_t page_size)
{
	uint32_t cpu[IMAGE_CPU_WORDS];

	need("page size", header.page_size == IMAGE_PAGE && page_size == IMAGE_PAGE);
	machine_cpu(cpu);
	for (int i = 0; i < IMAGE_CPU_WORDS; i++)
		if (header.cpu[i] & ~cpu[i])
			fail("processor", -ENOEXEC);
	/* Whoever knows a fork by its number would not know that it is a copy: snapshot.h. */
	if (kernel1(__NR_getpid, 0) == (long)header.pid)
		fail("process number", -EEXIST);
}

static void read_image(uint64_t page_size)
{
	struct stat st;

	must("image", kernel2(__NR_fstat, IMAGE_FD, at(&st)));
	image_read("image", at(&header), sizeof(header), 0);
	for (size_t i = 0; i < sizeof(header.magic); i++)
		need("magic", header.magic[i] == IMAGE_MAGIC[i]);
	need("version", header.version == IMAGE_VERSION);
	need("size", header.size == (uint64_t)st.st_size);
	check_machine(page_size);
	need("tables", header.map_count <= IMAGE_MAPS_MAX && header.file_count <= IMAGE_FILES_MAX);
	need("tables",
		header.descriptor_count <= IMAGE_DESCRIPTORS_MAX &&
			header.paths_len <= IMAGE_PATHS_MAX && header.auxv_count <= IMAGE_AUXV_MAX);
	image_read("mappings", at(maps), header.map_count * sizeof(maps[0]), header.maps_at);
	image_read("files", at(files), header.file_count * sizeof(files[0]), header.files_at);
	image_read("descriptors", at(descriptors), header.descriptor_count * sizeof(descriptors[0]),
		header.descriptors_at);
	image_read("paths", at(paths), header.paths_len, header.paths_at);
	for (uint32_t i = 0; i < header.map_count; i++)
		check_map(&maps[i], i ? maps[i - 1].end : 0);
	for (uint32_t i = 0; i < header.file_count; i++)
		need("path", files[i].path < header.paths_len);
	check_vdso();
	need("landing",
		is_mapped(header.land, 1, PROT_EXEC) &&
			is_mapped(header.context, sizeof(struct machine_context), PROT_READ) &&
			is_mapped(header.tid_address, sizeof(int32_t), PROT_WRITE));
	header.directory[IMAGE_PATH_MAX - 1] = '\0';
	header.name[sizeof(header.name) - 1] = '\0';
}

/* Move the kernel's mappings, whose layout is the saved process's, from where they begin to elsewhere. */
static void move_vdso(uint64_t from, uint64_t to)
{
	for (uint32_t i = 0; i < header.vdso_count; i++) {
		uint64_t offset = header.vdso[i].start - header.vdso[0].start;
		uint64_t len = header.vdso[i].end - header.vdso[i].start;
		must("vdso",
			kernel5(__NR_mremap, from + offset, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
				to + offset));
	}
}

static void take_vdso(uint64_t vdso)
{
	const struct image_range *last = &header.vdso[header.vdso_count - 1];

	need("vdso", is_page(vdso) && vdso >= last->start - header.vdso[0].start + IMAGE_PAGE);
	move_vdso(vdso - (last->start - header.vdso[0].start), WAITING_AT);
	const uint64_t *words = (const uint64_t *)(WAITING_AT +
		(last->start - header.vdso[0].start));
	if (image_hash(words, (last->end - last->start) / sizeof(*words)) != header.vdso_hash)
		fail("kernel", -ENOEXEC);
}

/* Open a file, if it still is what it was. */
static int open_file(uint32_t number, uint32_t flags)
{
	const struct image_file *file = &files[number];
	const char *path = paths + file->path;
	struct stat st;

	int fd = (int)kernel3(__NR_open, at(path), flags | O_NOCTTY, 0);
	if (fd < 0)
		fail(path, fd);
	must("file", kernel2(__NR_fstat, fd, at(&st)));
	if (file->special ? st.st_rdev != file->special
			  : st.st_dev != file->device || st.st_ino != file->inode ||
				(uint64_t)st.st_size != file->size ||
				(int64_t)st.st_mtime != file->mtime_s ||
				(int64_t)st.st_mtime_nsec != file->mtime_ns)
		fail(path, -ESTALE);
	return fd;
}

/* The file behind a piece. It stays open: mostly the next piece is of the same one. */
static int open_mapped(uint32_t number)
{
	if (opened.fd >= 0 && opened.number == number)
		return opened.fd;
	if (opened.fd >= 0)
		(void)kernel1(__NR_close, opened.fd);
	opened.number = number;
	opened.fd = open_file(number, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return opened.fd;
}

static long map_at(const struct image_map *map, uint32_t prot, uint64_t flags, int fd)
{
	if (map->flags & IMAGE_NORESERVE)
		flags |= MAP_NORESERVE;
	long r = kernel6(__NR_mmap, map->start, map->end - map->start, prot, flags | MAP_FIXED,
		(uint64_t)fd, map->offset);
	return r >= 0 && (uint64_t)r != map->start ? -EFAULT : r;
}

static long map_nothing(const struct image_map *map, uint32_t prot)
{
	uint64_t flags = MAP_ANONYMOUS;

	if (map->flags & IMAGE_DROPPABLE)
		flags |= 0x08; /* MAP_DROPPABLE */
	else
		flags |= map->flags & IMAGE_SHARED ? MAP_SHARED : MAP_PRIVATE;
	if (map->flags & IMAGE_GROWS)
		flags |= MAP_GROWSDOWN;
	struct image_map nowhere = *map;
	nowhere.offset = 0;
	return map_at(&nowhere, prot, flags, -1);
}

static void map_copy(const struct image_map *map)
{
	must("memory", map_nothing(map, PROT_READ | PROT_WRITE));
	image_read("memory", map->start, map->end - map->start, map->offset);
	if (map->prot != (PROT_READ | PROT_WRITE))
		must("protection",
			kernel3(__NR_mprotect, map->start, map->end - map->start, map->prot));
}

static void advise(const struct image_map *map)
{
	static const struct {
		uint32_t flag;
		int advice;
	} rows[] = {
		{ IMAGE_DONTFORK, MADV_DONTFORK },
		{ IMAGE_WIPEONFORK, MADV_WIPEONFORK },
		{ IMAGE_DONTDUMP, MADV_DONTDUMP },
		{ IMAGE_HUGE, MADV_HUGEPAGE },
		{ IMAGE_NOHUGE, MADV_NOHUGEPAGE },
	};

	for (size_t i = 0; map->flags >= IMAGE_DONTFORK && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (map->flags & rows[i].flag) /* refused where the kernel cannot: no harm */
			(void)kernel3(
				__NR_madvise, map->start, map->end - map->start, rows[i].advice);
}

static void map_piece(const struct image_map *map)
{
	long r;

	switch (map->kind) {
	case IMAGE_EMPTY:
		must("memory", map_nothing(map, map->prot));
		break;
	case IMAGE_DATA:
		r = map_at(map, map->prot, MAP_PRIVATE, IMAGE_FD);
		if (r == -EPERM) /* code, and the image is where none may be */
			map_copy(map);
		else
			must("data", r);
		break;
	case IMAGE_COPY:
		map_copy(map);
		break;
	default:
		must(paths + files[map->file].path,
			map_at(map, map->prot, map->flags & IMAGE_SHARED ? MAP_SHARED : MAP_PRIVATE,
				open_mapped(map->file)));
	}
	advise(map);
}

static void map_all(void)
{
	must("unmap", kernel2(__NR_munmap, 0, IMAGE_RESTORER));
	must("unmap",
		kernel2(__NR_munmap, IMAGE_RESTORER + IMAGE_VICINITY,
			IMAGE_TOP - IMAGE_RESTORER - IMAGE_VICINITY));
	for (uint32_t i = 0; i < header.map_count; i++)
		map_piece(&maps[i]);
	move_vdso(WAITING_AT, header.vdso[0].start);
}

/* brk(), and what /proc shows. It needs no rights, as long as the program itself is not changed. */
static void set_memory(void)
{
	struct prctl_mm_map map = {
		.start_code = header.code[0],
		.end_code = header.code[1],
		.start_data = header.data[0],
		.end_data = header.data[1],
		.start_brk = header.brk[0],
		.brk = header.brk[1],
		.start_stack = header.stack,
		.arg_start = header.arguments[0],
		.arg_end = header.arguments[1],
		.env_start = header.environment[0],
		.env_end = header.environment[1],
		.auxv = (void *)header.auxv,
		.auxv_size = (uint32_t)(header.auxv_count * sizeof(header.auxv[0])),
		.exe_fd = UINT32_MAX,
	};

	must("brk", kernel5(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, at(&map), sizeof(map), 0));
}

static void set_thread(void)
{
	if (header.rseq_len) {
		need("rseq", is_mapped(header.rseq, header.rseq_len, PROT_WRITE));
		*(uint64_t *)(header.rseq + 8) = 0; /* it is in no critical section */
		must("rseq", kernel4(__NR_rseq, header.rseq, header.rseq_len, 0, IMAGE_SIGNATURE));
	}
	must("robust list", kernel2(__NR_set_robust_list, header.robust_list, header.robust_len));
	*(int32_t *)header.tid_address = (int32_t)kernel1(__NR_set_tid_address, header.tid_address);
	must("fs", kernel2(__NR_arch_prctl, ARCH_SET_FS, header.fs));
	if (header.gs)
		must("gs", kernel2(__NR_arch_prctl, ARCH_SET_GS, header.gs));
}

static void set_process(void)
{
	struct altstack altstack = { header.altstack, (int32_t)header.altstack_flags,
		header.altstack_size };

	must("directory", kernel1(__NR_chdir, at(header.directory)));
	(void)kernel1(__NR_umask, header.umask & 0777);
	must("name", kernel2(__NR_prctl, PR_SET_NAME, at(header.name)));
	if (altstack.size)
		must("sigaltstack", kernel2(__NR_sigaltstack, at(&altstack), 0));
	for (uint64_t i = 0; i < IMAGE_SIGNALS; i++) {
		const bool is_fixed = i + 1 == 9 || i + 1 == 19; /* SIGKILL, SIGSTOP */
		if (!is_fixed)
			must("signals",
				kernel4(__NR_rt_sigaction, i + 1, at(&header.signals[i]), 0,
					SIGNAL_BYTES));
	}
}

/* A stream whose other end is closed. */
static int open_hung_up(uint32_t flags)
{
	int pair[2];

	must("connection", kernel4(__NR_socketpair, LOCAL, STREAM, 0, at(pair)));
	(void)kernel1(__NR_close, pair[1]);
	must("connection", kernel3(__NR_fcntl, pair[0], F_SETFL, flags & O_NONBLOCK));
	return pair[0];
}

static int open_descriptor(const struct image_descriptor *descriptor)
{
	int fd;

	switch (descriptor->kind) {
	case IMAGE_REOPENED:
		need("descriptor", descriptor->other < header.file_count);
		fd = open_file(
			descriptor->other, descriptor->flags & (O_ACCMODE | O_NONBLOCK | O_APPEND));
		(void)kernel3(__NR_lseek, fd, descriptor->position, 0);
		return fd;
	case IMAGE_HUNG_UP:
		return open_hung_up(descriptor->flags);
	default:
		need("descriptor", descriptor->other <= 2);
		return (int)kernel1(__NR_dup, descriptor->other);
	}
}

static void set_descriptors(void)
{
	if (opened.fd >= 0)
		(void)kernel1(__NR_close, opened.fd);
	(void)kernel1(__NR_close, IMAGE_FD);
	(void)kernel2(__NR_dup2, ENV_FD, IMAGE_FD); /* there is none for who wants none */
	(void)kernel1(__NR_close, ENV_FD);
	/* In ascending order, so that what is opened on the way takes no place of a later one's. */
	for (uint32_t i = 0; i < header.descriptor_count; i++) {
		int number = (int)descriptors[i].number;
		int fd = open_descriptor(&descriptors[i]);
		if (fd != number) {
			must("descriptor", kernel2(__NR_dup2, fd, number));
			(void)kernel1(__NR_close, fd);
		}
		if (descriptors[i].flags & O_CLOEXEC)
			must("descriptor", kernel3(__NR_fcntl, number, F_SETFD, FD_CLOEXEC));
	}
}

static void jump(void)
{
	register uint64_t base __asm__("rdi") = IMAGE_RESTORER;
	register uint64_t len __asm__("rsi") = IMAGE_VICINITY;
	register uint64_t context __asm__("rdx") = header.context;

	__asm__ volatile("jmp *%3" ::"r"(base), "r"(len), "r"(context), "r"(header.land));
	__builtin_unreachable();
}

/* What the kernel tells a program that begins: argc, argv, 0, environment, 0, pairs of numbers. */
[[gnu::used]] static _Noreturn void begin(const uint64_t *words)
{
	uint64_t vdso = 0, page_size = 0, all = UINT64_MAX;

	(void)kernel4(__NR_rt_sigprocmask, SET_MASK, at(&all), 0, SIGNAL_BYTES);
	words += words[0] + 2;
	while (*words)
		words++;
	for (words++; words[0] != AT_NULL; words += 2) {
		if (words[0] == AT_SYSINFO_EHDR)
			vdso = words[1];
		if (words[0] == AT_PAGESZ)
			page_size = words[1];
	}
	read_image(page_size);
	take_vdso(vdso);
	map_all();
	set_memory();
	set_thread();
	set_process();
	set_descriptors();
	must("mask", kernel4(__NR_rt_sigprocmask, SET_MASK, at(&header.blocked), 0, SIGNAL_BYTES));
	jump();
	fail("landing", -EFAULT);
}

[[gnu::naked, gnu::used]] void _start(void);

void _start(void)
{
	__asm__("mov %%rsp, %%rdi\n"
		"lea stack+%c0(%%rip), %%rsp\n"
		"xor %%ebp, %%ebp\n"
		"call begin\n"
		"ud2\n" ::"i"(STACK_SIZE));
}
