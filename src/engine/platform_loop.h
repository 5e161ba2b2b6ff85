#pragma once
/* The loop's side of platform.h: what the router gives on to waiting workers. */
#include "engine/platform.h"

/* The warden has answered a platform_unpack(). Loop thread. */
void platform_on_unpacked(const struct unpacked_frame *frame);
