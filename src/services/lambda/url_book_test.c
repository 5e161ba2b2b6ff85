#include "services/lambda/url_book.h"

#include "base/test.h"
#include "os/loop.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

/* Somebody who waits, and stops the loop when told. */
struct asker {
	struct url_waiter waiter;
	struct loop *loop;
	unsigned told;
	bool has_url;
	int fault;
};

static void on_found(struct url_waiter *waiter, struct function_url *url, int fault)
{
	struct asker *asker = list_entry(waiter, struct asker, waiter);

	asker->told++;
	asker->has_url = url != NULL;
	asker->fault = fault;
	loop_stop(asker->loop);
}

/* A world with a function, its URL, a loop and a book. */
struct shelf {
	struct world *world;
	struct loop *loop;
	struct url_book *book;
	char id[33];
};

static struct shelf shelf_new(void)
{
	struct shelf shelf = { .world = world_new() };

	world_create(shelf.world, "fn");
	struct answer got = world_call(shelf.world, lambda_create_function_url_config,
		"CreateFunctionUrlConfig", "{s:s,s:s}", "FunctionName", "fn", "AuthType", "NONE");
	CHECK_OK(got);
	CHECK(str_to_array(str_slice(answer_text(&got, "FunctionUrl"), 7, 39), shelf.id,
		      sizeof(shelf.id)) == 0);
	/* Not before: with a loop there, functions are settled on it. */
	CHECK(loop_new(&shelf.loop) == 0);
	shelf.world->platform->loop = shelf.loop;
	shelf.book = url_book_new(shelf.world->platform);
	return shelf;
}

static void shelf_free(struct shelf *shelf)
{
	url_book_free(shelf->book);
	shelf->world->platform->loop = NULL;
	loop_free(shelf->loop);
	world_free(shelf->world);
}

static int ask(struct shelf *shelf, const char *id, struct asker *asker)
{
	struct function_url *url;

	*asker = (struct asker){ .waiter = { .found = on_found }, .loop = shelf->loop };
	list_init(&asker->waiter.link);
	return url_book_find(shelf->book, str_of(id), &asker->waiter, &url);
}

static void test_a_url_is_read_once_and_kept(void)
{
	struct shelf shelf = shelf_new();
	struct asker first, second, third;

	CHECK(ask(&shelf, shelf.id, &first) == URL_BOOK_READING);
	CHECK(ask(&shelf, shelf.id, &second) == URL_BOOK_READING);
	loop_run(shelf.loop);
	CHECK(first.told == 1 && first.has_url && second.told == 1 && second.has_url);
	CHECK(ask(&shelf, shelf.id, &third) == URL_BOOK_FOUND);
	shelf_free(&shelf);
}

static void test_what_is_not_there_is_not_kept(void)
{
	struct shelf shelf = shelf_new();
	struct asker asker;

	CHECK(ask(&shelf, "nothing", &asker) == URL_BOOK_READING);
	loop_run(shelf.loop);
	CHECK(asker.told == 1 && !asker.has_url && asker.fault == 0);
	CHECK(ask(&shelf, "nothing", &asker) == URL_BOOK_READING);
	loop_run(shelf.loop);
	shelf_free(&shelf);
}

static void test_a_change_of_its_function_drops_a_url(void)
{
	struct shelf shelf = shelf_new();
	struct asker asker;
	const str account = S("123456789012"), region = S("us-east-1");

	CHECK(ask(&shelf, shelf.id, &asker) == URL_BOOK_READING);
	loop_run(shelf.loop);
	url_book_changed(shelf.book, account, region, S("other"));
	url_book_changed(shelf.book, account, S("eu-west-1"), S("fn"));
	CHECK(ask(&shelf, shelf.id, &asker) == URL_BOOK_FOUND);
	url_book_changed(shelf.book, account, region, S("fn"));
	CHECK(ask(&shelf, shelf.id, &asker) == URL_BOOK_READING);
	loop_run(shelf.loop);
	url_book_changed(shelf.book, S(""), S(""), S(""));
	CHECK(ask(&shelf, shelf.id, &asker) == URL_BOOK_READING);
	loop_run(shelf.loop);
	CHECK(asker.told == 1 && asker.has_url);
	shelf_free(&shelf);
}

/* The change comes while the worker reads: whatever it has read, what is kept is of after the change. */
static void test_what_is_read_during_a_change_is_read_again(void)
{
	struct shelf shelf = shelf_new();
	struct asker asker;

	CHECK(ask(&shelf, shelf.id, &asker) == URL_BOOK_READING);
	CHECK_OK(world_call(shelf.world, lambda_delete_function_url_config,
		"DeleteFunctionUrlConfig", "{s:s}", "FunctionName", "fn"));
	url_book_changed(shelf.book, S("123456789012"), S("us-east-1"), S("fn"));
	loop_run(shelf.loop);
	CHECK(asker.told == 1 && !asker.has_url);
	shelf_free(&shelf);
}

static void test_who_has_gone_is_not_told(void)
{
	struct shelf shelf = shelf_new();
	struct asker gone, stays;

	CHECK(ask(&shelf, shelf.id, &gone) == URL_BOOK_READING);
	CHECK(ask(&shelf, shelf.id, &stays) == URL_BOOK_READING);
	url_book_forget(&gone.waiter);
	loop_run(shelf.loop);
	CHECK(gone.told == 0 && stays.told == 1);
	shelf_free(&shelf);
}

TESTS(TEST(test_a_url_is_read_once_and_kept), TEST(test_what_is_not_there_is_not_kept),
	TEST(test_a_change_of_its_function_drops_a_url),
	TEST(test_what_is_read_during_a_change_is_read_again), TEST(test_who_has_gone_is_not_told))
