/* Requests, replies, pipelining, and what they cost. */
#include "http/rig.h"

#include "base/attr.h"
#include "base/test.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(target)  "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD(target) "HEAD " target " HTTP/1.1\r\nHost: a\r\n\r\n"

/* System calls of the server's thread, counted by wrapping them. */
static _Thread_local bool is_server_thread;
static unsigned reads, writes, watch_changes;

ssize_t __real_read(int fd, void *to, size_t size);
ssize_t __wrap_read(int fd, void *to, size_t size);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_watch_set(struct watch *watch, unsigned events);
int __wrap_watch_set(struct watch *watch, unsigned events);

ssize_t __wrap_read(int fd, void *to, size_t size)
{
	reads += is_server_thread;
	return __real_read(fd, to, size);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	writes += is_server_thread;
	return __real_sendmsg(fd, message, flags);
}

int __wrap_watch_set(struct watch *watch, unsigned events)
{
	watch_changes += events != WATCH_READ; /* as they all are watched from the start */
	return __real_watch_set(watch, events);
}

static unsigned count_from_here(struct rig *rig)
{
	(void)rig;
	is_server_thread = true;
	reads = writes = watch_changes = 0;
	return 0;
}

static unsigned count_reads(struct rig *rig)
{
	(void)rig;
	return reads;
}

static unsigned count_writes(struct rig *rig)
{
	(void)rig;
	return writes;
}

static unsigned count_watch_changes(struct rig *rig)
{
	(void)rig;
	return watch_changes;
}

static void run(void (*script)(struct rig *rig))
{
	rig_run((struct http_server_options){}, script);
}

static void run_eager(void (*script)(struct rig *rig))
{
	rig_run((struct http_server_options){ .is_eager_close_detected = true }, script);
}

