#pragma once
/*
 * What of a snapshot is the processor's: x86-64. Included by a program without a C library.
 */
#include "snapshot/image.h"

#include <cpuid.h>

/* The registers that a function gives back as it got them. */
struct machine_context {
	uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
	uint32_t mxcsr;
	uint16_t x87_control;
	uint16_t reserved;
};

/*
 * Note where we are: 0. Whoever lands there later, in a copy of this memory, returns from here too, with 1.
 * The caller may not return meanwhile, and finds its variables as they were at the first return or
 * since: those that are to be right are constant from there on.
 */
[[gnu::returns_twice]] int machine_mark(struct machine_context *context);

/*
 * Jumped to by whoever restores, with all memory in place: unmap it (rdi, rsi: where and how many
 * bytes) and go on at the mark (rdx). Never called.
 */
void machine_land(void);

/* What programs choose their code by. The same words of two machines: what runs here runs there. */
static inline void machine_cpu(uint32_t *ret_words)
{
	uint32_t a, b, c, d;

	__cpuid(1, a, b, c, d);
	ret_words[0] = c;
	ret_words[1] = d;
	__cpuid_count(7, 0, a, b, c, d);
	ret_words[2] = b;
	ret_words[3] = c;
	ret_words[4] = d;
	__cpuid(0x80000001, a, b, c, d);
	ret_words[5] = c;
	ret_words[6] = d;
	ret_words[7] = 0;
	if (ret_words[0] & bit_OSXSAVE) { /* which registers the kernel keeps */
		__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
		ret_words[7] = a;
	}
}
