/*
 * With RIG_TLS in the environment every test of the server is one over TLS: what a test has in its hands is one end of a pair of
 * sockets, and a thread carries the bytes on from there, enciphered. An end of the one is an end of the other.
 */
#include "http/rig.h"

#include "base/mem.h"
#include "base/test.h"
#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CARRIERS_MAX = 200, CARRY_SIZE = 16 * 1024, CARRY_LINGER_MS = 10'000 };

/* One connection: `plain` leads to the test, `fd` to the server. */
struct carrier {
	pthread_t thread;
	SSL_CTX *context;
	SSL *ssl;
	int plain, fd;
	char up[CARRY_SIZE], down[CARRY_SIZE];
	size_t up_len, down_at, down_len;
	bool is_up_over;   /* the test sends no more, and the server knows */
	bool has_up_ended; /* the test sends no more */
};

static struct carrier *carriers[CARRIERS_MAX];
static size_t carrier_count;

bool rig_is_tls(void)
{
	return getenv("RIG_TLS") != NULL;
}

/* False at the end: what the server has said is told to the test in any case. */
static bool carry_down(struct carrier *self)
{
	if (self->down_at == self->down_len) {
		int len = SSL_read(self->ssl, self->down, CARRY_SIZE);
		int error = SSL_get_error(self->ssl, len);
		if (len <= 0)
			return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
		self->down_at = 0;
		self->down_len = (size_t)len;
	}
	ssize_t sent = send(self->plain, self->down + self->down_at, self->down_len - self->down_at,
		MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent > 0)
		self->down_at += (size_t)sent;
	return sent >= 0 || errno == EAGAIN;
}

static bool carry_up(struct carrier *self)
{
	if (self->up_len == 0 && !self->has_up_ended) {
		ssize_t len = recv(self->plain, self->up, CARRY_SIZE, MSG_DONTWAIT);
		if (len < 0)
			return errno == EAGAIN;
		self->up_len = (size_t)len;
		self->has_up_ended = len == 0;
	}
	if (self->up_len > 0) {
		int r = SSL_write(self->ssl, self->up, (int)self->up_len);
		int error = SSL_get_error(self->ssl, r);
		if (r <= 0)
			return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
		self->up_len = 0;
	}
	if (self->has_up_ended && !self->is_up_over) {
		(void)SSL_shutdown(self->ssl);
		(void)shutdown(self->fd, SHUT_WR);
		self->is_up_over = true;
	}
	return true;
}

static void carry_wait(struct carrier *self)
{
	bool has_down = self->down_at < self->down_len;
	bool wants_up = self->up_len == 0 && !self->has_up_ended;
	struct pollfd fds[] = {
		{ .fd = self->plain,
			.events = (short)((wants_up ? POLLIN : 0) | (has_down ? POLLOUT : 0)) },
		{ .fd = self->fd,
			.events = (short)((has_down ? 0 : POLLIN) | (self->up_len ? POLLOUT : 0)) },
	};

	if (!fds[0].events) /* a hang-up is no news */
		fds[0].fd = -1;
	if (!fds[1].events)
		fds[1].fd = -1;
	(void)poll(fds, 2, -1);
}

/* Closing on bytes that the test has sent in vain would reset what it has yet to read. */
static void carry_linger(struct carrier *self)
{
	struct pollfd wait = { .fd = self->plain, .events = POLLIN };

	fd_close(&self->fd); /* for the server it is over */
	(void)shutdown(self->plain, SHUT_WR);
	while (poll(&wait, 1, CARRY_LINGER_MS) > 0 &&
		recv(self->plain, self->up, CARRY_SIZE, MSG_DONTWAIT) > 0)
		continue;
	fd_close(&self->plain);
}

static void *carry(void *context)
{
	struct carrier *self = context;

	bool goes_on = SSL_connect(self->ssl) == 1 && fd_set_nonblock(self->fd, true) == 0;
	while (goes_on) {
		goes_on = carry_up(self) && carry_down(self);
		if (goes_on && !(SSL_pending(self->ssl) && self->down_at == self->down_len))
			carry_wait(self);
		ERR_clear_error();
	}
	while (self->down_at < self->down_len && carry_down(self))
		continue;
	SSL_free(self->ssl);
	SSL_CTX_free(self->context);
	carry_linger(self);
	return NULL;
}

int rig_tls_carry(int fd)
{
	struct carrier *self = mem_one(struct carrier);
	struct timeval patience = { .tv_sec = 10 };
	int pair[2];

	assert(carrier_count < CARRIERS_MAX);
	if (!self || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	self->context = SSL_CTX_new(TLS_client_method());
	self->ssl = self->context ? SSL_new(self->context) : NULL;
	self->plain = pair[1];
	self->fd = fd;
	if (!self->ssl || !SSL_set_fd(self->ssl, fd))
		abort();
	SSL_set_mode(self->ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	(void)setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	carriers[carrier_count++] = self;
	if (pthread_create(&self->thread, NULL, carry, self) != 0)
		abort();
	return pair[0];
}

void rig_tls_end(void)
{
	while (carrier_count > 0) {
		struct carrier *self = carriers[--carrier_count];
		(void)pthread_join(self->thread, NULL);
		mem_free(self);
	}
}
