#pragma once
/*
 * What the handlers share: which log group a call means, whether it is there, and how what the store
 * answers is worded. `return`-able: 0, CALL_ERROR with the error set, or a fault.
 */
#include "aws/call.h"
#include "store/logs.h"

/* The account and region of the caller. */
struct logs_scope lookup_scope(const struct call *call);

/*
 * The log group that logGroupName or logGroupIdentifier (a name or an ARN of the caller's own account
 * and region) names: *ret_name is a view that lives as long as the call.
 */
[[nodiscard]] int lookup_group_name(struct call *call, str *ret_name);

/* The name in a log group's ARN; empty when it is no ARN of a log group of this caller. */
str lookup_name_of_arn(const struct call *call, str arn);

/* "arn:aws:logs:REGION:ACCOUNT:log-group:NAME" in the call's arena; at == NULL when out of memory. */
[[nodiscard]] str lookup_group_arn(struct call *call, str group);

/* CALL_ERROR when the name of a group or stream to be made is longer than AWS takes. */
[[nodiscard]] int lookup_check_length(struct call *call, str name);

/* What is known of a group. */
struct lookup_group {
	unsigned retention_days;
	bool is_protected;
};

/* The group of this name; CALL_ERROR when there is none. */
[[nodiscard]] int lookup_group(struct call *call, str group, struct lookup_group *ret_group);

/* CALL_ERROR when the group has no such stream (or there is no such group). */
[[nodiscard]] int lookup_stream(struct call *call, str group, str stream);

/*
 * Translate what the store returned: LOGS_DONE and faults as they are, LOGS_NO_GROUP and LOGS_NO_STREAM
 * as AWS's errors. LOGS_EXISTS is the caller's to translate.
 */
[[nodiscard]] int lookup_answer(struct call *call, int result);

/* The time before which a group's events are gone, stored or not: 0 when they are kept for ever. */
uint64_t lookup_oldest_ms(const struct lookup_group *group, uint64_t now_ms);
