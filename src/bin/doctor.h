#pragma once
/* `mayfly doctor`: what this machine lacks, if anything, in words, and what to do about it. */
#include <stdbool.h>

/*
 * Check everything the daemon needs of the kernel, the rights and the place, for the address and
 * the data directory of the settings (environment and defaults), and print what was found as text or as
 * JSON. Changes nothing. 0 when the daemon can run, 1 when something that it needs is missing.
 */
int doctor_run(bool as_json);

/* The command: `mayfly doctor [-o text|json] [--listen ADDR:PORT] [--data DIR]`. Returns the exit status. */
int doctor_main(int argc, char **argv);
