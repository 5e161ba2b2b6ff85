/* Bodies that are shown as they come, and replies in pieces. */
#include "http/rig.h"

#include "base/attr.h"
#include "base/test.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define UPLOAD	    "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

static void run(void (*script)(struct rig *rig))
{
	rig_run((struct http_server_options){}, script);
}

static void run_eager(void (*script)(struct rig *rig))
{
	rig_run((struct http_server_options){ .is_eager_close_detected = true }, script);
}

static void go(struct rig *rig)
{
	int fd = rig_connect(rig);

	rig_send(fd, S(GET("/go")));
	rig_expect(fd, 200, S("/go"));
	(void)close(fd);
}

static unsigned shown(struct rig *rig)
{
	return (unsigned)rig->shown;
}

/* --- bodies --- */

static void show_a_body(struct rig *rig)
{
	int fd = rig_connect(rig);

	rig_send(fd, S(UPLOAD "3\r\nabc\r\n"));
	rig_wait(rig, shown, 3); /* long before its end */
	rig_send(fd, S("2\r\nde\r\n"));
	rig_wait(rig, shown, 5);
	CHECK(rig_ask(rig, rig_requests) == 0);
	rig_send(fd, S("0\r\nA: b\r\n\r\n" GET("/next")));
	rig_expect(fd, 200, S("shown 5 A: b\r\n"));
	rig_expect(fd, 200, S("/next"));
	(void)close(fd);
}

static void test_a_body_is_shown_as_it_comes(void)
{
	run(show_a_body);
}

