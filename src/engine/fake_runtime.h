#pragma once
/* For tests: the runtime's end of the Runtime API, over blocking sockets. See fake_node.h. */
#include "engine/fake_node.h"

/* A connection of the runtime's. */
struct fake_peer {
	struct fake_node *node;
	int fd;
	struct buf in;
	size_t used;	/* of `in`, by replies that were taken */
	unsigned reads; /* recv(2) calls that brought something */
	bool is_closed; /* by the other side */
};

/* A reply; the views die with the next call for this peer. */
struct fake_reply {
	int status;
	str head;
	str body;
};

/* Connect to the Runtime API of a sandbox. */
void fake_connect(
	struct fake_node *node, const struct fake_sandbox *sandbox, struct fake_peer *peer);
/* Close our end. */
void fake_hang_up(struct fake_peer *peer);
/* Send these bytes, all of them, letting the loop run when the socket is full. */
void fake_send(struct fake_peer *peer, str bytes);
/* Send a request with a body, and more bytes right behind it in the same write. */
void fake_send_request(
	struct fake_peer *peer, const char *start, const char *fields, str body, str more);
/* Ask for the next event. */
void fake_next(struct fake_peer *peer);
/* Answer: POST …/response, with `more` (or NULL) pipelined in the same write. */
void fake_respond(
	struct fake_peer *peer, const char *request_id, const char *body, const char *more);
/* The next reply, awaited. */
struct fake_reply fake_receive(struct fake_peer *peer);
/* Await that the other side closes. */
void fake_await_close(struct fake_peer *peer);
/* Is there nothing to read? After what is ready was handled. */
[[nodiscard]] bool fake_is_silent(struct fake_peer *peer);
/* The value of a field of a reply; at == NULL when there is none. */
[[nodiscard]] str fake_field(const struct fake_reply *reply, const char *name);
/* Receive an event: its request id is checked, its body returned. */
str fake_receive_event(struct fake_peer *peer, const char *request_id);
/* What a pipelining runtime sends behind its answer. */
extern const char fake_next_text[];

/* Spawn, connect, ask for next: a runtime that waits for its event. */
void fake_boot(struct fake_node *node, struct fake_sandbox *sandbox, struct fake_peer *peer);
/* Play the whole of one invocation on a runtime that has asked for next; it asks again. */
void fake_serve(struct fake_peer *peer, const struct fake_call *call, const char *body);
/* fake_boot() for a call of this function, served: leaves an idle environment. */
void fake_warm(struct fake_node *node, const char *name, struct fake_sandbox *sandbox,
	struct fake_peer *peer);
