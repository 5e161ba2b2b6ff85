/*
 * A URL's configuration with what its policy grants is read once and kept, so that a warm request by URL costs a look
 * into a table and no worker. The book keeps the most recently used; a change of a function drops its URLs before
 * the change is answered (platform_function_changed waits for the loop), so nobody who saw the answer meets the old
 * state. What is being read while something changes is read again.
 */
#include "services/lambda/url_book.h"

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "engine/platform.h"
#include "os/loop.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>

enum { KEPT_MAX = 1024, READS_MAX = 8, ID_MAX = 64 };

struct url_book {
	struct platform *platform;
	struct map kept;     /* id → struct function_url */
	struct list recent;  /* the kept ones, the least recently used first */
	struct map reading;  /* id → struct url_read */
	uint64_t generation; /* counts changes */
};

/* One URL on its way from the store. */
struct url_read {
	struct work work;
	struct url_book *book;
	struct list waiters;
	uint64_t generation; /* the book's when it began */
	unsigned count;
	int result;
	struct function_url *url;
	char id[ID_MAX + 1];
};

/* --- URLs --- */

struct function_url *function_url_ref(struct function_url *url)
{
	url->refs++;
	return url;
}

void function_url_unref(struct function_url *url)
{
	if (!url)
		return;
	assert(url->refs > 0);
	if (--url->refs)
		return;
	assert(!list_linked(&url->recent));
	json_decref(url->policy);
	arena_done(&url->arena);
	mem_free(url);
}

static void book_drop(struct url_book *book, struct function_url *url)
{
	map_remove(&book->kept, url->id);
	list_remove(&url->recent);
	function_url_unref(url);
}

/* Takes the caller's reference, whether there is room or not. */
static void book_keep(struct url_book *book, struct function_url *url)
{
	assert(!map_get(&book->kept, url->id));
	if (map_put(&book->kept, url->id, url) < 0) {
		function_url_unref(url); /* without memory it is read again next time */
		return;
	}
	list_push_back(&book->recent, &url->recent);
	if (book->kept.count > KEPT_MAX)
		book_drop(book, list_entry(list_first(&book->recent), struct function_url, recent));
}

/* --- reading --- */

static void read_run(struct work *work)
{
	struct url_read *self = list_entry(work, struct url_read, work);

	self->result = url_load(self->book->platform, str_of(self->id), &self->url);
	if (self->result < 0)
		err_log(self->result, "read a function URL from the store");
}

/* It may be out of date: once more, unless things change all the time. */
static bool read_again(struct url_read *self)
{
	if (self->generation == self->book->generation || self->count >= READS_MAX)
		return false;
	function_url_unref(self->url);
	self->url = NULL;
	self->generation = self->book->generation;
	self->count++;
	int r = loop_work(self->book->platform->loop, &self->work);
	if (r < 0)
		self->result = r;
	return r == 0;
}

static void read_done(struct work *work)
{
	struct url_read *self = list_entry(work, struct url_read, work);
	struct url_book *book = self->book;

	if (read_again(self))
		return;
	map_remove(&book->reading, str_of(self->id));
	int fault = self->result < 0 ? self->result : 0;
	list_each(link, &self->waiters) {
		struct url_waiter *waiter = list_entry(link, struct url_waiter, link);
		list_remove(&waiter->link);
		waiter->found(waiter, self->url, fault);
	}
	if (self->url && self->generation == book->generation)
		book_keep(book, self->url);
	else
		function_url_unref(self->url);
	mem_free(self);
}

/* 0 and *ret_read, which is on its way, or a fault. */
static int read_start(struct url_book *book, str id, struct url_read **ret_read)
{
	struct url_read *self = mem_one(struct url_read);
	if (!self)
		return err_raise(-ENOMEM);

	self->work = (struct work){ .run = read_run, .done = read_done };
	self->book = book;
	self->generation = book->generation;
	list_init(&self->waiters);
	int r = str_to_array(id, self->id, sizeof(self->id));
	if (r == 0)
		r = map_put(&book->reading, str_of(self->id), self);
	if (r == 0)
		r = loop_work(book->platform->loop, &self->work);
	if (r < 0) {
		map_remove(&book->reading, str_of(self->id));
		mem_free(self);
		return err_raise(r);
	}
	*ret_read = self;
	return 0;
}

/* --- the book --- */

struct url_book *url_book_new(struct platform *platform)
{
	struct url_book *book = mem_one(struct url_book);

	if (!book)
		return NULL;
	book->platform = platform;
	list_init(&book->recent);
	return book;
}

void url_book_free(struct url_book *book)
{
	if (!book)
		return;
	assert(book->reading.count == 0);
	url_book_changed(book, S(""), S(""), S(""));
	map_done(&book->kept);
	map_done(&book->reading);
	mem_free(book);
}

int url_book_find(
	struct url_book *book, str id, struct url_waiter *waiter, struct function_url **ret_url)
{
	struct function_url *url = map_get(&book->kept, id);
	struct url_read *read = map_get(&book->reading, id);

	if (url) {
		list_remove(&url->recent);
		list_push_back(&book->recent, &url->recent);
		*ret_url = url;
		return URL_BOOK_FOUND;
	}
	if (!read) {
		int r = read_start(book, id, &read);
		if (r < 0)
			return err_pass(r);
	}
	list_push_back(&read->waiters, &waiter->link);
	return URL_BOOK_READING;
}

void url_book_forget(struct url_waiter *waiter)
{
	list_remove(&waiter->link);
}

void url_book_changed(struct url_book *book, str account, str region, str name)
{
	book->generation++;
	list_each(link, &book->recent) {
		struct function_url *url = list_entry(link, struct function_url, recent);
		if (!name.len ||
			(str_eq(url->name, name) && str_eq(url->account, account) &&
				str_eq(url->region, region)))
			book_drop(book, url);
	}
}
