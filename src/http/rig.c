#include "http/rig.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"
#include "os/fd.h"
#include "os/socket.h"
#include "tls/rig.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RIG_PATIENCE_MS = 10'000, RIG_SILENCE_MS = 60 };

static int rig_on_head(void *context, struct http_conn *conn, const struct http_head *head,
	uint64_t *ret_body_max, uint64_t *ret_memory_max)
{
	struct rig *rig = context;

	CHECK(http_conn_server(conn) == rig->server);
	*ret_body_max = rig->body_max;
	*ret_memory_max = rig->memory_max;
	rig_stream_on_head(rig, conn, head);
	if (str_eq(head->path, S("/abort-at-head")))
		http_conn_abort(conn);
	return str_eq(head->path, S("/refuse")) ? 403 : 0;
}

/* A file of `len` zeros. */
static int rig_file(uint64_t len)
{
	int fd = memfd_create("rig", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)len) < 0)
		abort();
	return fd;
}

static void rig_reply_kind(struct http_conn *conn, const struct http_request *request)
{
	struct buf text;

	buf_init(&text, 100'000);
	buf_put(&text, request->body_fd >= 0 ? S("spooled ") : S("memory "));
	buf_put_u64(&text, request->body_len);
	buf_put_char(&text, ' ');
	buf_put(&text, request->trailers);
	CHECK(request->body_fd >= 0 ? request->body.len == 0
				    : request->body.len == request->body_len);
	http_reply(conn, &(struct http_reply){ .status = 200, .body = buf_str(&text) });
	buf_done(&text);
}

static void rig_reply_upload(
	struct rig *rig, struct http_conn *conn, const struct http_request *request)
{
	struct buf text;

	CHECK(request->body_fd < 0 && request->body.len == 0 && request->body_len == rig->shown);
	buf_init(&text, 100'000);
	buf_put(&text, S("shown "));
	buf_put_u64(&text, rig->shown);
	buf_put_char(&text, ' ');
	buf_put(&text, request->trailers);
	http_reply(conn, &(struct http_reply){ .status = 200, .body = buf_str(&text) });
	buf_done(&text);
}

static void rig_reply_big(struct http_conn *conn, const struct http_head *head)
{
	uint64_t len = 0;

	CHECK(str_to_u64(head->query, UINT32_MAX, &len) == 0);
	if (str_eq(head->path, S("/big"))) {
		char *body = mem_new(len, 1);
		if (!body) { /* a test may want that */
			http_conn_abort(conn);
			return;
		}
		http_reply(conn, &(struct http_reply){ .status = 200, .body = { body, len } });
		mem_free(body);
		return;
	}
	uint64_t file_len = str_eq(head->path, S("/short")) ? len / 2 : len;
	http_reply(conn,
		&(struct http_reply){
			.status = 200, .file_fd = rig_file(file_len), .file_len = len });
}

static void rig_reply_count(struct http_conn *conn)
{
	struct buf text;

	buf_init(&text, 100);
	buf_put_u64(&text, (uint64_t)(uintptr_t)http_conn_user(conn));
	http_reply(conn, &(struct http_reply){ .status = 200, .body = buf_str(&text) });
	buf_done(&text);
}

static void rig_go(struct rig *rig)
{
	for (unsigned i = 0; i < rig->waiting_count; i++)
		http_reply(rig->waiting[i], &(struct http_reply){ .status = 200, .body = S("go") });
	rig->waiting_count = 0;
	rig_stream_go(rig);
}

static void rig_reply_plain(struct http_conn *conn, const struct http_head *head)
{
	uint64_t status = 200;

	if (str_eq(head->path, S("/status"))) {
		CHECK(str_to_u64(head->query, 599, &status) == 0);
		http_reply(conn, &(struct http_reply){ .status = (int)status, .body = S("body") });
		return;
	}
	http_reply(conn,
		&(struct http_reply){ .status = str_eq(head->path, S("/hold")) ? 202 : 200,
			.fields = S("X-Rig: yes\r\n"),
			.body = head->path,
			.hold = str_eq(head->path, S("/hold")),
			.close = str_eq(head->path, S("/close")) });
}

static void rig_on_request(void *context, struct http_conn *conn, struct http_request *request)
{
	struct rig *rig = context;
	str path = request->head.path;

	rig->requests++;
	http_conn_set_user(conn, (char *)http_conn_user(conn) + 1);
	if (str_eq(path, S("/wait"))) {
		assert(rig->waiting_count < RIG_WAITING_MAX);
		rig->waiting[rig->waiting_count++] = conn;
		return;
	}
	if (str_eq(path, S("/abort"))) {
		http_conn_abort(conn);
		return;
	}
	if (str_eq(path, S("/go")))
		rig_go(rig);
	if (rig_stream_on_request(rig, conn, &request->head))
		return;
	if (str_eq(path, S("/upload")))
		rig_reply_upload(rig, conn, request);
	else if (str_eq(path, S("/kind")))
		rig_reply_kind(conn, request);
	else if (str_eq(path, S("/count")))
		rig_reply_count(conn);
	else if (str_eq(path, S("/secure")))
		http_reply(conn,
			&(struct http_reply){ .status = 200,
				.body = http_conn_is_secure(conn) ? S("yes") : S("no") });
	else if (str_eq(path, S("/echo")) && request->body_fd >= 0)
		http_reply(conn,
			&(struct http_reply){ .status = 200,
				.file_fd = dup(request->body_fd),
				.file_len = request->body_len });
	else if (str_eq(path, S("/echo")))
		http_reply(conn, &(struct http_reply){ .status = 200, .body = request->body });
	else if (request->head.query.len > 0 && !str_eq(path, S("/status")))
		rig_reply_big(conn, &request->head);
	else
		rig_reply_plain(conn, &request->head);
}

static void rig_on_gone(void *context, struct http_conn *conn, bool request_open)
{
	struct rig *rig = context;

	rig->gone++;
	rig->gone_open += request_open;
	rig_stream_on_gone(rig, conn);
	for (unsigned i = 0; i < rig->waiting_count; i++) {
		if (rig->waiting[i] == conn)
			rig->waiting[i--] = rig->waiting[--rig->waiting_count];
	}
}

static void rig_on_refuse(void *context, int status, struct buf *fields, struct buf *body)
{
	(void)context;
	buf_put(fields, S("X-Refused: yes\r\n"));
	buf_putf(body, "refused %d", status);
}

static const struct http_server_ops rig_ops = {
	.on_head = rig_on_head,
	.on_request = rig_on_request,
	.on_body = rig_stream_on_body,
	.on_drained = rig_stream_on_drained,
	.on_gone = rig_on_gone,
	.on_refuse = rig_on_refuse,
};

struct rig_question {
	struct message message;
	struct promise promise;
	struct rig *rig;
	unsigned (*question)(struct rig *rig);
	unsigned answer;
};

static void rig_on_question(struct message *message)
{
	struct rig_question *question = (struct rig_question *)message;

	question->answer = question->question(question->rig);
	promise_keep(&question->promise);
}

unsigned rig_ask(struct rig *rig, unsigned (*question)(struct rig *rig))
{
	struct rig_question ask = {
		.message = { .run = rig_on_question }, .rig = rig, .question = question
	};

	promise_init(&ask.promise);
	loop_post(rig->loop, &ask.message);
	promise_wait(&ask.promise);
	return ask.answer;
}

void rig_wait(struct rig *rig, unsigned (*question)(struct rig *rig), unsigned wanted)
{
	for (int i = 0; i < RIG_PATIENCE_MS / 5; i++) {
		if (rig_ask(rig, question) == wanted)
			return;
		(void)poll(NULL, 0, 5);
	}
	FAIL("it never came to that");
}

unsigned rig_conns(struct rig *rig)
{
	return http_server_conns(rig->server);
}

unsigned rig_open(struct rig *rig)
{
	return http_server_open_requests(rig->server);
}

unsigned rig_requests(struct rig *rig)
{
	return rig->requests;
}

unsigned rig_gone(struct rig *rig)
{
	return rig->gone;
}

unsigned rig_gone_open(struct rig *rig)
{
	return rig->gone_open;
}

struct rig_thread {
	struct rig *rig;
	void (*script)(struct rig *rig);
	struct message ended;
};

static void rig_on_ended(struct message *message)
{
	struct rig_thread *thread = list_entry(message, struct rig_thread, ended);

	loop_stop(thread->rig->loop);
}

static void *rig_thread_run(void *context)
{
	struct rig_thread *thread = context;

	thread->script(thread->rig);
	loop_post(thread->rig->loop, &thread->ended);
	return NULL;
}

void rig_run(struct http_server_options options, void (*script)(struct rig *rig))
{
	struct rig rig = { .body_max = 1'000'000, .memory_max = 50'000 };
	struct rig_thread thread = {
		.rig = &rig, .script = script, .ended = { .run = rig_on_ended }
	};
	pthread_t id;

	if (socket_listen(S("127.0.0.1:0"), 64, &options.listener) < 0 || loop_new(&rig.loop) < 0)
		abort();
	rig.port = socket_port(options.listener);
	rig.is_eager = options.is_eager_close_detected;
	options.loop = rig.loop;
	options.ops = &rig_ops;
	options.context = &rig;
	options.conns_max = options.conns_max ? options.conns_max : 100;
	if (rig_is_tls())
		options.tls = rig_identity();
	if (http_server_new(&options, &rig.server) < 0 ||
		pthread_create(&id, NULL, rig_thread_run, &thread) != 0)
		abort();
	loop_run(rig.loop);
	(void)pthread_join(id, NULL);
	unsigned conns = http_server_conns(rig.server), gone = rig.gone;
	http_server_free(rig.server);
	CHECK(rig.gone == gone + conns);
	rig_tls_end();
	loop_free(rig.loop);
}

int rig_connect(struct rig *rig)
{
	int fd = rig_connect_plain(rig);

	return rig_is_tls() ? rig_tls_carry(fd) : fd;
}

int rig_connect_plain(struct rig *rig)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)rig->port),
		.sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
	struct timeval patience = { .tv_sec = RIG_PATIENCE_MS / 1000 };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		abort();
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

void rig_send(int fd, str bytes)
{
	while (bytes.len > 0) {
		ssize_t sent = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);
		if (sent < 0) {
			CHECK(errno == EPIPE || errno == ECONNRESET); /* some tests provoke it */
			return;
		}
		bytes = str_from(bytes, (size_t)sent);
	}
}

