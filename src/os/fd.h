#pragma once
/* File descriptors: scoped ownership, whole reads and writes, passing over sockets. */
#include "base/str.h"

#include <sys/types.h>

/* Closes the descriptor when its scope ends, unless fd_take() moved it out. */
#define scoped_fd [[gnu::cleanup(fd_close)]] int

/* Close *fd if it is open and set it to -1; errno is kept. */
void fd_close(int *fd);

/* The same with each of them. */
void fd_close_all(int *fds, size_t count);
/* Move ownership out of a scoped_fd. */
[[nodiscard]] int fd_take(int *fd);

/* Write all of it, retrying short writes and EINTR; 0 or a fault. Blocking descriptors only. */
[[nodiscard]] int fd_write_all(int fd, str bytes);

/* Read up to `size` bytes until end of file; 0 or a fault; *ret_len is what came. */
[[nodiscard]] int fd_read_all(int fd, char *to, size_t size, size_t *ret_len);

/* Set or clear O_NONBLOCK. */
[[nodiscard]] int fd_set_nonblock(int fd, bool on);

enum { FD_PASS_MAX = 24 };

/*
 * Send one SOCK_SEQPACKET message with up to FD_PASS_MAX descriptors (borrowed: the
 * caller still closes its copies). 0, or -EAGAIN when the queue of a non-blocking socket is
 * full, or -EPIPE as a fault when nobody receives any more, or another fault.
 */
[[nodiscard]] int fd_send(
	int socket, const void *bytes, size_t len, const int *fds, size_t fd_count);

/*
 * Receive one message: *ret_len bytes into `bytes` and *ret_fd_count close-on-exec
 * descriptors (the caller's to close) into `fds`. 0; -EAGAIN when nothing waits (on a
 * non-blocking socket); -EPIPE at end of file; -EMSGSIZE when the message or its descriptors
 * did not fit (all are closed).
 */
[[nodiscard]] int fd_receive(int socket, void *bytes, size_t size, size_t *ret_len, int *fds,
	size_t fds_max, size_t *ret_fd_count);

/* A sealed, read-only memfd with these bytes: 0 and *ret_fd (the caller's), or a fault. */
[[nodiscard]] int fd_sealed(const char *name, str bytes, int *ret_fd);

/*
 * The same with what a regular file has now: -EINVAL when it is no such file, -EFBIG when it has more than `max`. It does
 * not allocate. Two descriptors of it, one to give away; they share the position.
 */
[[nodiscard]] int fd_sealed_file(const char *path, size_t max, int *ret_fd, int *ret_copy);
/*
 * Map what fd_sealed() made, for the life of the process: 0 and *ret_bytes; -EPERM when it could still be changed;
 * -EINVAL when its size is another; or a fault.
 */
[[nodiscard]] int fd_map_sealed(int fd, size_t size, const void **ret_bytes);
