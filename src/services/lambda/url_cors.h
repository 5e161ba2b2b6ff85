#pragma once
/* Cross-origin resource sharing of a function URL: which header lines a browser wants to see. */
#include "wire/http.h"

/* A URL's Cors. Borrowed text; empty lists are absent ones. */
struct url_cors {
	const str *origins;
	size_t origin_count;
	str methods; /* joined by commas */
	str headers;
	str expose;
	uint32_t max_age_s;
	bool has_max_age;
	bool has_credentials;
};

/* Is this request the question that a browser asks before another one? */
[[nodiscard]] bool url_cors_is_preflight(const struct http_head *head);

/* Append the lines of the answer to such a question; none when the origin or its request is not allowed. */
void url_cors_put_preflight(
	struct buf *fields, const struct url_cors *cors, const struct http_head *head);

/* Append the lines of an ordinary answer to a request with an Origin that is allowed. */
void url_cors_put(struct buf *fields, const struct url_cors *cors, const struct http_head *head);
