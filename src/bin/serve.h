#pragma once
/*
 * `mayfly serve`: resolve the settings, find the runtimes, and become the warden. Runs as root, reads no network
 * bytes, and ends by exec.
 */
#include <stddef.h>

/* argv without "mayfly serve". Returns the exit status when it could not start; does not return otherwise. */
int serve_main(int argc, char **argv);

/* The folder of our own program: the warden and the unpacker stand in it. 0 or a fault. */
[[nodiscard]] int serve_program_folder(char *to, size_t size);
/* Where the runtime packs are unless a setting says otherwise. 0 or a fault. */
[[nodiscard]] int serve_packs_folder(char *to, size_t size);
