#pragma once
/*
 * One API call as a handler sees it. A handler is one blocking function that reads top to
 * bottom on a worker thread:
 *
 *	int op_get_function(struct call *call)
 *
 * It returns 0 with call->out filled; CALL_ERROR after call_error(); or a fault (answered as the
 * service's internal error, logged once).
 *
 * Trees are jansson: objects keyed by the MODEL's member names whatever the protocol; timestamps
 * are numbers (integer milliseconds since the epoch) in trees and formatted by the codec; blobs are strings of
 * raw bytes (json_stringn_nocheck) — except in `in`, where the first blob member of at least CALL_BLOB_FILE bytes
 * that is in no list or map is left out of the tree and given as call->blob_fd. NaN and the infinities are the
 * strings "NaN", "Infinity" and "-Infinity".
 */
#include "aws/model.h"
#include "base/arena.h"
#include "base/buf.h"

#include <jansson.h>

struct session;	 /* see wire/session.h */
struct platform; /* the stores and the engine, see engine/platform.h */

enum {
	CALL_ERROR = 1,
	CALL_BLOB_FILE = 64 * 1024, /* bytes from which a blob member is a file */
};

struct call {
	/* what is asked */
	const struct aws_service *service;
	const struct aws_operation *operation;
	json_t *in; /* always an object */
	str account;
	str region;
	str access_key;
	const struct session
		*session; /* of the temporary credentials that it is signed with, or NULL */
	str host;	  /* the Host header, for URLs that are given out; never empty */
	str source_ip;
	str request_id; /* the UUID of this call */
	str trace;	/* X-Amzn-Trace-Id, or empty */
	str http_path;	/* percent-encoded, as sent */
	int blob_fd; /* > 0: the blob member that is left out of `in`, as a file; the front's to close */
	uint64_t blob_len; /* of that file */
	str blob_member;   /* its name, as "ZipFile" */
	bool is_secure;
	struct arena *arena;	   /* lives as long as the call */
	struct platform *platform; /* what a handler works on, see engine/platform.h */

	/* what is answered */
	json_t *out;	   /* an empty object to fill */
	int status;	   /* 0 = the operation's */
	struct buf fields; /* extra response header lines, CRLF-ended */
	int error_status;
	str error_code;	     /* in the arena */
	str error_message;   /* in the arena */
	json_t *error_extra; /* further members of the error's body (Reason, Type…), or NULL */
	/*
	 * Member "Type" of errors whose model has it: "User" or "Service". at == NULL: told by the
	 * status; empty otherwise: none.
	 */
	str error_type;
};

/*
 * Answer with an error: `code` is the exception's name in the model
 * ("ResourceNotFoundException"); its HTTP status is looked up there (400 when unknown).
 * Returns CALL_ERROR, for `return call_error(…)`.
 */
[[nodiscard, gnu::format(printf, 3, 4)]] int call_error(
	struct call *call, const char *code, const char *format, ...);

/* A further member of the error's body, as {"Type": "User"}; `value` is taken. */
void call_error_member(struct call *call, const char *name, json_t *value);

/* Typed looks into call->in: empty view / default when absent. The view lives as long as call->in. */
str call_str(const struct call *call, const char *name);
bool call_has(const struct call *call, const char *name);
int64_t call_int(const struct call *call, const char *name, int64_t absent);
bool call_bool(const struct call *call, const char *name, bool absent);
json_t *call_get(const struct call *call, const char *name); /* borrowed, or NULL */

/* The same on any object, and making strings from views (bytes that are not UTF-8 are replaced). */
str json_view(const json_t *string);
str json_get_str(const json_t *object, const char *name);
json_t *json_from_str(str s);
/* object[name] = value (taken; NULL value = fault). 0 or -ENOMEM. Key absent when value is NULL is NOT silent. */
[[nodiscard]] int json_put(json_t *object, const char *name, json_t *value);

typedef int call_fn(struct call *call);

/* An operation that has a handler. What the model has and no row names answers with a clear error. */
struct call_route {
	const char *operation;
	call_fn *run;
};

/* A service that exists: its tables and its handlers. */
struct call_service {
	const struct aws_service *model;
	const struct call_route *routes;
	size_t route_count;
	/*
	 * How the service words a failed constraint; NULL = the common
	 * "1 validation error detected: Value 'x' at 'y' failed to satisfy constraint: …".
	 */
	const char *validation_code; /* "ValidationException", "InvalidParameterValueException"… */
};
