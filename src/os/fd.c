/*
 * Descriptors. A descriptor that came over a socket exists from the moment recvmsg()
 * returns, wanted or not: fd_receive() therefore collects all of them first and closes
 * all of them on any refusal, so that nobody can fill our table with descriptors that we
 * forgot. MSG_CMSG_CLOEXEC leaves no moment in which a fork could inherit one.
 */
#include "os/fd.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

void fd_close(int *fd)
{
	if (*fd < 0)
		return;
	int kept = errno;
	(void)close(*fd); /* Linux closes even where it reports EINTR: never again */
	errno = kept;
	*fd = -1;
}

void fd_close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fd_close(&fds[i]);
}

int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

int fd_write_all(int fd, str bytes)
{
	while (bytes.len) {
		ssize_t done = write(fd, bytes.at, bytes.len);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_raise(-errno);
		bytes = str_from(bytes, (size_t)done);
	}
	return 0;
}

int fd_read_all(int fd, char *to, size_t size, size_t *ret_len)
{
	size_t len = 0;

	while (len < size) {
		ssize_t got = read(fd, to + len, size - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_raise(-errno);
		if (got == 0)
			break;
		len += (size_t)got;
	}
	*ret_len = len;
	return 0;
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return err_raise(-errno);
	int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	if (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0)
		return err_raise(-errno);
	return 0;
}

/* The control message, aligned as cmsg(3) wants it. */
union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int[FD_PASS_MAX]))];
};

int fd_send(int socket, const void *bytes, size_t len, const int *fds, size_t fd_count)
{
	assert(len > 0); /* an empty message looks like the end of file */
	assert(fd_count <= FD_PASS_MAX);
	struct iovec part = { (void *)bytes, len };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	union fd_control control = {};
	ssize_t sent;

	if (fd_count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(head), fds, fd_count * sizeof(int));
	}
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (sent < 0)
		return err_raise(-errno);
	assert((size_t)sent == len); /* SOCK_SEQPACKET: all or nothing */
	return 0;
}

/* All descriptors of the message, at most FD_PASS_MAX by the size of the control buffer. */
static size_t fd_collect(struct msghdr *message, int fds[static FD_PASS_MAX])
{
	size_t count = 0;

	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head;
		head = CMSG_NXTHDR(message, head)) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		size_t more = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		assert(count + more <= FD_PASS_MAX);
		memcpy(fds + count, CMSG_DATA(head), more * sizeof(int));
		count += more;
	}
	return count;
}

/* recvmsg() with the answers that fd_receive() promises; 0 when a message came. */
static int fd_receive_message(int socket, struct msghdr *message, size_t *ret_len)
{
	ssize_t got;

	do
		got = recvmsg(socket, message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (got == 0 || (got < 0 && errno == ECONNRESET)) /* reset: the peer left bytes unread */
		return -EPIPE;
	if (got < 0)
		return err_raise(-errno);
	*ret_len = (size_t)got;
	return 0;
}

int fd_receive(int socket, void *bytes, size_t size, size_t *ret_len, int *fds, size_t fds_max,
	size_t *ret_fd_count)
{
	struct iovec part = { bytes, size };
	union fd_control control;
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	int came[FD_PASS_MAX];
	size_t len = 0;

	int r = fd_receive_message(socket, &message, &len);
	if (r < 0)
		return r;
	size_t count = fd_collect(&message, came);
	if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || count > fds_max) {
		for (size_t i = 0; i < count; i++)
			fd_close(&came[i]);
		return -EMSGSIZE;
	}
	if (count)
		memcpy(fds, came, count * sizeof(int));
	*ret_len = len;
	*ret_fd_count = count;
	return 0;
}

static int memfd_new(const char *name)
{
	/* Linux 6.3 wants to be told that nobody executes it; older ones do not know the flag. */
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? err_raise(-errno) : fd;
}

static int memfd_seal(int fd)
{
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_raise(-errno);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_raise(-errno);
	return 0;
}

int fd_sealed(const char *name, str bytes, int *ret_fd)
{
	scoped_fd fd = memfd_new(name);
	if (fd < 0)
		return err_pass(fd);

	int r = fd_write_all(fd, bytes);
	if (r == 0)
		r = memfd_seal(fd);
	if (r < 0)
		return err_pass(r);
	*ret_fd = fd_take(&fd);
	return 0;
}

int fd_sealed_file(const char *path, size_t max, int *ret_fd, int *ret_copy)
{
	char bytes[4096];
	size_t len = sizeof(bytes), all = 0;
	struct stat st;

	scoped_fd file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file < 0 || fstat(file, &st) < 0)
		return err_raise(-errno);
	if (!S_ISREG(st.st_mode))
		return err_raise(-EINVAL);
	scoped_fd fd = memfd_new("file");
	int r = fd < 0 ? fd : 0;
	while (r == 0 && len == sizeof(bytes)) {
		r = fd_read_all(file, bytes, sizeof(bytes), &len);
		all += len;
		if (r == 0 && all > max)
			r = err_raise(-EFBIG);
		if (r == 0)
			r = fd_write_all(fd, (str){ bytes, len });
	}
	if (r == 0)
		r = memfd_seal(fd);
	if (r < 0)
		return err_pass(r);
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return err_raise(-errno);
	*ret_copy = copy;
	*ret_fd = fd_take(&fd);
	return 0;
}

int fd_map_sealed(int fd, size_t size, const void **ret_bytes)
{
	struct stat st;

	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & (F_SEAL_WRITE | F_SEAL_SHRINK)) != (F_SEAL_WRITE | F_SEAL_SHRINK))
		return -EPERM;
	if (fstat(fd, &st) < 0)
		return err_raise(-errno);
	if (st.st_size < 0 || (size_t)st.st_size != size)
		return -EINVAL;
	const void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return err_raise(-errno);
	*ret_bytes = bytes;
	return 0;
}
