#pragma once
/* The lines that serve wrote for the router: settings and packs. */
#include "bin/settings.h"

struct runtimes;

/* Read them from a descriptor: 0, or a fault (-EPROTO: not what serve writes). */
[[nodiscard]] int router_settings_read(
	int fd, struct settings *settings, struct runtimes *runtimes);
