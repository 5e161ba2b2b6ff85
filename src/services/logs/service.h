#pragma once
/*
 * CloudWatch Logs: groups, streams, events, tags and retention over store/logs.h. Old
 * events go when logs_expire() runs, which the router sees to.
 */
#include "aws/call.h"

extern const struct call_service logs_service;
