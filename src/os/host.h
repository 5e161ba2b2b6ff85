#pragma once
/* What the machine has. */
#include <stdint.h>

/* Bytes of memory that processes here can have: the machine's, or what its container may use. */
uint64_t host_memory_bytes(void);
/* Processors that this process may run on; at least 1. */
unsigned host_cpus(void);
