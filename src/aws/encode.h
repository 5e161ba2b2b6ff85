#pragma once
/*
 * From what a handler answered to an HTTP response, driven by the service's tables: outputs and
 * errors, each protocol its way.
 */
#include "aws/call.h"

/* A response that is being made; end it with encode_done(). */
struct encoded {
	int status;
	struct buf fields; /* header lines, each ended by CRLF */
	struct buf body;
};

enum {
	ENCODE_BODY_MAX = 64 * 1024 * 1024,
	ENCODE_FIELDS_MAX = 64 * 1024,
	ENCODE_DEPTH_MAX = 128,
};

/* Empty; encode_…() fill it. */
void encode_init(struct encoded *encoded);
void encode_done(struct encoded *encoded);

/*
 * The output of a call whose handler returned 0: status, headers and body by the model. 0; -EINVAL
 * when `out` does not fit the model (a mistake of ours), or another fault.
 */
[[nodiscard]] int encode_output(const struct call *call, struct encoded *encoded);

/* An error as its service tells it. The views live as long as the call of it. */
struct encode_error {
	const struct aws_service *service; /* NULL: protocol only */
	uint8_t protocol;		   /* enum aws_protocol, when service is NULL */
	int status;
	str code;
	str message; /* at == NULL: the body has no message */
	str type;    /* "User", "Service"; see struct call */
	const json_t *extra;
	str request_id;
};
[[nodiscard]] int encode_error(const struct encode_error *error, struct encoded *encoded);
