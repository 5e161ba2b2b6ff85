#pragma once
/*
 * What `mayfly serve` tells the warden at start: one struct, in a sealed memfd; and which descriptors the warden and the
 * router are born with. Included by wire/frames.h, to which it belongs.
 */
#include <stdint.h>

enum {
	SANDBOX_SLOTS_MAX = 4096,
	PACKS_MAX = 64,
	PACK_BINDS_MAX = 8,
	PACK_ARGV_MAX = 12,
	PACK_PATH_MAX = 256,
	PACK_ENV_MAX = 1024,
};

/* One installed runtime of a pack, as `mayfly serve` found it on the host. */
struct pack_spec {
	char name[32];		    /* python */
	char version[32];	    /* 3.11.2; empty for provided */
	char folder[PACK_PATH_MAX]; /* the pack's folder, bound at /var/runtime */
	char binds[PACK_BINDS_MAX]
		  [PACK_PATH_MAX]; /* read-only binds at the same path, beyond the base root */
	uint32_t bind_count;
	uint32_t argv_alternatives; /* 1 or 2: which are tried in order until one exists */
	uint32_t argc[2];
	char argv[2][PACK_ARGV_MAX][PACK_PATH_MAX]; /* argv[i][0] is the program, absolute */
	uint32_t start;		/* enum start_mode: whether its bootstrap can be a zygote */
	uint32_t env_len;	/* of `env` */
	char env[PACK_ENV_MAX]; /* the zygote's environment: NUL-terminated NAME=value */
};

enum { BOOT_MAGIC = 0x6d617966, BOOT_VERSION = 4 };

/* What `mayfly serve` tells the warden: a sealed memfd, inherited as descriptor 3. */
struct warden_boot {
	uint32_t magic;
	uint32_t version;
	char listen[128]; /* address:port of the public endpoint, see socket_listen() */
	char data_dir[PACK_PATH_MAX];
	char libexec_dir[PACK_PATH_MAX]; /* where mayfly, mayfly-unpack are */
	char config[PACK_PATH_MAX];	 /* the settings file, absolute; empty: there is none */
	char tls_cert[PACK_PATH_MAX];	 /* and the key, absolute; empty: there is no TLS */
	char tls_key[PACK_PATH_MAX];
	uint32_t router_uid;	/* the router's uid and gid */
	uint32_t unpack_uid;	/* the unpacker's */
	uint32_t sandbox_uid;	/* slot N runs as sandbox_uid + N */
	uint32_t sandboxes_max; /* slots, at most SANDBOX_SLOTS_MAX */
	uint32_t prepared;	/* how many of them are made ready ahead */
	uint32_t drain_ms_max;	/* how long SIGTERM waits for FRAME_DRAINED */
	uint32_t log_json, log_level;
	uint32_t has_listener; /* WARDEN_FD_LISTENER is there: `listen` says where it listens */
	uint32_t pack_count;
	struct pack_spec packs[PACKS_MAX];
};

/* The files of TLS are copied into sealed memfds, by who may read them, for who may not. */
enum { TLS_CERT, TLS_KEY, TLS_FILES, TLS_FILE_MAX = 256 * 1024 };

/*
 * Descriptors the router is born with: 3 the warden socket, 4 the public listening
 * socket, 5 its settings (a sealed memfd of `name=value` lines, as given by serve), 6 and 7 certificate and key (both
 * empty where there is no TLS). Its working directory is DATA/router.
 */
enum { ROUTER_FD_WARDEN = 3, ROUTER_FD_LISTEN = 4, ROUTER_FD_SETTINGS = 5, ROUTER_FD_TLS = 6 };
/*
 * The warden's: 3 the struct warden_boot, 4 the router's settings, 5 the public socket if it was passed on, 6 and 7
 * certificate and key if there are any.
 */
enum { WARDEN_FD_BOOT = 3, WARDEN_FD_SETTINGS = 4, WARDEN_FD_LISTENER = 5, WARDEN_FD_TLS = 6 };