/* Read up to and with the empty line, byte by byte: what follows is not ours. */
static void rig_read_head(int fd, struct rig_reply *reply)
{
	size_t len = 0;

	while (len < sizeof(reply->bytes) && read(fd, reply->bytes + len, 1) == 1) {
		len++;
		if (str_ends((str){ reply->bytes, len }, S("\r\n\r\n")))
			break;
	}
	reply->head = (str){ reply->bytes, len };
}

/* The value of a field of the reply, or at == NULL. */
static str rig_field(str head, str name)
{
	str line;

	while (str_next(&head, '\n', &line)) {
		if (str_starts_fold(line, name) && str_starts(str_from(line, name.len), S(": ")))
			return str_slice(line, name.len + 2, line.len - 1);
	}
	return (str){};
}

void rig_expect_head(int fd, struct rig_reply *reply)
{
	*reply = (struct rig_reply){};
	rig_read_head(fd, reply);
	CHECK(str_starts(reply->head, S("HTTP/1.1 200 ")));
	CHECK(!rig_field(reply->head, S("Content-Length")).at);
	CHECK(rig_field(reply->head, S("Date")).len == 29);
}

void rig_expect_bytes(int fd, str bytes)
{
	char got[1024];
	size_t len = 0;

	assert(bytes.len <= sizeof(got));
	CHECK(fd_read_all(fd, got, bytes.len, &len) == 0);
	CHECK_STR(((str){ got, len }), bytes);
}

