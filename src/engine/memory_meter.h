#pragma once
/*
 * What a sandbox holds in memory, from two files of its cgroup.
 *
 * /tmp is a tmpfs, and the kernel counts its pages like any others of the function. On AWS it is a disk: a
 * full /tmp is an error of write(2), whatever MemorySize is. So the kernel's limit is MemorySize plus
 * the size of /tmp, and MemorySize is held against what the function holds beside files, by looking
 * (environment_end.c). Below MemorySize one small file tells that nothing can be wrong.
 */
#include <stdbool.h>
#include <stdint.h>

enum { MEMORY_LOOK_MS = 100 }; /* how often environments that work are looked at */

struct memory_meter {
	int peak_fd; /* memory.peak: the most that was ever held, files included; -1: unknown */
	int stat_fd; /* memory.stat: what of it is what; -1: unknown */
	uint64_t limit;
	uint64_t total; /* the most that was seen */
	uint64_t peak;	/* the same without files where these matter */
};

/* Nothing is known. */
void memory_meter_init(struct memory_meter *meter);
/* Two files (taken, replacing those before; -1: unknown) and MemorySize in bytes. */
void memory_meter_open(struct memory_meter *meter, int peak_fd, int stat_fd, uint64_t limit);
void memory_meter_close(struct memory_meter *meter);
/* Look: false when it holds more than the limit. What cannot be read changes nothing. */
[[nodiscard]] bool memory_meter_look(struct memory_meter *meter);
/* The peak that the kernel told at the end, and whether it had to kill for memory. */
void memory_meter_end(struct memory_meter *meter, uint64_t peak, bool is_oom);