static void answer_requests(struct rig *rig)
{
	int fd = rig_connect(rig);
	struct rig_reply reply;

	rig_send(fd, S(GET("/one")));
	rig_read(fd, false, &reply);
	CHECK(reply.status == 200);
	CHECK(str_starts(reply.head, S("HTTP/1.1 200 OK\r\nDate: ")));
	CHECK(str_ends(reply.head, S("\r\nContent-Length: 4\r\nX-Rig: yes\r\n\r\n")));
	CHECK_STR(reply.body, S("/one"));
	rig_send(fd, S("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
	rig_expect(fd, 200, S("hello"));
	rig_send(fd, S(GET("/count")));
	rig_expect(fd, 200, S("3"));
	CHECK(rig_ask(rig, rig_conns) == 1 && rig_ask(rig, rig_open) == 0);
	(void)close(fd);
	rig_wait(rig, rig_conns, 0);
	CHECK(rig_ask(rig, rig_gone) == 1 && rig_ask(rig, rig_gone_open) == 0);
}

static void test_requests_on_one_connection_are_answered(void)
{
	run(answer_requests);
	run_eager(answer_requests);
}

static void count_calls(struct rig *rig)
{
	int fd = rig_connect(rig);

	rig_send(fd, S(GET("/warm")));
	rig_expect(fd, 200, S("/warm"));
	(void)rig_ask(rig, count_from_here);
	for (int i = 0; i < 50; i++) {
		rig_send(fd, S("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
		rig_expect(fd, 200, S("hello"));
	}
	CHECK(rig_ask(rig, count_reads) == 50);
	CHECK(rig_ask(rig, count_writes) == 50);
	CHECK(rig_ask(rig, count_watch_changes) == 0);
	(void)close(fd);
}

static void test_a_warm_request_costs_one_read_and_one_write(void)
{
	run(count_calls);
}

/* The Runtime API's way: the answer of one invocation and the wish for the next in one write. */
static void hold_and_wait(struct rig *rig)
{
	int runtime = rig_connect(rig), client = rig_connect(rig);

	rig_send(runtime, S(GET("/wait")));
	rig_wait(rig, rig_open, 1);
	rig_send(client, S(GET("/go")));
	rig_expect(runtime, 200, S("go"));
	rig_expect(client, 200, S("/go"));
	(void)rig_ask(rig, count_from_here);
	for (unsigned i = 1; i <= 20; i++) {
		rig_send(runtime,
			S("POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" GET(
				"/wait")));
		rig_wait(rig, rig_open, 1);
		CHECK(rig_ask(rig, count_writes) == 2 * i - 2); /* nothing yet */
		rig_send(client, S(GET("/go")));
		rig_expect(client, 200, S("/go"));
		rig_expect(runtime, 202, S("/hold"));
		rig_expect(runtime, 200, S("go"));
		CHECK(rig_ask(rig, count_writes) == 2 * i);
		CHECK(rig_ask(rig, count_reads) == 2 * i);
	}
	CHECK(rig_ask(rig, count_watch_changes) == 0);
	(void)close(runtime);
	(void)close(client);
}

static void test_a_held_reply_goes_out_with_the_next_one(void)
{
	run(hold_and_wait);
	run_eager(hold_and_wait);
}

static void hold_in_vain(struct rig *rig)
{
	int fd = rig_connect(rig);

	rig_send(fd, S(GET("/hold"))); /* nothing follows */
	rig_expect(fd, 202, S("/hold"));
	rig_send(fd, S(GET("/hold") "GET /wai")); /* a part of a request follows */
	rig_expect(fd, 202, S("/hold"));
	rig_send(fd, S("t HTTP/1.1\r\nHost: a\r\n\r\n"));
	rig_wait(rig, rig_open, 1);
	(void)close(fd);

	fd = rig_connect(rig);
	rig_send(
		fd, S(GET("/hold") "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na"));
	rig_expect(fd, 202, S("/hold"));
	rig_send(fd, S("b"));
	rig_expect(fd, 200, S("ab"));
	rig_send(fd, S(GET("/hold") GET("/hold") GET("/hold") GET("/a")));
	rig_expect(fd, 202, S("/hold"));
	rig_expect(fd, 202, S("/hold"));
	rig_expect(fd, 202, S("/hold"));
	rig_expect(fd, 200, S("/a"));
	rig_send(fd, S(GET("/hold") "nonsense\r\n\r\n")); /* it goes with the refusal */
	rig_expect(fd, 202, S("/hold"));
	rig_expect(fd, 400, S("refused 400"));
	rig_expect_end(fd);
}

static void test_a_held_reply_does_not_wait_for_a_part_of_a_request(void)
{
	run(hold_in_vain);
}

static void pipeline(struct rig *rig)
{
	int fd = rig_connect(rig);
	struct buf text;

	buf_init(&text, 1'000'000);
	for (int i = 0; i < 500; i++)
		buf_putf(&text, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n%03d",
			i);
	rig_send(fd, buf_str(&text));
	for (int i = 0; i < 500; i++) {
		char want[4];
		(void)snprintf(want, sizeof(want), "%03d", i);
		rig_expect(fd, 200, str_of(want));
	}
	CHECK(rig_ask(rig, rig_requests) == 500);
	buf_done(&text);
	(void)close(fd);
}

static void test_pipelined_requests_are_answered_in_order(void)
{
	run(pipeline);
	run_eager(pipeline);
}

/* More is sent ahead of an open request than is buffered: it has to wait in the socket. */
static void flood_an_open_request(struct rig *rig)
{
	int fd = rig_connect(rig), other = rig_connect(rig);
	struct buf text;

	buf_init(&text, 10'000'000);
	buf_put(&text, S(GET("/wait")));
	for (int i = 0; i < 2000; i++)
		buf_put(&text, S(GET("/a")));
	rig_send(fd, buf_str(&text));
	rig_wait(rig, rig_open, 1);
	rig_expect_silence(fd);
	CHECK(rig_ask(rig, rig_requests) == 1);
	rig_send(other, S(GET("/go")));
	rig_expect(other, 200, S("/go"));
	rig_expect(fd, 200, S("go"));
	for (int i = 0; i < 2000; i++)
		rig_expect(fd, 200, S("/a"));
	buf_done(&text);
	(void)close(fd);
	(void)close(other);
}

static void test_what_is_sent_ahead_of_an_open_request_waits(void)
{
	run(flood_an_open_request);
	run_eager(flood_an_open_request);
}

static void byte_by_byte(struct rig *rig)
{
	int fd = rig_connect(rig);
	str text = S("\r\nPOST /kind HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		     "3;x\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n" GET("/next"));

	for (size_t i = 0; i < text.len; i++) {
		rig_send(fd, str_slice(text, i, i + 1));
		if (i % 7 == 0)
			(void)poll(NULL, 0, 1);
	}
	rig_expect(fd, 200, S("memory 5 A: b\r\n"));
	rig_expect(fd, 200, S("/next"));
	(void)close(fd);
}

static void test_requests_may_come_byte_by_byte(void)
{
	run(byte_by_byte);
	run_eager(byte_by_byte);
}

static void statuses_and_heads(struct rig *rig)
{
	int fd = rig_connect(rig);
	struct rig_reply reply;

	rig_send(fd, S(HEAD("/one") GET("/two")));
	rig_read(fd, true, &reply);
	CHECK(reply.status == 200 && str_find_str(reply.head, S("Content-Length: 4\r\n")) > 0);
	rig_expect(fd, 200, S("/two"));
	rig_send(fd, S(HEAD("/file?10") HEAD("/big?100000") GET("/two")));
	rig_read(fd, true, &reply);
	CHECK(str_find_str(reply.head, S("Content-Length: 10\r\n")) > 0);
	rig_read(fd, true, &reply);
	CHECK(str_find_str(reply.head, S("Content-Length: 100000\r\n")) > 0);
	rig_expect(fd, 200, S("/two"));
	rig_send(fd, S(GET("/status?204") GET("/status?304") GET("/status?404")));
	rig_expect(fd, 204, S(""));
	rig_expect(fd, 304, S(""));
	rig_expect(fd, 404, S("body"));
	(void)close(fd);
}

static void test_replies_without_content_have_none(void)
{
	run(statuses_and_heads);
}

static void versions_and_closing(struct rig *rig)
{
	struct rig_reply reply;
	int fd = rig_connect(rig);

	rig_send(fd, S("GET /a HTTP/1.0\r\n\r\n"));
	rig_read(fd, false, &reply);
	CHECK(str_find_str(reply.head, S("\r\nConnection: close\r\n")) > 0);
	rig_expect_end(fd);

	fd = rig_connect(rig);
	rig_send(fd, S("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
	rig_read(fd, false, &reply);
	CHECK(str_find_str(reply.head, S("\r\nConnection: keep-alive\r\n")) > 0);
	rig_send(fd, S("GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/lost")));
	rig_expect(fd, 200, S("/b"));
	rig_expect_end(fd);

	fd = rig_connect(rig);
	rig_send(fd, S(GET("/close")));
	rig_read(fd, false, &reply);
	CHECK(str_find_str(reply.head, S("\r\nConnection: close\r\n")) > 0);
	rig_expect_end(fd);
	rig_wait(rig, rig_conns, 0);
	CHECK(rig_ask(rig, rig_requests) == 4);
}

static void test_connections_close_when_either_side_says_so(void)
{
	run(versions_and_closing);
}

static void answer_half_closed(struct rig *rig)
{
	int fd = rig_connect(rig);

	rig_send(fd, S(GET("/a") GET("/b") "GET /c HT"));
	CHECK(shutdown(fd, SHUT_WR) == 0);
	rig_expect(fd, 200, S("/a"));
	rig_expect(fd, 200, S("/b"));
	rig_expect_end(fd);
	fd = rig_connect(rig);
	rig_send(fd, S(GET("/wait") GET("/b")));
	CHECK(shutdown(fd, SHUT_WR) == 0);
	rig_wait(rig, rig_open, 1);
	rig_expect_silence(fd);
	int other = rig_connect(rig);
	rig_send(other, S(GET("/go")));
	rig_expect(other, 200, S("/go"));
	rig_expect(fd, 200, S("go"));
	rig_expect(fd, 200, S("/b"));
	rig_expect_end(fd);
	(void)close(other);
	CHECK(rig_ask(rig, rig_gone_open) == 0);
}

static void test_a_peer_that_only_stops_sending_gets_its_answers(void)
{
	run(answer_half_closed);
}

/* More requests than are taken up in one iteration: the end is read before the last of them. */
static void stop_behind_a_long_pipeline(struct rig *rig)
{
	int fd = rig_connect(rig);
	struct buf text;

	buf_init(&text, 100'000);
	for (int i = 0; i < 100; i++)
		buf_put(&text, i % 2 ? S(GET("/a")) : S(GET("/hold")));
	buf_put(&text, S(GET("/hold") "GET /never HT"));
	rig_send(fd, buf_str(&text));
	CHECK(shutdown(fd, SHUT_WR) == 0);
	for (int i = 0; i < 100; i++)
		rig_expect(fd, i % 2 ? 200 : 202, i % 2 ? S("/a") : S("/hold"));
	rig_expect(fd, 202, S("/hold"));
	rig_expect_end(fd);

	/* The same with one that stays open: an eager server lets it go, another one answers. */
	unsigned answered = rig_ask(rig, rig_requests);
	fd = rig_connect(rig);
	text.len -= strlen(GET("/hold") "GET /never HT");
	buf_put(&text, S(GET("/wait")));
	rig_send(fd, buf_str(&text));
	CHECK(shutdown(fd, SHUT_WR) == 0);
	for (int i = 0; i < 100; i++)
		rig_expect(fd, i % 2 ? 200 : 202, i % 2 ? S("/a") : S("/hold"));
	rig_wait(rig, rig_requests, answered + 101);
	if (rig->is_eager) {
		rig_wait(rig, rig_gone_open, 1);
		rig_expect_end(fd);
	} else {
		CHECK(rig_ask(rig, rig_open) == 1);
		(void)close(fd);
	}
	buf_done(&text);
}

static void test_an_end_behind_a_long_pipeline_loses_no_request(void)
{
	run(stop_behind_a_long_pipeline);
	run_eager(stop_behind_a_long_pipeline);
}

static void leave_open_requests(struct rig *rig)
{
	int fd = rig_connect(rig);

	rig_send(fd, S(GET("/wait")));
	rig_wait(rig, rig_open, 1);
	(void)close(fd);
	rig_wait(rig, rig_gone_open, 1);
	CHECK(rig_ask(rig, rig_open) == 0 && rig_ask(rig, rig_conns) == 0);
	fd = rig_connect(rig);
	rig_send(fd, S(GET("/wait") GET("/more")));
	rig_wait(rig, rig_open, 1);
	(void)close(fd);
	rig_wait(rig, rig_gone_open, 2);
}

static void test_a_peer_that_leaves_an_open_request_is_seen(void)
{
	run_eager(leave_open_requests);
}

static void reset_open_requests(struct rig *rig)
{
	struct linger at_once = { .l_onoff = 1 };
	int fd = rig_connect(rig);

	rig_send(fd, S(GET("/wait")));
	rig_wait(rig, rig_open, 1);
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	(void)close(fd);
	rig_wait(rig, rig_gone_open, 1);
}

static void test_a_reset_is_always_seen(void)
{
	if (rig_is_tls())
		return; /* who carries it knows no reset */
	run(reset_open_requests);
	run_eager(reset_open_requests);
}

/* The reply is the first to notice: it goes nowhere, and on_gone comes without an open request. */
static void answer_the_gone(struct rig *rig)
{
	int fd = rig_connect(rig), other = rig_connect(rig);

	rig_send(fd, S(GET("/wait")));
	rig_wait(rig, rig_open, 1);
	(void)close(fd); /* looks like half a close to a server that is not eager */
	rig_expect_silence(other);
	rig_send(other, S(GET("/go")));
	rig_expect(other, 200, S("/go"));
	rig_wait(rig, rig_conns, 1);
	CHECK(rig_ask(rig, rig_gone_open) == 0 && rig_ask(rig, rig_open) == 0);
	(void)close(other);
}

static void test_a_reply_to_a_peer_that_left_goes_nowhere(void)
{
	run(answer_the_gone);
}

static void abort_requests(struct rig *rig)
{
	int fd = rig_connect(rig);

	rig_send(fd, S(GET("/abort")));
	rig_expect_end(fd);
	rig_wait(rig, rig_gone_open, 1);
	fd = rig_connect(rig);
	rig_send(fd, S(GET("/abort-at-head")));
	rig_expect_end(fd);
	rig_wait(rig, rig_gone, 2);
	CHECK(rig_ask(rig, rig_gone_open) == 1 && rig_ask(rig, rig_requests) == 1);
}

static void test_an_aborted_connection_closes_without_a_reply(void)
{
	run(abort_requests);
}

static void stay_open_at_the_end(struct rig *rig)
{
	int fds[20];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = rig_connect(rig);
		rig_send(fds[i], i % 2 ? S(GET("/wait")) : S("POST /half HTTP/1.1\r\n"));
	}
	rig_wait(rig, rig_open, ARRAY_LEN(fds) / 2);
	/* rig_run() frees the server with all of them, and leaks are the sanitizer's */
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		(void)close(fds[i]);
}

static void test_a_server_may_be_freed_in_the_middle_of_everything(void)
{
	run(stay_open_at_the_end);
	run_eager(stay_open_at_the_end);
}

TESTS(TEST(test_requests_on_one_connection_are_answered),
	TEST(test_a_warm_request_costs_one_read_and_one_write),
	TEST(test_a_held_reply_goes_out_with_the_next_one),
	TEST(test_a_held_reply_does_not_wait_for_a_part_of_a_request),
	TEST(test_pipelined_requests_are_answered_in_order),
	TEST(test_what_is_sent_ahead_of_an_open_request_waits),
	TEST(test_requests_may_come_byte_by_byte), TEST(test_replies_without_content_have_none),
	TEST(test_connections_close_when_either_side_says_so),
	TEST(test_a_peer_that_only_stops_sending_gets_its_answers),
	TEST(test_an_end_behind_a_long_pipeline_loses_no_request),
	TEST(test_a_peer_that_leaves_an_open_request_is_seen), TEST(test_a_reset_is_always_seen),
	TEST(test_a_reply_to_a_peer_that_left_goes_nowhere),
	TEST(test_an_aborted_connection_closes_without_a_reply),
	TEST(test_a_server_may_be_freed_in_the_middle_of_everything))
