/*
 * A router that does what a test says: it connects to the SOCK_SEQPACKET named in its
 * settings and passes every frame on, with its descriptors, in both directions.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WARDEN = 3, SETTINGS = 5, FDS_MAX = 8 };

/* Pass one message on. False at the end of either side. */
static int relay(int from, int to)
{
	char bytes[4096];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int[FDS_MAX]))];
	} control;
	struct iovec part = { bytes, sizeof(bytes) };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };

	ssize_t len = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
	if (len <= 0)
		return 0;
	part.iov_len = (size_t)len;
	if (sendmsg(to, &message, MSG_NOSIGNAL) < 0)
		return 0;
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
		int fds[FDS_MAX];
		size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(head), count * sizeof(int));
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
	}
	return 1;
}

int main(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[sizeof(address.sun_path)] = "";

	ssize_t len = read(SETTINGS, path, sizeof(path) - 1);
	if (len <= 0 || lseek(SETTINGS, 0, SEEK_SET) < 0)
		return 2;
	memcpy(address.sun_path, path, (size_t)len);
	int control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (control < 0 || connect(control, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror("fake_router: connect");
		return 3;
	}
	for (;;) {
		struct pollfd both[] = { { .fd = WARDEN, .events = POLLIN },
			{ .fd = control, .events = POLLIN } };
		if (poll(both, 2, -1) < 0)
			return 4;
		if (both[0].revents && !relay(WARDEN, control))
			return 0;
		if (both[1].revents && !relay(control, WARDEN))
			return 0;
	}
}
