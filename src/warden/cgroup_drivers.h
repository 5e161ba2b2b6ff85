#pragma once
/* The two ways to limit, for who chooses one (cgroup_find.c) and for the tests. */
#include "warden/cgroup.h"

struct cgroup_driver;

extern const struct cgroup_driver cgroup_v2;	 /* one tree does everything */
extern const struct cgroup_driver cgroup_hybrid; /* limits in three trees of cgroup v1 */
