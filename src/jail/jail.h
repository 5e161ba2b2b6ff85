#pragma once
/*
 * The jail: what a process does to itself between clone and exec (or the return into an
 * interpreter), so that what it becomes sees and may do what doc says and nothing else. The steps
 * are a table (jail.c).
 */
#include "jail/filter.h"
#include "os/cgroup.h"
#include "wire/frames.h"

#include <limits.h>
#include <stdint.h>

enum jail_kind {
	JAIL_INIT = 1,	  /* process 1 of a sandbox that is not any function's yet */
	JAIL_RUNTIME = 2, /* into such a sandbox: the function's runtime */
	JAIL_MOUNTER = 4, /* the same, only to put the function's code there */
	JAIL_ZYGOTE = 8,  /* an interpreter, of root still, that forks runtimes */
	JAIL_UNPACK = 16,
	JAIL_MOULD = 32, /* who makes the mounts that all sandboxes begin with, once */
};

/* Ports on 127.0.0.1 inside a sandbox. */
enum { RUNTIME_API_PORT = 9001, AWS_ENDPOINT_PORT = 4566 };

/* The size of /tmp before it is a function's, AWS's default. */
enum { JAIL_TMP_MB = 512 };

/* Descriptors of a runtime that begins, besides 0, 1 and 2. Exec closes them. */
enum { JAIL_FD_ENV = 3, JAIL_FD_REPORT = 4, JAIL_FD_PARENT = 5 };
/* And of one that is saved or restored; exec does not close the first. */
enum { JAIL_FD_IMAGE = 6, JAIL_FD_RESTORE = 7 };
/* Those of an interpreter that is a zygote; exec does not close them. */
enum { ZYGOTE_FD_SOCKET = 3, ZYGOTE_FD_PARENT = 4, ZYGOTE_FD_FILTER = 5 };

enum { GRAFTS_MAX = 3 + PACK_BINDS_MAX };

/* A tree of files that another process cut out of its own mounts, and where it goes. */
struct graft {
	int tree;
	const char *path; /* relative to the root */
};

/*
 * Everything that the steps need. Descriptors are borrowed from the parent: the process is
 * its own copy, and closes all but those it goes on with.
 */
struct jail {
	enum jail_kind kind;
	uint32_t uid;
	int parent;	  /* pidfd: without it there is no life */
	const int *joins; /* CGROUP_TREES files to enter a cgroup by, or -1 */
	const struct filter *filter;
	int null;
	int report; /* a SOCK_SEQPACKET: who waits for us hears notes from it */

	/* those that make a root */
	const char *data_dir; /* see places.c */

	/* INIT */
	int network; /* a network namespace that was used before, or -1 */
	int mould;   /* the mount namespace to begin with; of MOULD: the one that it made */

	/* MOULD */
	const struct pack_spec *packs; /* for all of them there are places */
	uint32_t pack_count;

	/* RUNTIME and MOUNTER */
	int target; /* pidfd of process 1 */
	const struct graft *grafts;
	uint32_t graft_count;
	uint32_t bind_count; /* the last of the grafts: skipped where there is something already */
	uint32_t tmp_mb;     /* the size of /tmp; 0: as it is */
	int env;	     /* the environment block */
	int log;	     /* the function's output */
	int image;	     /* what it is saved to or restored from; -1: neither */

	/* ZYGOTE */
	const struct pack_spec *pack;
	int socket, filter_file;
	const char *library; /* its path: what is preloaded */

	/* UNPACK */
	int zip;
	const char *out; /* name in DATA/code/tmp of the directory that is bound at /out */
	int program;
	uint64_t bytes_max;
	uint32_t entries_max;

	int root; /* the new root, from the step that makes it */
};

/*
 * In the warden, before there are sandboxes: have their mounts made by a child, in *ret_mould, a
 * mount namespace (the caller's). 0 or a fault.
 */
[[nodiscard]] int jail_make_mould(
	const struct warden_boot *boot, int parent, int null, int *ret_mould);

/* Take all the steps: 0; or -errno, and the step has been named to who hears the report. */
[[nodiscard]] int jail_enter(struct jail *jail);

/* A step: 0 or -errno. */
typedef int jail_step_fn(struct jail *jail);

/* jail_mounts.c, in the order of jail.c's table */
jail_step_fn jail_make_root, jail_make_etc, jail_make_places, jail_bind_pack, jail_bind_preload,
	jail_pivot, jail_name_user, jail_make_tmp, jail_make_proc, jail_bind_out, jail_graft,
	jail_resize_tmp, jail_enter_code;

/* Where a zygote finds the library that makes it one: see zygote/preload.c. */
#define ZYGOTE_LIBRARY "/run/mayfly-zygote.so"
