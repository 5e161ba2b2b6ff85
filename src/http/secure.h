#pragma once
/* Inside of the HTTP server: connections over TLS. Nothing of it is for a plain one. */
#include "http/conn.h"

/* What has arrived begins with the first byte of TLS: it is the peer's part of a handshake. */
void secure_begin(struct http_conn *conn);
/* In SHAKING: go on with it. */
void secure_on_readable(struct http_conn *conn);
/*
 * What read(2) is for a plain connection, at most one of them: how much was put there, 0 at the end, or -errno, -EPROTO
 * when this is no TLS any more. In between something may be sent.
 */
[[nodiscard]] ssize_t secure_read(struct http_conn *conn, char *to, size_t size);
/* May secure_read() find something, though the socket has nothing? */
[[nodiscard]] bool secure_has_input(const struct http_conn *conn);
/* Like sendmsg(2): how much was taken (it may still wait below), 0 when too much waits, or -errno. */
[[nodiscard]] ssize_t secure_send(struct http_conn *conn, const struct iovec *pieces, size_t count);
/* Like sendfile(2), from file_at on; both numbers move. 0, also when not all was taken, or -errno. */
[[nodiscard]] int secure_send_file(struct http_conn *conn);
/* Send what waits below, as far as the socket takes it: 0 or -errno. */
[[nodiscard]] int secure_flush(struct http_conn *conn);
/* What waits below. */
[[nodiscard]] size_t secure_backlog(const struct http_conn *conn);
/* Tell the peer that this is the end, if it was not told. 0 or -errno. */
[[nodiscard]] int secure_close(struct http_conn *conn);
