#pragma once
/* An HTTP client of a running daemon, for the command line: libcurl, requests signed. */
#include "base/buf.h"

struct client {
	const char *endpoint; /* http://127.0.0.1:4566 */
	const char *region;
	const char *access_key;
	const char *secret;
	const char *ca_bundle; /* NULL: the system's */
};

/* From AWS_ENDPOINT_URL, AWS_REGION or AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_CA_BUNDLE; with defaults. */
void client_init(struct client *client);

struct client_request {
	const char *method;
	const char *path;	   /* with its query */
	const char *service;	   /* signed for */
	const char *const *fields; /* "Name: value", NULL-ended; may be NULL */
	str body;
};

struct client_answer {
	long status;
	struct buf body;
	char function_error[64];
	struct buf log; /* X-Amz-Log-Result, still base64 */
};

/*
 * 0 and *ret_answer (client_answer_done() it), or a fault; why a connection failed is printed on standard
 * error, with what to do.
 */
[[nodiscard]] int client_ask(const struct client *client, const struct client_request *request,
	struct client_answer *ret_answer);
void client_answer_done(struct client_answer *answer);
