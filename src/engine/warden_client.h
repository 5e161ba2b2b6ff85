#pragma once
/* The router's end of the warden's socket. Loop thread only. */
#include "wire/frames.h"

#include <stddef.h>

struct loop;
struct warden_client;

/* What the warden tells. Called from the loop, never from inside a request. */
struct warden_events {
	/*
	 * `fds` are the receiver's to close: Runtime API listener, AWS endpoint listener, memory
	 * peak.
	 */
	void (*on_spawned)(
		void *context, const struct spawned_frame *frame, const int fds[static 4]);
	void (*on_exited)(void *context, const struct exited_frame *frame);
	void (*on_grafted)(void *context, const struct grafted_frame *frame);
	void (*on_unpacked)(void *context, const struct unpacked_frame *frame);
	void (*on_drain)(void *context);
	/* Read the settings file again; the descriptor is the receiver's to close. */
	void (*on_reread)(void *context, int file);
	/* Certificate and key may be others now (enum in wire/boot.h); the descriptors are the receiver's to close. */
	void (*on_renew)(void *context, const int files[static TLS_FILES]);
	/* The warden is gone: there is nothing to do but exit. */
	void (*on_lost)(void *context);
};

/* `socket` is taken (made non-blocking, closed by warden_client_free). */
[[nodiscard]] int warden_client_new(struct loop *loop, int socket,
	const struct warden_events *events, void *context, struct warden_client **ret_client);
void warden_client_free(struct warden_client *client);

/*
 * Ask something: the frame is copied, the descriptors are borrowed. What the socket cannot take now
 * is queued in order. 0, or -ENOBUFS when too much is queued already, or a fault.
 */
[[nodiscard]] int warden_ask(struct warden_client *client, const void *frame, size_t size,
	const int *fds, size_t fd_count);

/* warden_ask() of the frames without a body: FRAME_READY, FRAME_DRAINED. */
[[nodiscard]] int warden_say(struct warden_client *client, enum frame_op op);
