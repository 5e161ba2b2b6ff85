/* Nothing is moved but the two numbers; a message is sent from where it lies. */
#include "os/outbox.h"

#include "base/err.h"
#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static struct outbox_message *outbox_first(struct outbox *outbox)
{
	assert(outbox->count > 0);
	return &outbox->ring[outbox->first];
}

static void outbox_pop(struct outbox *outbox)
{
	struct outbox_message *message = outbox_first(outbox);

	for (size_t i = 0; i < message->fd_count; i++)
		fd_close(&message->fds[i]);
	outbox->first = (outbox->first + 1) % outbox->size;
	outbox->count--;
}

void outbox_clear(struct outbox *outbox)
{
	while (outbox->count)
		outbox_pop(outbox);
}

void outbox_put(
	struct outbox *outbox, const void *bytes, size_t size, const int *fds, size_t fd_count)
{
	assert(size <= OUTBOX_BYTES_MAX && fd_count <= OUTBOX_FDS_MAX);
	assert(outbox->count < outbox->size);
	struct outbox_message *message =
		&outbox->ring[(outbox->first + outbox->count) % outbox->size];

	memcpy(message->bytes, bytes, size);
	message->size = size;
	for (size_t i = 0; i < fd_count; i++)
		message->fds[i] = fds[i];
	message->fd_count = fd_count;
	outbox->count++;
}

int outbox_send(struct outbox *outbox, int socket)
{
	while (outbox->count) {
		struct outbox_message *message = outbox_first(outbox);
		int r = fd_send(
			socket, message->bytes, message->size, message->fds, message->fd_count);
		if (r == -EAGAIN)
			return 0;
		if (r < 0) {
			outbox_clear(outbox);
			return err_pass(r);
		}
		outbox_pop(outbox);
	}
	return 0;
}
