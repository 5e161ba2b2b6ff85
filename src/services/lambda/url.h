#pragma once
/* Function URLs: what the operations on them and what serves them share. */
#include "aws/front.h"
#include "base/str.h"

struct platform;

/* The path form of a URL's address is this, the id, and the path of the request: for hosts that have no subdomains. */
#define URL_PATH S("/_mayfly/lambda-url/")
/* The other form: the host is the id, this, and anything. */
#define URL_HOST S(".lambda-url.")

enum { URL_ID_LEN = 32 };

/* See front_options: is this request for a function URL? `web` for those that are. */
[[nodiscard]] bool lambda_url_is(const struct http_head *head);
void lambda_url_serve(void *context, struct http_conn *conn, struct http_request *request,
	const struct front_caller *caller);

/* See platform.on_changed: what is known of its URLs is forgotten. */
void lambda_urls_changed(struct platform *platform, str account, str region, str name);
