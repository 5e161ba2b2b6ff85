#pragma once
/*
 * The function URLs that the node has met, by id. For the loop thread; what is read from the store is read by workers.
 */
#include "base/arena.h"
#include "base/list.h"
#include "services/lambda/url_cors.h"

struct json_t;
struct lambda_caller;
struct platform;
struct url_book;

/* A URL as it is served: immutable. Its texts live in its arena. */
struct function_url {
	struct list recent; /* in the book's list, while it is kept */
	unsigned refs;
	str id;
	str account, region, name;
	str qualifier; /* an alias; empty: $LATEST */
	bool is_iam;   /* AuthType AWS_IAM; else NONE */
	bool is_streaming;
	bool is_open;	       /* AuthType NONE: its policy lets anybody in */
	struct json_t *policy; /* AWS_IAM: what is asked about other accounts; owned; NULL: none */
	bool has_cors;
	struct url_cors cors;
	struct arena arena;
};

/* References are counted because requests outlive the book's interest; loop thread only. NULL is fine for unref. */
struct function_url *function_url_ref(struct function_url *url);
void function_url_unref(struct function_url *url);

/*
 * AuthType AWS_IAM: its own account is let in, whose identities' policies are not looked at; of others those whom the
 * function's policy lets do both, call the URL and invoke the function by it.
 */
[[nodiscard]] bool function_url_lets_in(
	const struct function_url *url, const struct lambda_caller *caller);

/* Waits for a URL to be read. Embedded in a request. */
struct url_waiter {
	struct list link;
	/* Once, from the loop: the URL (borrowed; NULL: there is none of that id) or a fault. */
	void (*found)(struct url_waiter *self, struct function_url *url, int fault);
};

/* An empty book, or NULL when out of memory. */
[[nodiscard]] struct url_book *url_book_new(struct platform *platform);
/* Nobody waits any more. NULL is fine. */
void url_book_free(struct url_book *book);

enum url_book_answer {
	URL_BOOK_FOUND = 0, /* *ret_url is borrowed: take a reference to keep it */
	URL_BOOK_READING,   /* `waiter` will be called */
};

/* Look one up. A url_book_answer or a fault. `waiter` must outlive its call or be withdrawn with url_book_forget(). */
[[nodiscard]] int url_book_find(
	struct url_book *book, str id, struct url_waiter *waiter, struct function_url **ret_url);
void url_book_forget(struct url_waiter *waiter);

/* Something about this function changed in the store; an empty name: about all of them. */
void url_book_changed(struct url_book *book, str account, str region, str name);

/* --- url_load.c --- */

enum url_load_answer {
	URL_LOADED = 0,
	URL_NONE, /* no function has such a URL */
};

/* Worker: read one from the store. A url_load_answer or a fault; *ret_url has one reference, the caller's. */
[[nodiscard]] int url_load(struct platform *platform, str id, struct function_url **ret_url);
