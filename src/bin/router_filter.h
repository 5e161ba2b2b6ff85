#pragma once
/*
 * The router's own seccomp filter: the system calls of an event loop, threads and files, and nothing else. Called
 * once, when all libraries are loaded; every thread made later inherits it.
 */
[[nodiscard]] int router_filter_install(void);
