#pragma once
/* Ids of requests. */
#include "os/random.h"

/* As random_uuid(), but asks the kernel once for many. Loop thread only. */
void request_id_next(char to[static UUID_LEN + 1]);
