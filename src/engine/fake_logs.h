#pragma once
/*
 * For tests: logs_append() of store/logs.h over memory, in place of the store. See fake_node.h.
 */
#include "engine/fake_node.h"
#include "store/logs.h"

/* An empty store. */
struct logs *fake_logs_new(void);
/* Free it. NULL is fine. */
void fake_logs_free(struct logs *logs);
/* Appending waits, as if the disk were stuck; or goes on. */
void fake_logs_shut(struct logs *logs, bool is_shut);
/* Appending fails with this (0: no more). */
void fake_logs_fail(struct logs *logs, int fault);
/* All messages so far, joined, of the group (NULL: all) into `out`. */
void fake_logs_text(struct logs *logs, const char *group, struct buf *out);
/* The i-th message, a copy into `out`; false when there are fewer. */
[[nodiscard]] bool fake_logs_at(struct logs *logs, size_t i, struct buf *out);
/* How many messages there are. */
[[nodiscard]] size_t fake_logs_count(struct logs *logs);
/* Let the loop run until a message contains the text. */
void fake_logs_await(struct fake_node *node, const char *text);
/* Do these texts stand in the joined messages, in this order? The last is NULL. */
[[nodiscard]] bool fake_logs_in_order(struct logs *logs, const char *const texts[]);
