/*
 * setenv() for runtimes. The C library keeps every value that a variable ever had, as somebody may still
 * read it. _X_AMZN_TRACE_ID changes with each invocation: at some thousands a second that would fill a function's memory
 * within minutes. So this one variable has a place of its own, which is written over; all others, and a
 * value that does not fit, are the C library's. Preloaded, like all of the library.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NAME "_X_AMZN_TRACE_ID"

enum { VALUE_AT = sizeof(NAME), PLACE_SIZE = 1024 };

static char place[PLACE_SIZE] = NAME "=";

[[gnu::visibility("default")]] int setenv(const char *name, const char *value, int is_replaced);

static bool place_take(const char *value)
{
	size_t len = strnlen(value, PLACE_SIZE);

	if (len >= PLACE_SIZE - VALUE_AT)
		return false;
	memmove(place + VALUE_AT, value, len + 1); /* it may be a part of what is there */
	return getenv(NAME) == place + VALUE_AT || putenv(place) == 0;
}

int setenv(const char *name, const char *value, int is_replaced)
{
	if (is_replaced && strcmp(name, NAME) == 0 && place_take(value))
		return 0;
	int (*real)(const char *, const char *,
		int) = (int (*)(const char *, const char *, int))dlsym(RTLD_NEXT, "setenv");
	if (real)
		return real(name, value, is_replaced);
	errno = ENOSYS;
	return -1;
}
