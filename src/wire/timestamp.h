#pragma once
/* Times as AWS writes and reads them. Milliseconds since the epoch inside. */
#include "base/buf.h"

/* "2026-01-31T23:59:59.123+0000", Lambda's own LastModified form. */
void timestamp_put_lambda(struct buf *out, uint64_t ms);
/* "2026-01-31T23:59:59Z" or with ".123" when `millis`. */
void timestamp_put_iso8601(struct buf *out, uint64_t ms, bool millis);
/* "Sat, 31 Jan 2026 23:59:59 GMT". */
void timestamp_put_http(struct buf *out, uint64_t ms);
/* "31/Jan/2026:23:59:59 +0000", the form of access logs and of HTTP events. */
void timestamp_put_access(struct buf *out, uint64_t ms);
/* "2026/01/31" as in log stream names. */
void timestamp_put_date_path(struct buf *out, uint64_t ms);

/* Read ISO 8601 ("2026-01-31T23:59:59[.frac](Z|±hh[:]mm)") or the HTTP form; -EINVAL otherwise. */
[[nodiscard]] int timestamp_parse(str text, uint64_t *ret_ms);
/* Read the basic form of signatures, "20260131T235959Z". */
[[nodiscard]] int timestamp_parse_basic(str text, uint64_t *ret_ms);
