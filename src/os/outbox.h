#pragma once
/*
 * Messages that a SOCK_SEQPACKET socket could not take yet, with their descriptors, in order: a ring of a fixed size
 * for a process that may not allocate. What is too many is the owner's to know: a full ring is a mistake of his.
 */
#include <stddef.h>

enum { OUTBOX_BYTES_MAX = 320, OUTBOX_FDS_MAX = 4 };

struct outbox_message {
	_Alignas(8) unsigned char bytes[OUTBOX_BYTES_MAX];
	size_t size;
	int fds[OUTBOX_FDS_MAX];
	size_t fd_count;
};

struct outbox {
	struct outbox_message *ring; /* the owner's */
	size_t size;		     /* of the ring */
	size_t first, count;
};

/* Add one: the bytes are copied, the descriptors become ours. There must be room. */
void outbox_put(
	struct outbox *outbox, const void *bytes, size_t size, const int *fds, size_t fd_count);

/*
 * Send as far as the socket takes it, closing descriptors that were sent. 0, also when some are left; or the fault of
 * a socket that nobody reads any more: then nothing is left.
 */
[[nodiscard]] int outbox_send(struct outbox *outbox, int socket);

/* Drop all. */
void outbox_clear(struct outbox *outbox);
