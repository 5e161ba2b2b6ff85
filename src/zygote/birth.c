/*
 * The child begins with the parent's own table of descriptors and copies its low end only, where what it needs lies in a
 * cradle (os/cradles.h); when all of these are taken it is an ordinary fork, with copies of everything: slower, and as right.
 */
#include "zygote/birth.h"

#include "base/err.h"
#include "init/init.h"

#include <sched.h>
#include <unistd.h>

/* What lies in the cradle. */
enum { BIRTH_REPORT, BIRTH_NETWORK, BIRTH_JOINS, BIRTH_FDS = BIRTH_JOINS + CGROUP_TREES - 1 };
static_assert((int)BIRTH_FDS == (int)CRADLE_FDS && CGROUP_UNIFIED == 0);

static _Noreturn void birth_become_init(struct jail *jail, const int fds[static BIRTH_FDS])
{
	int joins[CGROUP_TREES] = { -1, -1, -1, -1 };

	for (int tree = CGROUP_MEMORY; tree < CGROUP_TREES; tree++)
		joins[tree] = fds[BIRTH_JOINS + tree - 1];
	jail->joins = joins;
	jail->report = fds[BIRTH_REPORT];
	jail->network = fds[BIRTH_NETWORK];
	if (jail_enter(jail) < 0)
		_exit(127);
	init_run(jail->report);
}

int birth_begin(struct birth *birth, int *ret_cradle)
{
	struct cell_how how = { .cgroup = birth->cgroup,
		.is_entered_later = true,
		.is_kept = true,
		.namespaces = CLONE_NEWPID,
		.process = "mayfly-jail",
		.gone = birth->gone };

	int r = cell_make(birth->cells, birth->cell, &how);
	if (r < 0)
		return err_pass(r);
	int fds[BIRTH_FDS] = {
		[BIRTH_REPORT] = birth->jail.report, [BIRTH_NETWORK] = birth->jail.network
	};
	for (int tree = CGROUP_MEMORY; tree < CGROUP_TREES; tree++)
		fds[BIRTH_JOINS + tree - 1] = birth->cell->leaf.joins[tree];
	int cradle = cradle_lay(birth->cradles, fds, fds);
	how.files_below = cradle < 0 ? 0 : CRADLES_END;
	r = cell_bear(birth->cell, &how);
	if (r == 0)
		birth_become_init(&birth->jail, fds);
	if (r < 0) {
		cradle_empty(birth->cradles, &cradle);
		return err_pass(r);
	}
	*ret_cradle = cradle;
	return 0;
}
