#pragma once
#include <stdbool.h>

/*
 * The router's own seccomp filter: the system calls of an event loop, threads and files, and nothing else. Called
 * once, when all libraries are loaded; every thread made later inherits it. Connections out only with `may_connect`.
 */
[[nodiscard]] int router_filter_install(bool may_connect);
