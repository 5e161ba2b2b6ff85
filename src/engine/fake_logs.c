/* A log store in memory; appended to on worker threads, looked at by the test. */
#include "engine/fake_logs.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { EVENTS_MAX = 200'000 };

struct logs {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	struct {
		char group[64];
		char *message;
		size_t len;
	} * events;
	size_t count;
	bool is_shut;
	int fault;
};

struct logs *fake_logs_new(void)
{
	struct logs *logs = mem_one(struct logs);
	assert(logs);
	logs->events = mem_new(EVENTS_MAX, sizeof(*logs->events));
	assert(logs->events);
	pthread_mutex_init(&logs->lock, NULL);
	pthread_cond_init(&logs->opened, NULL);
	return logs;
}

void fake_logs_free(struct logs *logs)
{
	for (size_t i = 0; logs && i < logs->count; i++)
		mem_free(logs->events[i].message);
	if (logs)
		mem_free(logs->events);
	mem_free(logs);
}

int logs_append(struct logs *logs, struct logs_scope scope, const struct logs_event *events,
	size_t count, bool make)
{
	(void)scope;
	assert(make && count > 0);
	pthread_mutex_lock(&logs->lock);
	while (logs->is_shut)
		pthread_cond_wait(&logs->opened, &logs->lock);
	int fault = logs->fault;
	for (size_t i = 0; !fault && i < count; i++) {
		assert(logs->count < EVENTS_MAX && events[i].group.len < 64);
		memcpy(logs->events[logs->count].group, events[i].group.at, events[i].group.len);
		logs->events[logs->count].message = mem_new(events[i].message.len + 1, 1);
		logs->events[logs->count].len = events[i].message.len;
		memcpy(logs->events[logs->count].message, events[i].message.at,
			events[i].message.len);
		logs->count++;
	}
	pthread_mutex_unlock(&logs->lock);
	return fault ? err_raise(fault) : 0;
}

void fake_logs_shut(struct logs *logs, bool is_shut)
{
	pthread_mutex_lock(&logs->lock);
	logs->is_shut = is_shut;
	pthread_cond_broadcast(&logs->opened);
	pthread_mutex_unlock(&logs->lock);
}

void fake_logs_fail(struct logs *logs, int fault)
{
	pthread_mutex_lock(&logs->lock);
	logs->fault = fault;
	pthread_mutex_unlock(&logs->lock);
}

void fake_logs_text(struct logs *logs, const char *group, struct buf *out)
{
	pthread_mutex_lock(&logs->lock);
	for (size_t i = 0; i < logs->count; i++) {
		if (!group || strcmp(group, logs->events[i].group) == 0)
			buf_put(out, (str){ logs->events[i].message, logs->events[i].len });
	}
	pthread_mutex_unlock(&logs->lock);
	assert(!out->err);
}

bool fake_logs_at(struct logs *logs, size_t i, struct buf *out)
{
	pthread_mutex_lock(&logs->lock);
	bool is_there = i < logs->count;
	if (is_there)
		buf_put(out, (str){ logs->events[i].message, logs->events[i].len });
	pthread_mutex_unlock(&logs->lock);
	return is_there;
}

size_t fake_logs_count(struct logs *logs)
{
	pthread_mutex_lock(&logs->lock);
	size_t count = logs->count;
	pthread_mutex_unlock(&logs->lock);
	return count;
}

struct wanted {
	struct logs *logs;
	const char *text;
};

static bool logs_have(void *context)
{
	struct wanted *wanted = context;
	bool found = false;

	pthread_mutex_lock(&wanted->logs->lock);
	for (size_t i = 0; i < wanted->logs->count && !found; i++)
		found = str_find_str((str){ wanted->logs->events[i].message,
					     wanted->logs->events[i].len },
				str_of(wanted->text)) >= 0;
	pthread_mutex_unlock(&wanted->logs->lock);
	return found;
}

void fake_logs_await(struct fake_node *node, const char *text)
{
	fake_until(node, logs_have, &(struct wanted){ node->platform.logs, text });
}

bool fake_logs_in_order(struct logs *logs, const char *const texts[])
{
	struct buf all;
	bool in_order = true;

	buf_init(&all, 64 * MIB);
	fake_logs_text(logs, NULL, &all);
	str rest = buf_str(&all);
	for (size_t i = 0; texts[i] && in_order; i++) {
		ptrdiff_t at = str_find_str(rest, str_of(texts[i]));
		if (at < 0) {
			fprintf(stderr, "  not there, or not in order: %s\n  in:\n" STR_FMT "\n",
				texts[i], STR_ARG(buf_str(&all)));
			in_order = false;
			break;
		}
		rest = str_from(rest, (size_t)at + strlen(texts[i]));
	}
	buf_done(&all);
	return in_order;
}
