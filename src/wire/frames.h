#pragma once
/*
 * What the router and the warden say to each other: fixed-size frames over a SOCK_SEQPACKET pair, descriptors by
 * SCM_RIGHTS. Nothing to parse: each frame is one struct, told by its first field. The router names handles (slot
 * and generation), digests and numbers of packs; never a path, an id of the system or a device.
 */
#include "wire/boot.h"
#include "wire/unpack.h"

#include <assert.h>
#include <stdint.h>

enum {
	DIGEST_LEN = 32,       /* SHA-256 of the ZIP */
	FRAME_LAYERS_MAX = 5,  /* AWS: "up to five layers" */
	ENV_BLOCK_MAX = 16384, /* bytes of a sandbox's NUL-separated environment */
};

/* A sandbox as the router knows it. A stale generation names nothing. */
struct sandbox_handle {
	uint32_t slot;
	uint32_t generation;
};

/* router → warden: requests. warden → router: events. One number space. */
enum frame_op {
	FRAME_NONE,
	/* requests */
	FRAME_READY,  /* the router serves; the warden prints Ready and resets its back-off */
	FRAME_UNPACK, /* 1 fd: the ZIP, readable, positioned anywhere */
	FRAME_FORGET, /* remove the unpacked code of a digest (no sandbox uses it) */
	FRAME_SPAWN, /* 2 fds: the environment block (sealed memfd), the write end of the log pipe */
	FRAME_SPAWN_IMAGE, /* FRAME_SPAWN with a third fd: a file to save to or to restore; START_GUARD: see there */
	FRAME_KILL,
	FRAME_TERMINATE, /* SIGTERM for the runtime */
	FRAME_FREEZE,
	FRAME_THAW,
	FRAME_HOLD,	   /* its initialisation is over: CPU has a ceiling now, if cpu_strict */
	FRAME_WARM,	   /* a pack will be used: have what starts it quickly */
	FRAME_GRAFT,	   /* give a sandbox that was spawned without code its function's */
	FRAME_DRAINED,	   /* the router has finished what was in flight (after FRAME_DRAIN) */
	FRAME_RENEWED,	   /* after each FRAME_RENEW */
	FRAME_REREAD_DONE, /* after each FRAME_REREAD, also when the file is wrong */
	/* events */
	FRAME_UNPACKED,
	FRAME_SPAWNED, /* 4 fds: listeners (Runtime API, AWS endpoint), memory.peak, memory.stat */
	FRAME_GRAFTED, /* the answer to FRAME_GRAFT */
	FRAME_EXITED,  /* the sandbox is gone, or never came to be */
	FRAME_DRAIN,   /* SIGTERM: take no new work, finish, answer FRAME_DRAINED */
	FRAME_RENEW,   /* SIGHUP; 2 fds: what the files of TLS have now, sealed memfds */
	FRAME_REREAD,  /* SIGHUP; 1 fd: the settings file, open for reading */
	FRAME_OPS
};

/* Every frame begins with this. `ticket` is the asker's, given back in the answer. */
struct frame_head {
	uint32_t op, reserved; /* which is zero */
	uint64_t ticket;
};

struct ready_frame { /* and FRAME_DRAINED, FRAME_DRAIN, FRAME_REREAD, FRAME_RENEW */
	struct frame_head head;
};

/* Unpack a ZIP into the code directory under its digest. Asking again for one that exists answers UNPACK_DONE. */
struct unpack_frame {
	struct frame_head head;
	uint8_t digest[DIGEST_LEN];
	uint64_t bytes_max; /* of all files unpacked */
	uint32_t entries_max, reserved;
};

struct unpacked_frame {
	struct frame_head head;
	uint32_t answer; /* enum unpack_answer */
	uint32_t detail; /* of UNPACK_FAULT: the errno */
	uint64_t bytes;	 /* unpacked size of all files */
};

struct forget_frame {
	struct frame_head head;
	uint8_t digest[DIGEST_LEN];
};

enum network_mode { NETWORK_ISOLATED, NETWORK_HOST, NETWORK_MODES };

