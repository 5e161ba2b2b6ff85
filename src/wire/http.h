#pragma once
/*
 * HTTP/1.1 messages (RFC 9112) as pure functions between bytes and structs. Strict on
 * purpose: whatever two parsers could read differently (both Content-Length and
 * Transfer-Encoding, two lengths, a bare LF, space before a colon, obs-fold, a chunked
 * that is not last, a NUL) is refused, so that nothing can be smuggled.
 */
#include "base/buf.h"
#include "base/str.h"

enum {
	HTTP_FIELDS_MAX = 96,
	HTTP_HEAD_MAX = 64 * 1024, /* bytes of a request line and its fields */
};

struct http_field {
	str name;  /* as sent */
	str value; /* trimmed */
};

enum http_verb {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_PATCH,
	HTTP_OPTIONS,
	HTTP_OTHER
};

/* A parsed request head: views into the bytes it was parsed from. */
struct http_head {
	enum http_verb verb;
	str method;
	str target; /* as sent */
	str path;   /* the part before '?', still percent-encoded */
	str query;  /* the part after '?', or empty */
	int minor;  /* HTTP/1.minor */
	bool keep_alive;
	bool expect_continue;
	bool has_length;
	bool chunked;
	uint64_t length; /* Content-Length */
	size_t field_count;
	struct http_field fields[HTTP_FIELDS_MAX];
};

enum http_parse_answer {
	HTTP_PARSED = 0,
	HTTP_MORE,	   /* the head is not complete yet */
	HTTP_BAD,	   /* answer 400 and close */
	HTTP_TOO_LARGE,	   /* HTTP_HEAD_MAX or HTTP_FIELDS_MAX: answer 431 and close */
	HTTP_BAD_VERSION,  /* answer 505 and close */
	HTTP_NOT_SUPPORTED /* a transfer coding other than chunked: answer 501 and close */
};

/*
 * Parse one request head at the start of `bytes`. On HTTP_PARSED *ret_used is the length of the
 * head with its empty line. *head is undefined on any other answer. `from` is a hint for
 * repeated calls as bytes arrive: how many bytes were there at the last HTTP_MORE (0 at first).
 */
[[nodiscard]] enum http_parse_answer http_parse_request(
	str bytes, size_t from, struct http_head *head, size_t *ret_used);

/* The value of the first field of that name (case folded), or a view with at == NULL. */
[[nodiscard]] str http_field(const struct http_head *head, str name);

/* The value of a Host field without its ":port". */
[[nodiscard]] str http_host_name(str host);

/* Decoder of a chunked body, fed in any pieces. Zero it to start. */
struct http_chunks {
	uint64_t left;	/* of the current chunk */
	uint64_t total; /* bytes of content so far */
	uint32_t line;	/* bytes of the size line or of the trailers so far */
	uint8_t state;
	bool done;
};

/*
 * Feed bytes; content goes to `sink`, in runs. 0 (look at chunks->done), HTTP_BAD, HTTP_TOO_LARGE
 * (above `content_max`, or the trailers above HTTP_HEAD_MAX), or a fault: the sink's, or that of
 * `trailers`. *ret_used bytes were consumed: all, or up to the end of the body. Trailer lines are
 * appended raw to `trailers` when it is not NULL, else dropped.
 */
typedef int http_sink_fn(void *context, str content);
[[nodiscard]] int http_chunks_feed(struct http_chunks *chunks, str bytes, uint64_t content_max,
	http_sink_fn *sink, void *context, struct buf *trailers, size_t *ret_used);

/* The value of the first of these trailer lines that has that name (case folded), or at == NULL. */
[[nodiscard]] str http_trailer(str trailers, str name);

/* The reason phrase of a status ("OK"), never NULL. */
const char *http_reason(int status);

/* Percent-decode into `out` ('+' is left alone); -EINVAL on a bad escape. */
[[nodiscard]] int uri_decode(str text, struct buf *out);

/* Percent-encode all but unreserved characters; '/' too unless keep_slash. */
void uri_encode(str text, bool keep_slash, struct buf *out);

/*
 * The next name=value of a query string, still encoded; false at its end. A name without '='
 * has an empty value (at == NULL when there was no '=').
 */
[[nodiscard]] bool uri_query_next(str *rest, str *ret_name, str *ret_value);
