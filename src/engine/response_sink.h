#pragma once
/* How a caller of engine_invoke() takes a response as the function writes it. */
#include "base/str.h"

#include <stdbool.h>

struct invocation;

/* What is known of a response when the function begins to stream it. Views die when the callback returns. */
struct response_start {
	str version;	  /* that runs */
	str trace;	  /* the X-Ray header */
	str content_type; /* as the runtime said; empty: it said none */
};

/*
 * Who takes a response as the function writes it. Called from the loop, never inside engine_invoke() nor
 * invocation_resume().
 */
struct response_sink {
	/*
	 * The function streams its response: called once, before the first piece. A response that comes
	 * whole goes to `done` alone.
	 */
	void (*begin)(void *context, const struct response_start *start);
	/*
	 * More of it, which dies when this returns. False: there is enough for now; the function is made to wait
	 * until invocation_resume(), although some more may still come.
	 */
	bool (*piece)(void *context, str content);
};

/* Its sink takes more again. */
void invocation_resume(struct invocation *invocation);
