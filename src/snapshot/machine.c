#include "snapshot/machine.h"

#include <assert.h>
#include <stddef.h>

static_assert(offsetof(struct machine_context, rsp) == 48);
static_assert(offsetof(struct machine_context, rip) == 56);
static_assert(offsetof(struct machine_context, mxcsr) == 64);
static_assert(offsetof(struct machine_context, x87_control) == 68);

[[gnu::naked]] int machine_mark([[maybe_unused]] struct machine_context *context)
{
	__asm__("mov %rbx, 0(%rdi)\n"
		"mov %rbp, 8(%rdi)\n"
		"mov %r12, 16(%rdi)\n"
		"mov %r13, 24(%rdi)\n"
		"mov %r14, 32(%rdi)\n"
		"mov %r15, 40(%rdi)\n"
		"lea 8(%rsp), %rax\n" /* as it is after the return */
		"mov %rax, 48(%rdi)\n"
		"mov (%rsp), %rax\n"
		"mov %rax, 56(%rdi)\n"
		"stmxcsr 64(%rdi)\n"
		"fnstcw 68(%rdi)\n"
		"xor %eax, %eax\n"
		"ret\n");
}

[[gnu::naked]] void machine_land(void)
{
	__asm__("mov $11, %eax\n" /* munmap */
		"syscall\n"
		"cld\n"
		"mov 0(%rdx), %rbx\n"
		"mov 8(%rdx), %rbp\n"
		"mov 16(%rdx), %r12\n"
		"mov 24(%rdx), %r13\n"
		"mov 32(%rdx), %r14\n"
		"mov 40(%rdx), %r15\n"
		"mov 48(%rdx), %rsp\n"
		"ldmxcsr 64(%rdx)\n"
		"fldcw 68(%rdx)\n"
		"mov $1, %eax\n"
		"jmp *56(%rdx)\n");
}