static void show_a_body_of_known_length(struct rig *rig)
{
	int fd = rig_connect(rig);

	rig_send(fd, S("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"));
	rig_wait(rig, shown, 2);
	rig_send(fd, S("cde" GET("/next")));
	rig_expect(fd, 200, S("shown 5 "));
	rig_expect(fd, 200, S("/next"));
	rig_send(fd, S("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
	rig_expect(fd, 200, S("shown 0 "));
	(void)close(fd);
}

static void test_a_body_of_known_length_is_shown_too(void)
{
	run(show_a_body_of_known_length);
}

static void show_at_every_split(struct rig *rig)
{
	static const str text = S_INIT(UPLOAD "3\r\nabc\r\n1\r\nd\r\n0\r\nA: b\r\n\r\n");

	for (size_t i = 1; i < text.len; i++) {
		int fd = rig_connect(rig);
		rig_send(fd, str_slice(text, 0, i));
		(void)rig_ask(rig, rig_conns); /* a turn of the loop */
		rig_send(fd, str_from(text, i));
		rig_expect(fd, 200, S("shown 4 A: b\r\n"));
		(void)close(fd);
	}
}

static void test_a_body_may_be_split_anywhere(void)
{
	run(show_at_every_split);
}

/* More than the sockets' buffers hold, so that the peer cannot get rid of it. */
enum { FULL = 16 * 1024 * 1024 };

static size_t send_what_goes(int fd, size_t most)
{
	static const char zeros[64 * 1024];
	size_t sent = 0;

	while (sent < most) {
		ssize_t len = send(
			fd, zeros, MIN(sizeof(zeros), most - sent), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (len < 0)
			break;
		sent += (size_t)len;
	}
	return sent;
}

static unsigned allow_full_bodies(struct rig *rig)
{
	rig->body_max = FULL + 1;
	return 0;
}

static void pause_reading(struct rig *rig)
{
	int fd = rig_connect(rig);
	char head[200];

	(void)rig_ask(rig, allow_full_bodies);
	snprintf(head, sizeof(head),
		"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nP", FULL + 1);
	rig_send(fd, str_of(head));
	rig_wait(rig, shown, 1);
	size_t sent = 0, more;
	do { /* until nobody takes anything for a while */
		more = send_what_goes(fd, FULL - sent);
		sent += more;
		usleep(50'000);
	} while (more > 0);
	CHECK(sent < FULL);
	CHECK(rig_ask(rig, shown) == 1);
	go(rig);
	while (sent < FULL) {
		sent += send_what_goes(fd, FULL - sent);
		(void)rig_ask(rig, rig_conns);
	}
	snprintf(head, sizeof(head), "shown %d ", FULL + 1);
	rig_expect(fd, 200, str_of(head));
	(void)close(fd);
}

static void test_reading_stops_and_goes_on(void)
{
	rig_run((struct http_server_options){}, pause_reading);
}

static void refuse_while_it_comes(struct rig *rig)
{
	int fd = rig_connect(rig);

	rig_send(fd, S(UPLOAD "3\r\nRbc\r\n3\r\nabc\r\n"));
	rig_expect(fd, 413, S("refused 413"));
	(void)shutdown(fd, SHUT_WR);
	rig_expect_end(fd);
	fd = rig_connect(rig);
	rig_send(fd, S(UPLOAD "3\r\nAbc\r\n3\r\nabc\r\n"));
	char byte;
	CHECK(read(fd, &byte, 1) <= 0);
	(void)close(fd);
	CHECK(rig_ask(rig, rig_requests) == 0);
}

static void test_a_body_may_be_refused_or_aborted_while_it_comes(void)
{
	run(refuse_while_it_comes);
	run_eager(refuse_while_it_comes);
}

static void leave_a_body(struct rig *rig)
{
	int fd = rig_connect(rig);

	rig_send(fd, S(UPLOAD "3\r\nabc\r\n3\r\na"));
	rig_wait(rig, shown, 4);
	(void)close(fd);
	rig_wait(rig, rig_gone, 1);
	CHECK(rig_ask(rig, rig_requests) == 0);
	CHECK(rig_ask(rig, rig_gone_open) == 0);
}

static void test_a_peer_may_go_in_the_middle_of_its_body(void)
{
	run_eager(leave_a_body);
}

/* --- replies --- */

static void reply_in_pieces(struct rig *rig)
{
	struct rig_reply reply;
	int fd = rig_connect(rig);

	rig_send(fd, S(GET("/pieces") GET("/next")));
	rig_expect_head(fd, &reply);
	CHECK(str_find_str(reply.head, S("\r\nTransfer-Encoding: chunked\r\n")) > 0);
	CHECK(str_find_str(reply.head, S("\r\nX-Rig: yes\r\n")) > 0);
	rig_expect_bytes(fd, S("3\r\none\r\n")); /* before there is a second */
	CHECK(rig_ask(rig, rig_open) == 1);
	go(rig);
	rig_expect_bytes(fd, S("3\r\ntwo\r\n0\r\n\r\n"));
	rig_expect(fd, 200, S("/next"));
	(void)close(fd);
	CHECK(rig_ask(rig, rig_open) == 0);
}

static void test_a_reply_in_pieces_is_sent_piece_by_piece(void)
{
	run(reply_in_pieces);
	run_eager(reply_in_pieces);
}

static void reply_to_old_peers(struct rig *rig)
{
	struct rig_reply reply;
	int fd = rig_connect(rig);

	rig_send(fd, S("GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
	rig_expect_head(fd, &reply);
	CHECK(str_find_str(reply.head, S("\r\nConnection: close\r\n")) > 0);
	CHECK(str_find_str(reply.head, S("chunked")) < 0);
	rig_expect_bytes(fd, S("one"));
	go(rig);
	rig_expect_bytes(fd, S("two"));
	rig_expect_end(fd);
}

static void test_a_peer_without_chunks_reads_to_the_end(void)
{
	run(reply_to_old_peers);
}

static void reply_to_head(struct rig *rig)
{
	struct rig_reply reply;
	int fd = rig_connect(rig);

	rig_send(fd, S("HEAD /pieces HTTP/1.1\r\nHost: a\r\n\r\n" GET("/next")));
	rig_expect_head(fd, &reply);
	go(rig);
	rig_expect(fd, 200, S("/next"));
	(void)close(fd);
}

static void test_a_reply_to_head_has_no_pieces(void)
{
	run(reply_to_head);
}

static void leave_a_reply(struct rig *rig)
{
	struct rig_reply reply;
	int fd = rig_connect(rig);

	rig_send(fd, S(GET("/pieces")));
	rig_expect_head(fd, &reply);
	(void)close(fd);
	rig_wait(rig, rig_gone_open, 1);
	go(rig);
	CHECK(rig_ask(rig, rig_open) == 0);
}

static void test_a_peer_may_go_in_the_middle_of_a_reply(void)
{
	run_eager(leave_a_reply);
}

static unsigned flood_left(struct rig *rig)
{
	return (unsigned)(rig->flood_left / 1024);
}

static unsigned backlog_max(struct rig *rig)
{
	return (unsigned)rig->backlog_max;
}

/* "4E20\r\n", 20,000 bytes, "\r\n", again and again. */
static void read_flood(int fd, size_t len)
{
	while (len > 0) {
		size_t piece = MIN(len, (size_t)20'000);
		char size[20];
		snprintf(size, sizeof(size), "%zx\r\n", piece);
		rig_expect_bytes(fd, str_of(size));
		rig_skip(fd, piece);
		rig_expect_bytes(fd, S("\r\n"));
		len -= piece;
	}
	rig_expect_bytes(fd, S("0\r\n\r\n"));
}

static void flood(struct rig *rig)
{
	struct rig_reply reply;
	int fd = rig_connect(rig);
	unsigned before, after = 0;

	rig_send(fd, S(GET("/flood?40000000")));
	do { /* until the sockets are full */
		before = after;
		usleep(50'000);
		after = rig_ask(rig, flood_left);
	} while (after == 0 || after != before);
	CHECK(after > 20'000);
	rig_expect_head(fd, &reply);
	read_flood(fd, 40'000'000);
	CHECK(rig_ask(rig, flood_left) == 0);
	CHECK(rig_ask(rig, backlog_max) < 64 * 1024 + 2 * 20'000);
	(void)close(fd);
}

static void test_a_slow_peer_is_waited_for(void)
{
	run_eager(flood);
}

TESTS(TEST(test_a_body_is_shown_as_it_comes), TEST(test_a_body_of_known_length_is_shown_too),
	TEST(test_a_body_may_be_split_anywhere), TEST(test_reading_stops_and_goes_on),
	TEST(test_a_body_may_be_refused_or_aborted_while_it_comes),
	TEST(test_a_peer_may_go_in_the_middle_of_its_body),
	TEST(test_a_reply_in_pieces_is_sent_piece_by_piece),
	TEST(test_a_peer_without_chunks_reads_to_the_end), TEST(test_a_reply_to_head_has_no_pieces),
	TEST(test_a_peer_may_go_in_the_middle_of_a_reply), TEST(test_a_slow_peer_is_waited_for))
