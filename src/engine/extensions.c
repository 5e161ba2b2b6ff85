/*
 * The states of extensions, as Lambda's own init has them:
 *
 *	            register            next              event
 *	STARTED ─────────────► REGISTERED ─────► READY ─────────────► RUNNING
 *	   │                     │    │            ▲  │                 │  │
 *	   ▼                     │    ▼            └──┼──── next ───────┘  │
 *	LAUNCH_ERROR             │ INIT_ERROR         ▼                    │
 *	                         └──────────────► EXIT_ERROR ◄─────────────┘
 *
 * External ones are known by their process's file before they say anything; internal ones come to be
 * when they register. Initialisation is over when the runtime and all of them have asked for their
 * next event; so is an invocation, for those that were told of it. That a process has ended is no
 * state: the log tells how far it had come.
 */
#include "engine/extensions.h"

#include "base/attr.h"

#include <assert.h>
#include <string.h>

static const unsigned may_follow[EXTENSION_STATES] = {
	[EXTENSION_STARTED] = BIT(EXTENSION_REGISTERED) | BIT(EXTENSION_LAUNCH_ERROR),
	[EXTENSION_REGISTERED] = BIT(EXTENSION_READY) | BIT(EXTENSION_INIT_ERROR) |
		BIT(EXTENSION_EXIT_ERROR),
	[EXTENSION_READY] = BIT(EXTENSION_RUNNING) | BIT(EXTENSION_EXIT_ERROR),
	[EXTENSION_RUNNING] = BIT(EXTENSION_READY) | BIT(EXTENSION_EXIT_ERROR),
	/* Saying the same again changes nothing, and is no mistake. */
	[EXTENSION_INIT_ERROR] = BIT(EXTENSION_INIT_ERROR),
	[EXTENSION_EXIT_ERROR] = BIT(EXTENSION_EXIT_ERROR),
	[EXTENSION_LAUNCH_ERROR] = 0,
};

const char *extension_state_name(enum extension_state state)
{
	static const char *const names[EXTENSION_STATES] = {
		[EXTENSION_STARTED] = "Started",
		[EXTENSION_REGISTERED] = "Registered",
		[EXTENSION_READY] = "Ready",
		[EXTENSION_RUNNING] = "Running",
		[EXTENSION_INIT_ERROR] = "InitError",
		[EXTENSION_EXIT_ERROR] = "ExitError",
		[EXTENSION_LAUNCH_ERROR] = "LaunchError",
	};

	assert(state < EXTENSION_STATES);
	return names[state];
}

struct extension *extensions_add(struct extensions *all, str name, bool is_external)
{
	assert(!extensions_by_name(all, name));
	if (all->count == EXTENSIONS_MAX)
		return NULL;
	struct extension *extension = &all->list[all->count];

	*extension = (struct extension){ .is_external = is_external };
	if (str_to_array(name, extension->name, sizeof(extension->name)) < 0)
		return NULL;
	random_uuid(extension->id);
	all->count++;
	return extension;
}

struct extension *extensions_by_name(struct extensions *all, str name)
{
	for (unsigned i = 0; i < all->count; i++)
		if (str_eq(str_of(all->list[i].name), name))
			return &all->list[i];
	return NULL;
}

struct extension *extensions_by_id(struct extensions *all, str id)
{
	for (unsigned i = 0; i < all->count; i++)
		if (all->list[i].state != EXTENSION_STARTED &&
			str_eq_fold(str_of(all->list[i].id), id))
			return &all->list[i];
	return NULL;
}

bool extensions_are_registered(const struct extensions *all)
{
	for (unsigned i = 0; i < all->count; i++)
		if (all->list[i].state == EXTENSION_STARTED)
			return false;
	return true;
}

bool extensions_are_ready(const struct extensions *all)
{
	for (unsigned i = 0; i < all->count; i++)
		if (all->list[i].state != EXTENSION_READY)
			return false;
	return true;
}

bool extensions_have_processes(const struct extensions *all)
{
	for (unsigned i = 0; i < all->count; i++)
		if (all->list[i].is_external && !all->list[i].is_gone)
			return true;
	return false;
}

bool extension_may(const struct extension *extension, enum extension_state next)
{
	assert(next < EXTENSION_STATES);
	return may_follow[extension->state] & BIT(next);
}

bool extension_may_ask(const struct extension *extension)
{
	return extension_may(extension, EXTENSION_READY) ||
		(extension->state == EXTENSION_READY && !extension->next);
}

void extension_enter(struct extension *extension, enum extension_state next)
{
	assert(extension_may(extension, next));
	extension->state = next;
}

void extension_set_error(struct extension *extension, str type)
{
	size_t len = 0;

	if (extension->error_type[0])
		return;
	while (len < type.len && len < sizeof(extension->error_type) - 1 && type.at[len] > ' ' &&
		type.at[len] < 0x7f)
		len++;
	memcpy(extension->error_type, type.at, len);
	extension->error_type[len] = '\0';
}

unsigned extension_event_of(str name, bool is_external)
{
	if (str_eq(name, S("INVOKE")))
		return EXTENSION_INVOKE;
	return is_external && str_eq(name, S("SHUTDOWN")) ? EXTENSION_SHUTDOWN : 0;
}