/* How a runtime comes to be. */
enum start_mode {
	START_EXEC,    /* its program is executed */
	START_FORK,    /* it is forked from its pack's zygote; executed when that cannot be */
	START_RESTORE, /* it is restored from the image that comes with the spawn */
	START_GUARD, /* a guard, who gets the socket that comes with it, starts it beside its extensions */
	START_MODES
};

/* What makes a sandbox a function's. */
struct spawn_function {
	uint8_t code[DIGEST_LEN];
	uint8_t layers[FRAME_LAYERS_MAX][DIGEST_LEN];
	uint32_t layer_count;
	uint32_t memory_mb;  /* the cgroup's limit */
	uint32_t tmp_mb;     /* size of /tmp */
	uint32_t cpu_strict; /* 1: a ceiling of memory_mb / 1769 CPUs, from FRAME_HOLD on */
	uint32_t extra_mb;   /* added to memory_mb: /tmp lies in memory too */
	uint32_t has_code;   /* 0: a runtime without a function, FRAME_GRAFT follows */
};

struct spawn_frame {
	struct frame_head head;
	struct spawn_function function;
	uint32_t pack;	  /* index into warden_boot.packs */
	uint32_t network; /* enum network_mode */
	uint32_t start;	  /* enum start_mode: a wish */
	uint32_t reserved;
};

struct spawned_frame {
	struct frame_head head;
	struct sandbox_handle handle;
	uint32_t start; /* enum start_mode: how it was */
	uint32_t reserved;
};

/* Once in a sandbox's life, and only of one that has no code yet. */
struct graft_frame {
	struct frame_head head;
	struct sandbox_handle handle;
	struct spawn_function function; /* has_code: 1 */
};

struct grafted_frame {
	struct frame_head head;
	struct sandbox_handle handle;
	uint32_t error; /* errno, or 0. On an error the sandbox is killed: FRAME_EXITED follows */
	uint32_t reserved;
};

struct warm_frame {
	struct frame_head head;
	uint32_t pack;
	uint32_t reserved;
};

struct sandbox_frame { /* FRAME_KILL, FRAME_TERMINATE, FRAME_FREEZE, FRAME_THAW, FRAME_HOLD */
	struct frame_head head;
	struct sandbox_handle handle;
};

enum exit_kind {
	EXIT_STATUS,   /* the runtime exited: `value` is its status */
	EXIT_SIGNAL,   /* a signal ended it: `value` is the signal */
	EXIT_OOM,      /* the kernel killed it for memory */
	EXIT_KILLED,   /* FRAME_KILL did */
	EXIT_NO_START, /* it never ran: `step` names the jail step, `value` is the errno */
};

enum { STEP_NAME_MAX = 32 };

/* `head.ticket` is always that of the spawn. If it failed before FRAME_SPAWNED the handle is zero. */
struct exited_frame {
	struct frame_head head;
	struct sandbox_handle handle;
	uint32_t kind; /* enum exit_kind */
	uint32_t value;
	uint64_t memory_peak; /* bytes, 0 when unknown */
	char step[STEP_NAME_MAX];
};

struct reread_done_frame { /* how the warden logs from now on; its errors are always written */
	struct frame_head head;
	uint32_t log_level, log_json;
};

struct renewed_frame { /* taken: they count from now on, for routers that are started later, too */
	struct frame_head head;
	uint32_t is_taken, reserved;
};

/* The largest frame: receive buffers have this size. */
union frame {
	struct frame_head head;
	struct unpack_frame unpack;
	struct unpacked_frame unpacked;
	struct forget_frame forget;
	struct spawn_frame spawn;
	struct spawned_frame spawned;
	struct sandbox_frame sandbox;
	struct exited_frame exited;
	struct reread_done_frame reread_done;
	struct renewed_frame renewed;
	struct graft_frame graft;
	struct grafted_frame grafted;
	struct warm_frame warm;
};

static_assert(sizeof(struct spawn_function) == 32 + 160 + 24);
static_assert(sizeof(struct spawn_frame) == 16 + sizeof(struct spawn_function) + 16);
