/* Deadlines, the cap, running out of descriptors, draining, and failing allocations. */
#include "http/rig.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"
#include "os/clock.h"
#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static void let_idle(struct rig *rig)
{
	int fd = rig_connect(rig), fresh = rig_connect(rig), open = rig_connect(rig);
	uint64_t from_ms = clock_mono_ms();

	rig_send(fd, S(GET("/a")));
	rig_expect(fd, 200, S("/a"));
	rig_send(open, S(GET("/wait"))); /* an open request is nobody's to time */
	rig_expect_end(fd);
	rig_expect_end(fresh);
	CHECK(clock_mono_ms() - from_ms >= 90);
	rig_expect_silence(open);
	CHECK(rig_ask(rig, rig_open) == 1);
	(void)close(open);
}

static void test_idle_connections_are_closed(void)
{
	rig_run((struct http_server_options){ .idle_ms = 100 }, let_idle);
}

/* A byte now and then keeps nobody alive. */
static void drip(struct rig *rig)
{
	int fd = rig_connect(rig), body = rig_connect(rig);
	uint64_t from_ms = clock_mono_ms();

	rig_send(fd, S("GET /a HTTP/1.1\r\nHost: a\r\nX: "));
	rig_send(body, S("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"));
	for (int i = 0; i < 100 && rig_ask(rig, rig_conns) == 2; i++) {
		struct pollfd wait[2] = { { fd, POLLIN, 0 }, { body, POLLIN, 0 } };
		if (poll(wait, 2, 10) > 0)
			break;
		rig_send(fd, S("x"));
		rig_send(body, S("x"));
	}
	/* The loop's time is that of its turn's beginning: a timer may be early by a turn. */
	CHECK(clock_mono_ms() - from_ms >= 50 && clock_mono_ms() - from_ms < 5000);
	rig_expect(fd, 408, S("refused 408"));
	rig_expect(body, 408, S("refused 408"));
	rig_expect_end(fd);
	rig_expect_end(body);
	CHECK(rig_ask(rig, rig_requests) == 0);
}

static void test_a_request_must_be_whole_in_time(void)
{
	rig_run((struct http_server_options){ .request_ms = 100 }, drip);
}

static void wait_for_ever(struct rig *rig)
{
	int idle = rig_connect(rig), half = rig_connect(rig);

	rig_send(half, S("GET /a HTT"));
	rig_expect_silence(idle);
	rig_expect_silence(half);
	rig_send(half, S("P/1.1\r\nHost: a\r\n\r\n"));
	rig_expect(half, 200, S("/a"));
	(void)close(idle);
	(void)close(half);
}

static void test_zero_is_for_ever(void)
{
	rig_run((struct http_server_options){}, wait_for_ever);
}

static void fill_up(struct rig *rig)
{
	int fds[6];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) { /* the backlog takes those beyond the cap */
		fds[i] = rig_connect(rig);
		rig_send(fds[i], S(GET("/a")));
	}
	for (size_t i = 0; i < 4; i++)
		rig_expect(fds[i], 200, S("/a"));
	rig_expect_silence(fds[4]);
	CHECK(rig_ask(rig, rig_conns) == 4);
	(void)close(fds[0]);
	rig_expect(fds[4], 200, S("/a"));
	rig_expect_silence(fds[5]);
	(void)close(fds[1]);
	rig_expect(fds[5], 200, S("/a"));
	for (size_t i = 2; i < ARRAY_LEN(fds); i++)
		(void)close(fds[i]);
	rig_wait(rig, rig_conns, 0);
}

static void test_beyond_the_cap_connections_wait(void)
{
	rig_run((struct http_server_options){ .conns_max = 4 }, fill_up);
}

/* Lower the limit below what is open, and raise it again. */
static void run_out_of_descriptors(struct rig *rig)
{
	struct rlimit was, none;
	int fd = rig_connect(rig), next = rig_connect(rig);

	rig_send(fd, S(GET("/a")));
	rig_expect(fd, 200, S("/a"));
	rig_send(next, S(GET("/a")));
	rig_expect(next, 200, S("/a"));
	int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	CHECK(getpeername(fd, (struct sockaddr *)&name, &len) == 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &was) == 0);
	none = (struct rlimit){ 3, was.rlim_max };
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	CHECK(connect(late, (struct sockaddr *)&name, len) == 0);
	rig_send(late, S(GET("/late")));
	rig_expect_silence(late);
	rig_send(fd, S(GET("/b"))); /* the others are served meanwhile */
	rig_expect(fd, 200, S("/b"));
	CHECK(setrlimit(RLIMIT_NOFILE, &was) == 0);
	struct timeval patience = { .tv_sec = 10 };
	(void)setsockopt(late, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	rig_expect(late, 200, S("/late"));
	(void)close(fd);
	(void)close(next);
	(void)close(late);
}

static void test_without_descriptors_accepting_is_tried_again(void)
{
	if (rig_is_tls())
		return; /* it is about what comes before the first byte */
	rig_run((struct http_server_options){}, run_out_of_descriptors);
}

static unsigned drain(struct rig *rig)
{
	http_server_drain(rig->server);
	return 0;
}

