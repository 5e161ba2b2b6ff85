#pragma once
/* What the machine has. */
#include <stdint.h>

/* Bytes of memory that processes here can have: the machine's, or what its container may use. */
uint64_t host_memory_bytes(void);
/* Processors that this process may run on; at least 1. */
unsigned host_cpus(void);

/* A descriptor for host_runnable(); -1 when the host does not tell. */
int host_runnable_open(void);
/*
 * How many threads of the host run or want to at this moment, the caller's included; 0 when that is not known. A system
 * call of a microsecond. proc_loadavg(5): "the number of currently runnable kernel scheduling entities".
 */
unsigned host_runnable(int fd);
