#pragma once
/*
 * The configuration of a version: what CreateFunction and UpdateFunctionConfiguration accept, refuse and fill in, and how
 * it is shown.
 */
#include "services/lambda/names.h"
#include "services/lambda/tree.h"

/*
 * A new configuration of $LATEST from the parameters of CreateFunction, without code: 0 and *ret_config (the
 * caller's), CALL_ERROR, or a fault.
 */
[[nodiscard]] int lambda_config_new(
	struct call *call, const struct lambda_ref *ref, json_t **ret_config);

/*
 * Change a configuration of a function with these tags (NULL: none) by the parameters of
 * UpdateFunctionConfiguration: 0, CALL_ERROR or a fault.
 */
[[nodiscard]] int lambda_config_update(struct call *call, json_t *config, const json_t *tags);

/* Now, as LastModified is written, in a new JSON string; NULL when out of memory. */
[[nodiscard]] json_t *lambda_config_now(void);

/* Give a configuration the states, revision and time of something just begun. */
void lambda_config_set_created(struct tree *config);
void lambda_config_set_updated(struct tree *config);

enum config_view {
	CONFIG_WHOLE,  /* GetFunctionConfiguration and the answers of changes */
	CONFIG_LISTED, /* in lists: without states */
};

/*
 * Show a configuration in `out` (an object to fill), as AWS does, with this ARN: 0 or a fault.
 */
[[nodiscard]] int lambda_config_show(
	json_t *out, const json_t *config, str name, str arn, enum config_view view);
