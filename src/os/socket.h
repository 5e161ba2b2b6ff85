#pragma once
/* TCP sockets of servers. */
#include "base/str.h"

/*
 * A listening TCP socket (non-blocking, close-on-exec, SO_REUSEADDR) on a numeric IPv4 or
 * [IPv6] address, `host:port` form; port 0 picks one. 0 and *ret_fd, or -EINVAL when the
 * text is no such address, or the fault of bind/listen.
 */
[[nodiscard]] int socket_listen(str address, int backlog, int *ret_fd);

/* The port a socket is bound to, host byte order, or a fault. */
[[nodiscard]] int socket_port(int fd);

/*
 * Where a listening TCP socket is bound, as socket_listen() would take it. 0; -EINVAL when the descriptor
 * is no such socket; or a fault.
 */
[[nodiscard]] int socket_name(int fd, char *to, size_t size);

/* Is the local address of the text form (see socket_listen) a loopback one? */
[[nodiscard]] bool socket_is_loopback(str address);

/*
 * Accept one connection: non-blocking, close-on-exec, TCP_NODELAY. 0 and *ret_fd, or
 * -EAGAIN when none waits (also for a connection that was reset meanwhile), -ESHUTDOWN when somebody
 * who has the socket too has shut it down, or a fault.
 */
[[nodiscard]] int socket_accept(int listener, int *ret_fd);

/*
 * The numeric address of who is connected, without its port; an IPv4 one that came over IPv6 is told as IPv4. 0 or
 * -errno, which is not traced: the peer may just have left.
 */
enum { SOCKET_PEER_SIZE = 48 };
[[nodiscard]] int socket_peer(int fd, char to[static SOCKET_PEER_SIZE]);
