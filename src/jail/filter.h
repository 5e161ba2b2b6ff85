#pragma once
/*
 * The seccomp programs: which system calls a sandbox, its process 1, and an unpacker may make.
 * Compiled once at start; installing one is a single system call in the child.
 */
#include <linux/filter.h>

enum filter_kind { FILTER_SANDBOX, FILTER_UNPACK, FILTER_INIT, FILTER_KINDS };

enum { FILTER_LEN_MAX = 2048 };

struct filter {
	unsigned short len;
	struct sock_filter program[FILTER_LEN_MAX];
};

/* Compile the program of a kind. Allocates: only at start. 0 or a fault. */
[[nodiscard]] int filter_compile(enum filter_kind kind, struct filter *ret_filter);

/* Install it for the calling process and all it becomes. NO_NEW_PRIVS must be set. 0 or -errno. */
[[nodiscard]] int filter_install(const struct filter *filter);
