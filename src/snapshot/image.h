#pragma once
/*
 * The image of a process, as save*.c write it and restore.c reads it:
 *
 *	struct image_header │ struct image_map … │ struct image_file … │ struct image_descriptor … │ paths │
 *	pages │ hole │ pages …
 *
 * It is of one machine and one boot of it, more or less: whoever restores compares the processor,
 * the kernel (by its vdso) and the files that it maps again. All offsets are of whole pages; what is
 * a hole in the file is zero.
 *
 * A process that could not be saved leaves one line of text instead: IMAGE_REFUSED, its errno, why.
 *
 * Included by a program without a C library: types and inline functions alone.
 */
#include <stdint.h>

enum {
	IMAGE_VERSION = 1,
	IMAGE_PAGE = 4096,
	IMAGE_MAPS_MAX = 8192,
	IMAGE_FILES_MAX = 2048,
	IMAGE_DESCRIPTORS_MAX = 256,
	IMAGE_PATHS_MAX = 256 * 1024, /* bytes of all of them */
	IMAGE_PATH_MAX = 4096,
	IMAGE_SIGNALS = 64,
	IMAGE_AUXV_MAX = 96, /* numbers, not pairs */
	IMAGE_VDSO_MAX = 4,  /* mappings: vvar, vvar_vclock, vdso… */
	IMAGE_CPU_WORDS = 8,
	IMAGE_SIGNATURE = 0x53053053, /* glibc's for rseq on x86 */
};

#define IMAGE_MAGIC   "mayfly\x1a\n"
#define IMAGE_REFUSED "refused "
/* Where whoever restores is while it does: no process is there by itself. With its vicinity. */
#define IMAGE_RESTORER 0x290000000000ULL
#define IMAGE_VICINITY 0x10000000ULL
#define IMAGE_TOP      0x7ffffffff000ULL /* the end of what a process can have */

enum image_kind {
	IMAGE_EMPTY, /* zero */
	IMAGE_DATA,  /* private pages of the image */
	IMAGE_COPY,  /* memory into which pages of the image are read: what cannot be of a file */
	IMAGE_FILE,  /* pages of another file, as they are there */
};

enum image_map_flag {
	IMAGE_GROWS = 1, /* downwards: a stack */
	IMAGE_SHARED = 2,
	IMAGE_NORESERVE = 4,
	IMAGE_DROPPABLE = 8,
	IMAGE_DONTFORK = 16,
	IMAGE_WIPEONFORK = 32,
	IMAGE_DONTDUMP = 64,
	IMAGE_HUGE = 128,
	IMAGE_NOHUGE = 256,
};

struct image_map {
	uint64_t start, end;
	uint64_t offset; /* in the image or the file */
	uint32_t kind;	 /* enum image_kind */
	uint32_t prot;	 /* PROT_… */
	uint32_t flags;	 /* enum image_map_flag */
	uint32_t file;	 /* of IMAGE_FILE: which */
};

struct image_file {
	uint64_t device, inode, size;
	int64_t mtime_s, mtime_ns;
	uint64_t special; /* a device's number; then nothing else of it counts */
	uint64_t path;	  /* where in the paths; ends with NUL */
};

enum image_descriptor_kind {
	IMAGE_REOPENED, /* a file that is only read, or a device */
	IMAGE_HUNG_UP,	/* a connection: its peer has gone */
	IMAGE_COPIED,	/* of descriptor 0, 1 or 2 */
};

struct image_descriptor {
	uint32_t number, kind;
	uint32_t flags; /* O_… */
	uint32_t other; /* the file, or the descriptor that it is a copy of */
	uint64_t position;
};

struct image_range {
	uint64_t start, end;
};

/* As the kernel's own, which C libraries hide behind theirs. */
struct image_signal {
	uint64_t handler, flags, restorer, mask;
};

struct image_header {
	char magic[8];
	uint32_t version, page_size;
	uint64_t size; /* of the file */
	uint32_t map_count, file_count, descriptor_count, reserved;
	uint64_t maps_at, files_at, descriptors_at, paths_at, paths_len;
	uint32_t cpu[IMAGE_CPU_WORDS];

	/* The kernel's own mappings, in order of their addresses; the last is the vdso. */
	uint32_t vdso_count, pid;
	struct image_range vdso[IMAGE_VDSO_MAX];
	uint64_t vdso_hash;

	/* Its one thread. */
	uint64_t land, context; /* see machine.h */
	uint64_t fs, gs;
	uint64_t tid_address;
	uint64_t robust_list, robust_len;
	uint64_t rseq, rseq_len; /* len 0: none */
	uint64_t altstack, altstack_size;
	uint32_t altstack_flags, umask;
	uint64_t blocked;
	struct image_signal signals[IMAGE_SIGNALS];

	/* What the kernel tells others about its memory, and brk(). */
	uint64_t code[2], data[2], brk[2], stack, arguments[2], environment[2];
	uint64_t auxv_count;
	uint64_t auxv[IMAGE_AUXV_MAX];
	char name[16];
	char directory[IMAGE_PATH_MAX];
};

/* Of what a kernel maps into each process: another kernel, or another processor, has another. */
static inline uint64_t image_hash(const uint64_t *words, uint64_t count)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (uint64_t i = 0; i < count; i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 29;
	}
	return hash;
}
