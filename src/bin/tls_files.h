#pragma once
/* Certificate and key, from descriptors: for serve, which has opened the files, and for the router, which may not. */
#include "base/buf.h"
#include "wire/boot.h"

struct settings;
struct tls_identity;

/*
 * What these two files have (they stay the caller's): an answer of tls_identity_new(), which `error` explains with the paths
 * of the settings, or a fault. *ret_identity is NULL when both are empty. Blocks on the files.
 */
[[nodiscard]] int tls_files_read(const int files[static TLS_FILES], const struct settings *settings,
	struct buf *error, struct tls_identity **ret_identity);
