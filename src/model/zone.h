#pragma once
/* Availability Zones: a node is one, the first of whatever region is asked for. */
#include "base/buf.h"

/* Append the id of a region's first zone: "use1-az1" for "us-east-1", "apne2-az1" for "ap-northeast-2". */
void zone_put_id(struct buf *out, str region);
