#pragma once
/* AWS STS: who a caller is, and temporary credentials. */
#include "aws/call.h"

extern const struct call_service sts_service;