void rig_read(int fd, bool is_head, struct rig_reply *ret_reply)
{
	uint64_t status = 0, len = 0;

	*ret_reply = (struct rig_reply){};
	rig_read_head(fd, ret_reply);
	if (!str_starts(ret_reply->head, S("HTTP/1.1 "))) {
		FAIL("no reply");
		return;
	}
	CHECK(str_to_u64(str_slice(ret_reply->head, 9, 12), 999, &status) == 0);
	str length = rig_field(ret_reply->head, S("Content-Length"));
	bool has_none = status < 200 || status == 204 || status == 304;
	CHECK(has_none == !length.at);
	CHECK(status == 100 || rig_field(ret_reply->head, S("Date")).len == 29);
	if (length.at)
		CHECK(str_to_u64(length, UINT32_MAX, &len) == 0);
	ret_reply->status = (int)status;
	if (is_head || len > sizeof(ret_reply->bytes) - ret_reply->head.len)
		return;
	char *to = ret_reply->bytes + ret_reply->head.len;
	size_t got;
	CHECK(fd_read_all(fd, to, (size_t)len, &got) == 0 && got == len);
	ret_reply->body = (str){ to, got };
}

void rig_expect(int fd, int status, str body)
{
	struct rig_reply reply;

	rig_read(fd, false, &reply);
	if (reply.status != status)
		fprintf(stderr, "  got status %d, wanted %d\n", reply.status, status);
	CHECK(reply.status == status);
	CHECK_STR(reply.body, body);
}

void rig_expect_end(int fd)
{
	char byte;

	CHECK(read(fd, &byte, 1) == 0);
	(void)close(fd);
}

void rig_expect_silence(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	CHECK(poll(&wait, 1, RIG_SILENCE_MS) == 0);
}

void rig_skip(int fd, size_t len)
{
	char bytes[16 * 1024];

	while (len > 0) {
		ssize_t got = read(fd, bytes, MIN(len, sizeof(bytes)));
		if (got <= 0) {
			FAIL("the reply ended early");
			return;
		}
		len -= (size_t)got;
	}
}
