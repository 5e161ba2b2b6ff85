#pragma once
/*
 * Intrusive doubly linked lists: a struct list head is a ring of links; a link that is
 * in no list points at itself (after list_init).
 */
#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

/* clang-format off */
#define LIST_INIT(name) { &(name), &(name) }
/* clang-format on */

/* The object that holds this link. */
#define list_entry(link, type, member) \
	((type *)(void *)&((char *)(link))[-(ptrdiff_t)offsetof(type, member)])

/* Walk the links of `head`; the current one may be removed inside the loop. */
#define list_each(link, head)                                                             \
	for (struct list *link = (head)->next, *link##_next = link->next; link != (head); \
		link = link##_next, link##_next = link->next)

static inline void list_init(struct list *link)
{
	link->next = link->prev = link;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

/* Is this link in some list? */
static inline bool list_linked(const struct list *link)
{
	return link->next && link->next != link;
}

static inline void list_insert_between(struct list *link, struct list *prev, struct list *next)
{
	link->prev = prev;
	link->next = next;
	prev->next = link;
	next->prev = link;
}

static inline void list_push_back(struct list *head, struct list *link)
{
	list_insert_between(link, head->prev, head);
}

static inline void list_push_front(struct list *head, struct list *link)
{
	list_insert_between(link, head, head->next);
}

/* Take it out of whatever list it is in (or none); it is then in none. */
static inline void list_remove(struct list *link)
{
	if (!link->next)
		return;
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

static inline struct list *list_first(struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}
