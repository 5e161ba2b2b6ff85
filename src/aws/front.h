#pragma once
/*
 * The one endpoint of all services: requests come in on the loop thread, their service and operation are told
 * apart, signatures are checked, and each becomes a call on a worker thread whose answer goes back over the loop.
 */
#include "aws/call.h"
#include "http/server.h"

struct front;
struct loop;

/* Who asks for what. The views live as long as the request. */
struct front_caller {
	const struct aws_service *service;
	const struct aws_operation
		*operation; /* NULL: not known yet (the fast path is asked first) */
	str account;
	str region;
	str access_key;
	str request_id; /* UUID_LEN characters */
};

/*
 * Who takes a request and does not answer it at once sets an object of its own with http_conn_set_user() that
 * begins with this, and takes it off (NULL) before it answers; `gone` is called when the client leaves first.
 */
struct front_user {
	void (*gone)(struct front_user *user);
};

/* A key pair that signatures are checked against. */
struct front_key {
	str access_key;
	str secret;
};

struct front_options {
	struct loop *loop;
	struct platform *platform;
	const struct call_service *const *services;
	size_t service_count;
	str account;	/* the default one */
	bool must_sign; /* every request needs a valid signature by one of `keys` */
	const struct front_key *keys;
	size_t key_count;
	unsigned conns_max;
	str version; /* of the product, for / and the health answers */
	/*
	 * Asked on the loop thread for each POST to /2015-03-31/functions/…/invocations, with its body in memory,
	 * before anything is copied: true when it took the request and will answer it with http_reply().
	 */
	bool (*fast)(void *context, struct http_conn *conn, struct http_request *request,
		const struct front_caller *caller);
	/* Asked for paths below /_mayfly/, /_localstack/state/ and /moto-api/: true when it took it. */
	bool (*extra)(void *context, struct http_conn *conn, struct http_request *request);
	void *context;
};

/* The options' views are copied, but for `services` and `context`. */
[[nodiscard]] int front_new(const struct front_options *options, struct front **ret_front);
/* All listeners are closed; calls must have ended (front_drain). */
void front_free(struct front *front);

struct front_listener;

/* Serve one more listening socket (taken). `caller_account` and `caller_region` are the defaults of unsigned requests there; copied. */
[[nodiscard]] int front_listen(struct front *front, int listener, bool must_sign,
	str caller_account, str caller_region, struct front_listener **ret_listener);
void front_unlisten(struct front_listener *listener);

/* Take no new requests; `done` is called once when the last open one was answered. */
void front_drain(struct front *front, void (*done)(void *context), void *context);
