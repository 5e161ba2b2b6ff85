#pragma once
/* Amazon CloudWatch's metrics: those of AWS/Lambda, and those that clients put. Alarms and dashboards are not here. */
#include "aws/call.h"

extern const struct call_service cloudwatch_service;
