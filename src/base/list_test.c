#include "base/list.h"

#include "base/test.h"

struct item {
	int number;
	struct list link;
};

/* The numbers in the order of the list as one decimal number: 1, 2, 3 is 123. */
static int sequence(struct list *head)
{
	int number = 0;

	list_each(link, head)
		number = number * 10 + list_entry(link, struct item, link)->number;
	return number;
}

static void test_items_stand_in_the_order_they_were_pushed(void)
{
	struct list head = LIST_INIT(head);
	struct item items[] = { { .number = 1 }, { .number = 2 }, { .number = 3 } };

	CHECK(list_empty(&head) && list_first(&head) == NULL);
	list_push_back(&head, &items[1].link);
	list_push_back(&head, &items[2].link);
	list_push_front(&head, &items[0].link);
	CHECK(!list_empty(&head));
	CHECK(list_first(&head) == &items[0].link);
	CHECK(sequence(&head) == 123);
}

static void test_a_removed_item_is_in_no_list(void)
{
	struct list head = LIST_INIT(head);
	struct item items[] = { { .number = 1 }, { .number = 2 } };

	CHECK(!list_linked(&items[0].link)); /* zeroed: never in one */
	list_remove(&items[0].link);	     /* harmless */
	list_push_back(&head, &items[0].link);
	list_push_back(&head, &items[1].link);
	CHECK(list_linked(&items[0].link));
	list_remove(&items[0].link);
	CHECK(!list_linked(&items[0].link));
	CHECK(sequence(&head) == 2);
	list_remove(&items[0].link); /* twice is once */
	list_push_back(&head, &items[0].link);
	CHECK(sequence(&head) == 21);
}

static void test_the_current_item_may_be_removed_while_walking(void)
{
	struct list head = LIST_INIT(head);
	struct item items[4];

	for (int i = 0; i < 4; i++) {
		items[i].number = i + 1;
		list_init(&items[i].link);
		list_push_back(&head, &items[i].link);
	}
	list_each(link, &head) {
		if (list_entry(link, struct item, link)->number % 2)
			list_remove(link);
	}
	CHECK(sequence(&head) == 24);
}

TESTS(TEST(test_items_stand_in_the_order_they_were_pushed), TEST(test_a_removed_item_is_in_no_list),
	TEST(test_the_current_item_may_be_removed_while_walking))
