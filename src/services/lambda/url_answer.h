#pragma once
/* From what a function returns to an HTTP response: payload format 2.0, and what Lambda infers where it is another. */
#include "wire/http.h"

struct url_answer {
	int status;
	struct buf fields; /* header lines, each ended by CRLF; Content-Type is one of them */
	str body;	   /* in the payload, or in `text` */
	struct buf text;
};

enum url_answer_verdict {
	URL_ANSWER_GOOD = 0,
	URL_ANSWER_BAD, /* no response can be made of it: 502 */
};

/*
 * Read a function's payload, which is borrowed as long as the answer. A url_answer_verdict or a fault; url_answer_done()
 * in any case.
 */
[[nodiscard]] int url_answer_read(str payload, struct url_answer *ret_answer);
/* The same of a prelude: what comes in front of a body that is streamed. `body` stays empty. */
[[nodiscard]] int url_answer_read_prelude(str prelude, struct url_answer *ret_answer);
void url_answer_done(struct url_answer *answer);

/* Is there a header line of this name among such lines? */
[[nodiscard]] bool url_fields_have(str fields, str name);
