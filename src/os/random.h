#pragma once
/* Random bytes of the kernel (getrandom); ids made of them. */
#include <stddef.h>

/* Fill `to`; never fails (the kernel's pool is initialised before we run). */
void random_bytes(void *to, size_t len);

/*
 * The same for identifiers, at most 2,048 bytes at a time: mostly without a system call. Not for
 * a process that forks and goes on in both: they would make the same ones.
 */
void random_id_bytes(void *to, size_t len);

enum { UUID_LEN = 36 };

/* A random version 4 UUID in lower case, NUL-terminated. */
void random_uuid(char to[static UUID_LEN + 1]);
