#pragma once
/* The warden's half of a sandbox's beginning: process 1 is born in a cgroup, and jails itself. */
#include "jail/jail.h"
#include "os/cell.h"
#include "os/cradles.h"

struct birth {
	struct cells *cells;
	struct cell *cell;
	cell_fn *gone;
	char cgroup[CGROUP_NAME_MAX];
	struct cradles *cradles;
	struct jail jail; /* of kind JAIL_INIT; but for the cgroups to join */
};

/*
 * Begin it: 0 in the parent, or a fault; the child does not return. While it has not yet said
 * anything on jail.report, *ret_cradle (-1: none) has to be kept for it.
 */
[[nodiscard]] int birth_begin(struct birth *birth, int *ret_cradle);
