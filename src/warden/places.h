#pragma once
/* The data directory, as descriptors: after start no path of it is used but in the jails. */
#include "wire/frames.h"

struct places {
	int data;
	int router; /* the router's working directory */
	int code;   /* one directory a digest */
	int tmp;    /* inside code, on the same file system: what is not finished */
	int lock;
	char name[24]; /* of this instance: mayfly-… */
};

/* In DATA: locked by the janitor while it lives. */
#define JANITOR_LOCK "janitor.lock"

/* What places_open() can answer. */
enum places_answer {
	PLACES_OPEN = 0,
	PLACES_TAKEN, /* another warden serves this directory */
};

/*
 * Make what is missing, set owners and modes, lock it for this process, and remove what an
 * earlier instance left unfinished. Waits for the janitor of one that was killed.
 */
[[nodiscard]] int places_open(const struct warden_boot *boot, struct places *ret_places);

/*
 * Open an unpacked directory by digest, without leaving `code` and without following a link.
 * -ENOENT when there is none, or a fault. The caller closes it.
 */
[[nodiscard]] int places_open_code(int code, const uint8_t digest[static DIGEST_LEN], int *ret_dir);

enum { DIGEST_HEX_SIZE = 2 * DIGEST_LEN + 1 };

/* The name of a digest's directory. */
void places_hex(const uint8_t digest[static DIGEST_LEN], char to[static DIGEST_HEX_SIZE]);
