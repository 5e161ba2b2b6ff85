/* The numbers are never free: the kernel would give the lowest free ones to whatever is opened next. */
#include "os/cradles.h"

#include <assert.h>
#include <fcntl.h>
#include <unistd.h>

static_assert(CRADLES <= 32);

void cradles_init(struct cradles *cradles, int null)
{
	*cradles = (struct cradles){ .used = UINT32_MAX, .null = null };
	for (int fd = CRADLE_FIRST; fd < CRADLES_END; fd++)
		if (fcntl(fd, F_GETFD) >= 0) /* inherited: somebody else's */
			return;
	for (int fd = CRADLE_FIRST; fd < CRADLES_END; fd++)
		if (dup3(null, fd, O_CLOEXEC) < 0)
			return;
	cradles->used = 0;
}

int cradle_lay(
	struct cradles *cradles, const int fds[static CRADLE_FDS], int ret_fds[static CRADLE_FDS])
{
	int cradle = 0;

	while (cradle < CRADLES && cradles->used & BIT(cradle))
		cradle++;
	if (cradle == CRADLES)
		return -1;
	cradles->used |= BIT(cradle);
	const int first = CRADLE_FIRST + cradle * CRADLE_FDS;
	for (int i = 0; i < CRADLE_FDS; i++)
		if (fds[i] >= 0 && dup3(fds[i], first + i, O_CLOEXEC) < 0) {
			cradle_empty(cradles, &cradle);
			return -1;
		}
	for (int i = 0; i < CRADLE_FDS; i++)
		ret_fds[i] = fds[i] < 0 ? -1 : first + i;
	return cradle;
}

void cradle_empty(struct cradles *cradles, int *cradle)
{
	if (*cradle < 0)
		return;
	assert(*cradle < CRADLES && cradles->used & BIT(*cradle));
	for (int i = 0; i < CRADLE_FDS; i++) /* of two open files no dup3() fails */
		(void)dup3(cradles->null, CRADLE_FIRST + *cradle * CRADLE_FDS + i, O_CLOEXEC);
	cradles->used &= ~BIT(*cradle);
	*cradle = -1;
}
