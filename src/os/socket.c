/*
 * Listening and accepting. An address is numeric, always: a name would have to be resolved,
 * and which interface a server is reachable on is not a question for a resolver.
 */
#include "os/socket.h"

#include "base/err.h"
#include "os/fd.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

union socket_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Split at the last colon and without the brackets of IPv6: "[::1]:80" is "::1" and "80". */
static bool socket_split(str text, str *ret_host, str *ret_port, bool *ret_is_v6)
{
	size_t at = text.len;

	while (at && text.at[at - 1] != ':')
		at--;
	if (at == 0)
		return false;
	str host = str_slice(text, 0, at - 1);
	bool is_v6 = str_starts(host, S("[")) && str_ends(host, S("]"));

	*ret_host = is_v6 ? str_slice(host, 1, host.len - 1) : host;
	*ret_port = str_from(text, at);
	*ret_is_v6 = is_v6;
	return true;
}

/* 0, or -EINVAL when the text is no such address. */
static int socket_parse(str text, union socket_address *ret_address, socklen_t *ret_len)
{
	union socket_address address = {};
	char host[INET6_ADDRSTRLEN];
	str host_text, port_text;
	uint64_t port;
	bool is_v6;

	if (!socket_split(text, &host_text, &port_text, &is_v6) ||
		str_to_u64(port_text, 65535, &port) < 0 ||
		str_to_array(host_text, host, sizeof(host)) < 0)
		return -EINVAL;
	if (is_v6) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons((uint16_t)port);
	} else {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons((uint16_t)port);
	}
	void *to = is_v6 ? (void *)&address.v6.sin6_addr : (void *)&address.v4.sin_addr;
	if (inet_pton(address.any.sa_family, host, to) != 1)
		return -EINVAL;

	*ret_address = address;
	*ret_len = is_v6 ? sizeof(address.v6) : sizeof(address.v4);
	return 0;
}

int socket_listen(str address, int backlog, int *ret_fd)
{
	union socket_address name;
	socklen_t len;
	const int on = 1;

	if (socket_parse(address, &name, &len) < 0)
		return -EINVAL;
	scoped_fd fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_raise(-errno);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return err_raise(-errno);
	if (bind(fd, &name.any, len) < 0 || listen(fd, backlog) < 0)
		return err_raise(-errno);

	*ret_fd = fd_take(&fd);
	return 0;
}

int socket_port(int fd)
{
	union socket_address name = {};
	socklen_t len = sizeof(name);

	if (getsockname(fd, &name.any, &len) < 0)
		return err_raise(-errno);
	switch (name.any.sa_family) {
	case AF_INET:
		return ntohs(name.v4.sin_port);
	case AF_INET6:
		return ntohs(name.v6.sin6_port);
	default:
		return err_raise(-EAFNOSUPPORT);
	}
}

int socket_name(int fd, char *to, size_t size)
{
	union socket_address name = {};
	socklen_t len = sizeof(name), flag_len = sizeof(int);
	char host[INET6_ADDRSTRLEN];
	int is_listening = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &flag_len) < 0)
		return errno == ENOTSOCK ? -EINVAL : err_raise(-errno);
	if (getsockname(fd, &name.any, &len) < 0)
		return err_raise(-errno);
	bool is_v6 = name.any.sa_family == AF_INET6;
	if (!is_listening || (!is_v6 && name.any.sa_family != AF_INET))
		return -EINVAL;
	const void *address = is_v6 ? (void *)&name.v6.sin6_addr : (void *)&name.v4.sin_addr;
	if (!inet_ntop(name.any.sa_family, address, host, sizeof(host)))
		return err_raise(-errno);
	int wanted = snprintf(to, size, is_v6 ? "[%s]:%d" : "%s:%d", host,
		ntohs(is_v6 ? name.v6.sin6_port : name.v4.sin_port));
	return (size_t)wanted < size ? 0 : err_raise(-ENOSPC);
}

int socket_peer(int fd, char to[static SOCKET_PEER_SIZE])
{
	union socket_address name = {};
	socklen_t len = sizeof(name);

	static_assert(SOCKET_PEER_SIZE > INET6_ADDRSTRLEN);
	if (getpeername(fd, &name.any, &len) < 0)
		return -errno;
	if (name.any.sa_family != AF_INET && name.any.sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	const struct in6_addr *v6 = &name.v6.sin6_addr;
	bool is_v4 = name.any.sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(v6);
	const void *address = name.any.sa_family == AF_INET ? (const void *)&name.v4.sin_addr
		: is_v4					    ? (const void *)&v6->s6_addr[12]
							    : (const void *)v6;
	return inet_ntop(is_v4 ? AF_INET : AF_INET6, address, to, SOCKET_PEER_SIZE) ? 0 : -errno;
}

bool socket_is_loopback(str address)
{
	union socket_address name;
	socklen_t len;

	if (socket_parse(address, &name, &len) < 0)
		return false;
	if (name.any.sa_family == AF_INET)
		return ntohl(name.v4.sin_addr.s_addr) >> 24 == 127;
	const struct in6_addr *v6 = &name.v6.sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

/*
 * accept(2): "Linux accept() passes already-pending network errors on the new socket as an
 * error code from accept()": the connection is gone, the listener is fine.
 */
static bool socket_is_lost(int error)
{
	switch (error) {
	case EAGAIN:
	case ECONNABORTED:
	case ENETDOWN:
	case EPROTO:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

int socket_accept(int listener, int *ret_fd)
{
	const int on = 1;
	int fd;

	do
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0 && errno == EINVAL)
		return -ESHUTDOWN;
	if (fd < 0)
		return socket_is_lost(errno) ? -EAGAIN : err_raise(-errno);

	/* Best effort: it fails on a connection that is already reset, as its next read will. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	*ret_fd = fd;
	return 0;
}
