#pragma once
/*
 * Pages of lists: MaxItems and Marker in, NextMarker out. A marker is opaque to clients; one that was not given out for
 * the same list is refused.
 */
#include "services/lambda/names.h"
#include "services/lambda/tree.h"

struct lambda_page {
	const char *list; /* which list, in the marker */
	size_t limit;	  /* items of this page */
	str after;	  /* where the last page ended; empty: the first page */
};

/*
 * Read the parameters; a page has at most `most` items. 0 and *ret_page, CALL_ERROR (no marker of ours), or a
 * fault.
 */
[[nodiscard]] int lambda_page_read(
	struct call *call, const char *list, size_t most, struct lambda_page *ret_page);

/* There is more after the item `last`: put NextMarker. */
void lambda_page_more(const struct lambda_page *page, struct tree *out, str last);
