#pragma once
/* Tags of log groups: one document a group, an object of strings. */
#include "aws/call.h"

/* Make `tags` (an object; NULL or empty: none) the tags of a group, whatever it had. */
[[nodiscard]] int tags_replace(struct call *call, str group, json_t *tags);
