#pragma once
/*
 * `mayfly serve`: resolve the settings, find the runtimes, and become the warden. Runs as root, reads no network
 * bytes, and ends by exec.
 */

/* argv without "mayfly serve". Returns the exit status when it could not start; does not return otherwise. */
int serve_main(int argc, char **argv);
