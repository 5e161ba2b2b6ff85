#pragma once
/* Whether a request is signed by a key that is known here, and how its service says that it is not. */
#include "aws/identify.h"

/* A refusal: what the service answers. */
struct signature_refusal {
	int status;
	str code;
	str message;
};

enum signature_answer {
	SIGNATURE_VALID = 0,
	SIGNATURE_REFUSED,
};

/* Is this one of the keys? */
[[nodiscard]] bool signature_is_known(
	const struct front_key *keys, size_t key_count, str access_key);

/*
 * Check the signature of a request, by one of the keys or by temporary credentials of ours; `body_fd` > 0 is the body's file, else it is `body`. A
 * signature_answer or a fault; *ret_refusal on SIGNATURE_REFUSED.
 */
[[nodiscard]] int signature_check(const struct front_key *keys, size_t key_count,
	const struct http_head *head, const struct identity *identity, str body, int body_fd,
	struct signature_refusal *ret_refusal);
