/* Bodies in both directions: in memory, chunked, on disk, refused, larger than a socket takes. */
#include "http/rig.h"

#include "base/attr.h"
#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

/* A file system without O_TMPFILE. */
static _Atomic bool has_no_tmpfile;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	if (has_no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return __real_open(path, flags, 0600);
}

static void run(void (*script)(struct rig *rig))
{
	rig_run((struct http_server_options){}, script);
}

/* A body whose bytes tell where they belong. */
static char pattern_at(size_t i)
{
	return (char)('a' + (i * 7 + i / 251) % 26);
}

static void put_pattern(struct buf *out, size_t from, size_t len)
{
	for (size_t i = from; i < from + len; i++)
		buf_put_char(out, pattern_at(i));
}

/* Read a reply's head and then its body, which must be the pattern. */
static void expect_pattern(int fd, size_t len)
{
	struct rig_reply reply;
	char chunk[4096];
	char want[64];
	size_t at = 0;

	rig_read(fd, true, &reply);
	(void)snprintf(want, sizeof(want), "Content-Length: %zu\r\n", len);
	CHECK(reply.status == 200 && str_find_str(reply.head, str_of(want)) > 0);
	while (at < len) {
		ssize_t got = read(fd, chunk, MIN(sizeof(chunk), len - at));
		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got; i++, at++) {
			if (chunk[i] != pattern_at(at)) {
				FAIL("the body is not what was sent");
				return;
			}
		}
	}
	CHECK(at == len);
}