static void drain_the_server(struct rig *rig)
{
	int idle = rig_connect(rig), open = rig_connect(rig), half = rig_connect(rig);
	int busy = rig_connect(rig);
	struct rig_reply reply;

	rig_send(idle, S(GET("/a")));
	rig_expect(idle, 200, S("/a"));
	rig_send(busy, S(GET("/a")));
	rig_expect(busy, 200, S("/a"));
	rig_send(open, S(GET("/wait")));
	rig_wait(rig, rig_open, 1);
	rig_send(half, S("GET /g"));
	rig_wait(rig, rig_conns, 4);
	rig_expect_silence(half);
	(void)rig_ask(rig, drain);
	rig_send(busy, S(GET("/b"))); /* it could not know */
	rig_expect(busy, 200, S("/b"));
	rig_expect_end(busy);
	rig_expect_end(idle);
	int late = rig_connect(rig); /* the backlog's */
	rig_send(late, S(GET("/late")));
	rig_expect_silence(late);
	rig_send(half, S("o HTTP/1.1\r\nHost: a\r\n\r\n"));
	rig_read(open, false, &reply);
	CHECK(reply.status == 200 && str_find_str(reply.head, S("Connection: close\r\n")) > 0);
	rig_expect_end(open);
	rig_expect(half, 200, S("/go"));
	rig_expect_end(half);
	rig_wait(rig, rig_conns, 0);
	(void)close(late);
}

static void test_a_drained_server_answers_what_is_open_and_no_more(void)
{
	rig_run((struct http_server_options){}, drain_the_server);
}

static int fail_at;

static unsigned arm_the_fault(struct rig *rig)
{
	(void)rig;
	fault_countdown = fail_at;
	return 0;
}

static unsigned disarm_the_fault(struct rig *rig)
{
	(void)rig;
	bool is_reached = fault_countdown == 0;
	fault_countdown = 0;
	return is_reached;
}

/* Any reply or none, as long as the connection comes to its end. */
static void drain_socket(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		continue;
	(void)close(fd);
}

static bool is_fault_never_reached;

static void try_with_a_fault(struct rig *rig)
{
	static const str text = S_INIT("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
				       "chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n" GET(
					       "/big?9000000") "GET /end HTTP/1.0\r\n\r\n");

	(void)rig_ask(rig, arm_the_fault);
	int fd = rig_connect(rig);
	rig_send(fd, text);
	(void)shutdown(fd, SHUT_WR);
	drain_socket(fd);
	is_fault_never_reached = rig_ask(rig, disarm_the_fault) == 0;
	rig_wait(rig, rig_conns, 0);
	fd = rig_connect(rig); /* and then it works */
	rig_send(fd, S(GET("/a")));
	rig_expect(fd, 200, S("/a"));
	(void)close(fd);
}

static void test_a_server_survives_every_failed_allocation(void)
{
	/* Of those of a long reply over TLS, which are all alike, some. */
	for (fail_at = 1; fail_at < 1000; fail_at += rig_is_tls() && fail_at > 40 ? 50 : 1) {
		rig_run((struct http_server_options){}, try_with_a_fault);
		if (is_fault_never_reached)
			return;
	}
	FAIL("never succeeded");
}

static int on_head(void *context, struct http_conn *conn, const struct http_head *head,
	uint64_t *ret_body_max, uint64_t *ret_memory_max)
{
	(void)context;
	(void)conn;
	(void)head;
	(void)ret_body_max;
	(void)ret_memory_max;
	return 0;
}

static void on_request(void *context, struct http_conn *conn, struct http_request *request)
{
	(void)context;
	(void)conn;
	(void)request;
}

static void on_gone(void *context, struct http_conn *conn, bool request_open)
{
	(void)context;
	(void)conn;
	(void)request_open;
}

static void test_a_server_that_cannot_be_made_leaves_the_listener(void)
{
	static const struct http_server_ops ops = {
		.on_head = on_head, .on_request = on_request, .on_gone = on_gone
	};
	struct http_server_options options = { .ops = &ops, .conns_max = 1 };
	struct http_server *server = NULL;

	CHECK(loop_new(&options.loop) == 0);
	CHECK(socket_listen(S("127.0.0.1:0"), 8, &options.listener) == 0);
	for (int nth = 1; nth <= 4; nth++) {
		fault_countdown = nth;
		int r = http_server_new(&options, &server);
		bool is_reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(r == (is_reached ? -ENOMEM : 0));
		CHECK(fcntl(options.listener, F_GETFD) >= 0);
		if (r == 0)
			break;
	}
	http_server_free(server);
	CHECK(fcntl(options.listener, F_GETFD) < 0);
	http_server_free(NULL);
	loop_free(options.loop);
}

TESTS(TEST(test_idle_connections_are_closed), TEST(test_a_request_must_be_whole_in_time),
	TEST(test_zero_is_for_ever), TEST(test_beyond_the_cap_connections_wait),
	TEST(test_without_descriptors_accepting_is_tried_again),
	TEST(test_a_drained_server_answers_what_is_open_and_no_more),
	TEST(test_a_server_survives_every_failed_allocation),
	TEST(test_a_server_that_cannot_be_made_leaves_the_listener))
