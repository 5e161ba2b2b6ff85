#pragma once
/*
 * The one endpoint of all services: requests come in on the loop thread, their service and operation are told
 * apart, signatures are checked, and each becomes a call on a worker thread whose answer goes back over the loop.
 */
#include "aws/call.h"
#include "aws/keys.h"
#include "http/server.h"
#include "wire/session.h"

struct front;
struct front_listener;
struct loop;
struct signature_refusal;

/* Who asks for what. All of it lives as long as the call that is given it, and no longer. */
struct front_caller {
	const struct aws_service *service;
	const struct aws_operation
		*operation; /* NULL: not known yet (the fast path is asked first) */
	str account;
	str region;
	str access_key;
	const struct session *session; /* of the temporary credentials it is signed with, or NULL */
	str request_id;		       /* UUID_LEN characters */
	const struct front_listener *listener; /* lives as long as its connections */
};

/*
 * Who takes a request and does not answer it at once sets an object of its own with http_conn_set_user() that
 * begins with this, and takes it off (NULL) before it answers; `gone` is called when the client leaves first.
 * Who answers in pieces keeps it on until the end; `drained` (or NULL) is called when none of them waits any more.
 */
struct front_user {
	void (*gone)(struct front_user *user);
	void (*drained)(struct front_user *user);
};

struct front_options {
	struct loop *loop;
	struct platform *platform;
	const struct call_service *const *services;
	size_t service_count;
	str account; /* the default one */
	const struct front_key *keys;
	size_t key_count;
	const uint8_t *session_key; /* of temporary credentials; NULL: there are none */
	unsigned conns_max;
	const struct tls_identity *tls; /* borrowed; NULL: no listener speaks TLS */
	uint64_t payload_max;		/* of an Invoke */
	str version;			/* of the product, for / and the health answers */
	/*
	 * Asked on the loop thread for each POST to /2015-03-31/functions/…/invocations, and to
	 * /2021-11-15/functions/…/response-streaming-invocations, with its body in memory, before anything is
	 * copied: true when it took the request and will answer it.
	 */
	bool (*fast)(void *context, struct http_conn *conn, struct http_request *request,
		const struct front_caller *caller);
	/*
	 * Asked with each head, before anything else: is the request for no API but for an address of its own, like a
	 * function URL? `web` takes those on the loop thread, signed or not, with the body in memory; it answers with
	 * http_reply(). Both, or neither. `caller` has neither a service nor a key.
	 */
	bool (*is_web)(const struct http_head *head);
	void (*web)(void *context, struct http_conn *conn, struct http_request *request,
		const struct front_caller *caller);
	/* Asked for /metrics and paths below /_mayfly/, /_localstack/state/ and /moto-api/: true when it took it. */
	bool (*extra)(void *context, struct http_conn *conn, struct http_request *request);
	/*
	 * Asked for paths below /_mayfly/async, which show and change what is private: never for a sandbox, and only for who
	 * has signed where that is asked for.
	 */
	bool (*control)(void *context, struct http_conn *conn, struct http_request *request,
		const struct front_caller *caller);
	void *context;
};

/* The options' views are copied, but for `services` and `context`. */
[[nodiscard]] int front_new(const struct front_options *options, struct front **ret_front);
/* All listeners are closed; calls must have ended (front_drain). */
void front_free(struct front *front);

/* Who has signed a request; views into it and into this, which stays where it is. */
struct front_signer {
	str access_key; /* empty: nobody */
	str service;	/* of the signature's scope */
	str account;
	struct session session; /* of temporary credentials, or nothing */
};

/*
 * Check the signature of a request that `web` has taken: SIGNATURE_VALID, SIGNATURE_REFUSED with *ret_refusal, or a fault.
 * *ret_signer is written in each case. Where nobody must sign, a key that is not known is believed.
 */
[[nodiscard]] int front_check_signer(const struct front_listener *listener,
	const struct http_request *request, struct front_signer *ret_signer,
	struct signature_refusal *ret_refusal);

struct front_listen_options {
	int fd;		/* taken */
	bool must_sign; /* every request needs a valid signature by one of the keys */
	bool is_inner; /* of a sandbox: it serves until front_unlisten(), also while the front drains */
	str account; /* with the region: of requests that name none; copied */
	str region;
};

/* Serve one more listening socket. */
[[nodiscard]] int front_listen(struct front *front, const struct front_listen_options *options,
	struct front_listener **ret_listener);
void front_unlisten(struct front_listener *listener);

/* From the next request on: who must sign there, how many may be connected, and with which keys. */
void front_listener_change(struct front_listener *listener, bool must_sign, unsigned conns_max);
[[nodiscard]] int front_set_keys(struct front *front, const struct front_key *keys, size_t count);

/*
 * Take no new requests from outside; `done` is called once when the last open one was answered, and no call is with
 * the workers. It may then be drained again, for calls that sandboxes have made since.
 */
void front_drain(struct front *front, void (*done)(void *context), void *context);