/* A request with a body of known length, sent in pieces of `step`. */
static void send_length(int fd, const char *path, size_t len, size_t step)
{
	struct buf text;

	buf_init(&text, len + 1000);
	buf_putf(&text, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", path, len);
	put_pattern(&text, 0, len);
	for (size_t at = 0; at < text.len; at += step)
		rig_send(fd, str_slice(buf_str(&text), at, at + step));
	buf_done(&text);
}

/* The same chunked, with trailers. */
static void send_chunked(int fd, const char *path, size_t len, size_t chunk, size_t step)
{
	struct buf text;

	buf_init(&text, 20 * len + 1000);
	buf_putf(&text, "POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", path);
	for (size_t at = 0; at < len; at += chunk) {
		buf_putf(&text, "%zx\r\n", MIN(chunk, len - at));
		put_pattern(&text, at, MIN(chunk, len - at));
		buf_put(&text, S("\r\n"));
	}
	buf_put(&text, S("0\r\nA: b\r\n\r\n"));
	for (size_t at = 0; at < text.len; at += step)
		rig_send(fd, str_slice(buf_str(&text), at, at + step));
	buf_done(&text);
}

static const size_t lengths[] = { 0, 1, 1000, 16'000, 16'384, 17'000, 49'999, 50'000, 50'001,
	200'000, 1'000'000 };

static void echo_lengths(struct rig *rig)
{
	int fd = rig_connect(rig);

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		send_length(fd, "/echo", lengths[i], 1'000'000);
		expect_pattern(fd, lengths[i]);
		send_length(fd, "/echo", lengths[i], 1 + lengths[i] / 7);
		expect_pattern(fd, lengths[i]);
	}
	(void)close(fd);
}

static void test_bodies_of_every_length_come_and_go(void)
{
	run(echo_lengths);
}

static void echo_chunks(struct rig *rig)
{
	int fd = rig_connect(rig);

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		send_chunked(fd, "/echo", lengths[i], 1 + lengths[i] / 3, 1'000'000);
		expect_pattern(fd, lengths[i]);
		send_chunked(fd, "/echo", lengths[i], 1 + lengths[i] / 500, 1 + lengths[i] / 7);
		expect_pattern(fd, lengths[i]);
	}
	send_chunked(fd, "/echo", 20'000, 1, 100'000);
	expect_pattern(fd, 20'000);
	(void)close(fd);
}

static void test_chunked_bodies_of_every_length_come_and_go(void)
{
	run(echo_chunks);
}

static void tell_kinds(struct rig *rig)
{
	int fd = rig_connect(rig);

	send_length(fd, "/kind", 50'000, 1'000'000);
	rig_expect(fd, 200, S("memory 50000 "));
	send_length(fd, "/kind", 50'001, 1'000'000);
	rig_expect(fd, 200, S("spooled 50001 "));
	send_chunked(fd, "/kind", 50'000, 10'000, 1'000'000);
	rig_expect(fd, 200, S("memory 50000 A: b\r\n"));
	send_chunked(fd, "/kind", 50'001, 10'000, 1'000'000);
	rig_expect(fd, 200, S("spooled 50001 A: b\r\n"));
	send_length(fd, "/kind", 0, 1000);
	rig_expect(fd, 200, S("memory 0 "));
	(void)close(fd);
}

static void test_large_bodies_go_to_disk(void)
{
	run(tell_kinds);
}

/* Requests behind bodies of every kind in one write. */
static void pipeline_bodies(struct rig *rig)
{
	int fd = rig_connect(rig);
	struct buf text;

	buf_init(&text, 1'000'000);
	for (int i = 0; i < 5; i++) {
		buf_put(&text,
			S("POST /kind HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
			  "chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"));
		buf_put(&text,
			S("POST /kind HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"));
		put_pattern(&text, 0, 60'000);
		buf_put(&text,
			S("POST /kind HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
			  "chunked\r\n\r\nea60\r\n"));
		put_pattern(&text, 0, 60'000);
		buf_put(&text, S("\r\n0\r\nX: y\r\n\r\n" GET("/a")));
	}
	rig_send(fd, buf_str(&text));
	for (int i = 0; i < 5; i++) {
		rig_expect(fd, 200, S("memory 2 "));
		rig_expect(fd, 200, S("spooled 60000 "));
		rig_expect(fd, 200, S("spooled 60000 X: y\r\n"));
		rig_expect(fd, 200, S("/a"));
	}
	buf_done(&text);
	(void)close(fd);
}

static void test_what_follows_a_body_is_the_next_request(void)
{
	run(pipeline_bodies);
}

static void expect_continue(struct rig *rig)
{
	static const str codings[] = { S_INIT("Content-Length: 5\r\n\r\n"),
		S_INIT("Transfer-Encoding: chunked\r\n\r\n"),
		S_INIT("Content-Length: 100000\r\n\r\n") };
	struct rig_reply reply;

	for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
		int fd = rig_connect(rig);
		rig_send(fd, S("POST /kind HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"));
		rig_send(fd, codings[i]);
		rig_read(fd, true, &reply);
		CHECK(reply.status == 100);
		rig_expect_silence(fd);
		(void)close(fd);
	}
	int fd = rig_connect(rig);
	rig_send(fd,
		S("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
		  "Content-Length: 5\r\n\r\n"));
	rig_read(fd, true, &reply);
	CHECK(reply.status == 100);
	rig_send(fd, S("hello"));
	rig_expect(fd, 200, S("hello"));
	/* Who has sent the body already does not need to hear it. */
	rig_send(fd,
		S("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
		  "Content-Length: 5\r\n\r\nhe"));
	rig_send(fd, S("llo"));
	rig_expect(fd, 200, S("hello"));
	/* Who is refused hears that at once. */
	rig_send(fd,
		S("POST /refuse HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
		  "Content-Length: 5\r\n\r\n"));
	rig_expect(fd, 403, S("refused 403"));
	rig_expect_end(fd);
}

static void test_a_client_that_waits_is_told_to_continue(void)
{
	run(expect_continue);
}

static void refuse_requests(struct rig *rig)
{
	static const struct {
		str text;
		int status;
		str body;
	} rows[] = {
		{ S_INIT("nonsense\r\n\r\n"), 400, S_INIT("refused 400") },
		{ S_INIT("\x16\x03\x01"), 400, S_INIT("refused 400") },
		{ S_INIT("GET / HTTP/1.1\r\nHost: a\n"), 400, S_INIT("refused 400") },
		{ S_INIT("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505, S_INIT("refused 505") },
		{ S_INIT("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"), 501,
			S_INIT("refused 501") },
		{ S_INIT("GET /refuse HTTP/1.1\r\nHost: a\r\n\r\n"), 403, S_INIT("refused 403") },
		{ S_INIT("P / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000001\r\n\r\nx"), 413,
			S_INIT("refused 413") },
		{ S_INIT("P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
			 "f4240\r\n"),
			413, S_INIT("refused 413") },
		{ S_INIT("P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz"), 400,
			S_INIT("refused 400") },
		{ S_INIT("P / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
			 "chunked\r\n\r\n0\r\n\r\n"),
			400, S_INIT("refused 400") },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int fd = rig_connect(rig);
		struct rig_reply reply;
		rig_send(fd, rows[i].text);
		rig_read(fd, false, &reply);
		CHECK(reply.status == rows[i].status);
		CHECK_STR(reply.body, rows[i].body);
		CHECK(str_find_str(reply.head, S("X-Refused: yes\r\n")) > 0);
		CHECK(str_find_str(reply.head, S("Connection: close\r\n")) > 0);
		rig_expect_end(fd);
	}
	rig_wait(rig, rig_conns, 0);
	CHECK(rig_ask(rig, rig_requests) == 0);
}

static void test_refused_requests_are_told_why(void)
{
	run(refuse_requests);
}

/* The client of an upload that is refused reads the reply only after it has sent everything. */
static void refuse_a_long_upload(struct rig *rig)
{
	int fd = rig_connect(rig);
	static char block[100'000];

	rig_send(fd, S("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n"));
	for (int i = 0; i < 200; i++)
		rig_send(fd, (str){ block, sizeof(block) });
	rig_expect(fd, 413, S("refused 413"));
	rig_expect_end(fd);
	rig_wait(rig, rig_conns, 0);
}

static void test_a_refused_upload_may_be_sent_to_its_end(void)
{
	run(refuse_a_long_upload);
}

static void send_endless_heads(struct rig *rig)
{
	int fd = rig_connect(rig);
	struct buf text;

	buf_init(&text, 1'000'000);
	buf_put(&text, S("GET / HTTP/1.1\r\nHost: a\r\nX: "));
	for (size_t i = 0; i < 200'000; i++)
		buf_put_char(&text, 'x');
	rig_send(fd, buf_str(&text));
	rig_expect(fd, 431, S("refused 431"));
	rig_expect_end(fd);

	fd = rig_connect(rig);
	buf_clear(&text);
	buf_put(&text, S("GET / HTTP/1.1\r\nHost: a\r\n"));
	for (size_t i = 0; i < HTTP_FIELDS_MAX; i++)
		buf_put(&text, S("X: y\r\n"));
	buf_put(&text, S("\r\n"));
	rig_send(fd, buf_str(&text));
	rig_expect(fd, 431, S("refused 431"));
	rig_expect_end(fd);

	fd = rig_connect(rig); /* a long one is fine, and so is what follows it */
	buf_clear(&text);
	buf_put(&text, S("GET /long HTTP/1.1\r\nHost: a\r\nX: "));
	for (size_t i = 0; i < 60'000; i++)
		buf_put_char(&text, 'x');
	buf_put(&text, S("\r\n\r\n" GET("/after")));
	rig_send(fd, buf_str(&text));
	rig_expect(fd, 200, S("/long"));
	rig_expect(fd, 200, S("/after"));
	buf_done(&text);
	(void)close(fd);
}

static void test_heads_are_bounded(void)
{
	run(send_endless_heads);
}

static void read_big_replies(struct rig *rig)
{
	int fd = rig_connect(rig), other = rig_connect(rig);
	struct rig_reply reply;

	rig_send(fd, S(GET("/big?8000000") GET("/file?9000000") GET("/file?0") GET("/end")));
	(void)poll(NULL, 0, 30); /* the socket fills up, and nobody else has to wait */
	rig_send(other, S(GET("/other")));
	rig_expect(other, 200, S("/other"));
	rig_read(fd, true, &reply);
	CHECK(str_find_str(reply.head, S("Content-Length: 8000000\r\n")) > 0);
	rig_skip(fd, 8'000'000);
	rig_read(fd, true, &reply);
	CHECK(str_find_str(reply.head, S("Content-Length: 9000000\r\n")) > 0);
	rig_skip(fd, 9'000'000);
	rig_expect(fd, 200, S(""));
	rig_expect(fd, 200, S("/end"));
	(void)close(fd);
	(void)close(other);
}

static void test_replies_larger_than_the_socket_arrive_whole(void)
{
	run(read_big_replies);
}

static void leave_big_replies(struct rig *rig)
{
	int fds[4];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = rig_connect(rig);
		rig_send(fds[i], i % 2 ? S(GET("/big?8000000")) : S(GET("/file?8000000")));
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		rig_skip(fds[i], 1000);
		(void)close(fds[i]);
	}
	rig_wait(rig, rig_conns, 0);
	CHECK(rig_ask(rig, rig_gone_open) == 0);
	int fd = rig_connect(rig); /* a file that is shorter than was said cannot be mended */
	struct rig_reply reply;
	rig_send(fd, S(GET("/short?1000")));
	rig_read(fd, true, &reply);
	CHECK(reply.status == 200);
	rig_skip(fd, 500);
	rig_expect_end(fd);
}

static void test_a_peer_may_leave_in_the_middle_of_a_reply(void)
{
	run(leave_big_replies);
}

static void test_large_bodies_go_to_disk_without_o_tmpfile_too(void)
{
	has_no_tmpfile = true;
	run(tell_kinds);
	has_no_tmpfile = false; /* main() sees whether a file was left behind */
}

/* Without a place to write, the upload is refused and the server lives. */
static void fail_to_spool(struct rig *rig)
{
	int fd = rig_connect(rig);

	send_length(fd, "/kind", 60'000, 1'000'000);
	rig_expect(fd, 500, S("refused 500"));
	rig_expect_end(fd);
	fd = rig_connect(rig);
	send_length(fd, "/kind", 1000, 1000);
	rig_expect(fd, 200, S("memory 1000 "));
	(void)close(fd);
}

static void test_a_body_that_cannot_be_kept_is_refused(void)
{
	char here[4096];

	CHECK(getcwd(here, sizeof(here)) && chdir("/proc") == 0);
	run(fail_to_spool);
	CHECK(chdir(here) == 0);
}

/* The working directory of the tests: somewhere to spool to, gone at the end. */
int main(void)
{
	static const struct test_case tests[] = { TEST(test_bodies_of_every_length_come_and_go),
		TEST(test_chunked_bodies_of_every_length_come_and_go),
		TEST(test_large_bodies_go_to_disk),
		TEST(test_large_bodies_go_to_disk_without_o_tmpfile_too),
		TEST(test_what_follows_a_body_is_the_next_request),
		TEST(test_a_client_that_waits_is_told_to_continue),
		TEST(test_refused_requests_are_told_why),
		TEST(test_a_refused_upload_may_be_sent_to_its_end), TEST(test_heads_are_bounded),
		TEST(test_replies_larger_than_the_socket_arrive_whole),
		TEST(test_a_peer_may_leave_in_the_middle_of_a_reply),
		TEST(test_a_body_that_cannot_be_kept_is_refused) };
	char dir[] = "/tmp/http-body-test-XXXXXX";

	if (!mkdtemp(dir) || chdir(dir) < 0)
		return 1;
	int r = test_main(tests, ARRAY_LEN(tests));
	if (chdir("/") < 0 || rmdir(dir) < 0) /* a file left behind would keep it */
		r = 1;
	return r;
}
