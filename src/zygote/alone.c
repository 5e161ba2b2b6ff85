/*
 * The preloaded library without zygotes, for interpreters that are executed: what brought it here is gone before they
 * look at their environment, and their children have none of it.
 */
#include <stdlib.h>

[[gnu::constructor]] static void alone_begin(void)
{
	(void)unsetenv("LD_PRELOAD");
}
