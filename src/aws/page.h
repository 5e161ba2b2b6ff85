#pragma once
/* Requests that a web page has its reader's browser send: see page.c. */
#include "wire/http.h"

/* Does a page ask? Nothing that an SDK, a command line or a person at the address bar sends is taken for that. */
[[nodiscard]] bool page_asks(const struct http_head *head);
