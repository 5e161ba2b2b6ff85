#pragma once
/*
 * For tests: a disk that fails. faulty_vfs_install() puts itself before SQLite's default VFS; the n-th
 * write, sync or truncation from then on fails (see faulty_vfs_countdown).
 */
#include <stdbool.h>
#include <stddef.h>

/* Call before the first database is opened. */
void faulty_vfs_install(void);

/* When n > 0, the n-th write, sync or truncation fails, and the countdown ends at 0. */
extern int faulty_vfs_countdown;

/* What it fails with (an SQLite result code), and whether all that follow fail too. */
extern int faulty_vfs_code;
extern bool faulty_vfs_stays;
