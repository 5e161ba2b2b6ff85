#pragma once
/* From an HTTP request to the event that a function gets: payload format 2.0. */
#include "wire/http.h"

/* Who has signed the request. */
struct url_caller {
	str access_key;
	str account;
	str arn; /* of a session; empty: the account's root has signed */
};

/* What an event tells. Everything is borrowed. */
struct url_event {
	const struct http_head *head;
	str body;
	str path; /* as sent, of the address alone */
	str id;	  /* of the URL */
	str request_id;
	str source_ip;
	str trace; /* "Root=…": the X-Ray header that the function shall see; empty: as in the head */
	str account;			 /* of the function */
	const struct url_caller *caller; /* NULL: anybody */
	uint64_t now_ms;
	bool is_secure; /* came over TLS */
};

/*
 * Append the event as JSON. What does not fit is an error of the buffer's. Bytes that are not UTF-8 are replaced in headers
 * and paths; a body that is none, or whose type is not text, goes in base64.
 */
void url_event_put(struct buf *out, const struct url_event *event);
