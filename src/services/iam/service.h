#pragma once
/* AWS IAM: roles and policies are kept and given back; one world an account, whatever the region. */
#include "aws/call.h"

extern const struct call_service iam_service;
