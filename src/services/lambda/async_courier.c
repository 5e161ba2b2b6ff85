/*
 * Deliveries go over the wire on one worker, with libcurl's multi interface: many requests, one thread, so that no target
 * takes the workers away from everybody else.
 *
 *	loop: lane of the target ──► inbox (lock-free) ──► worker: request ─► libcurl ──► loop: async_delivered()
 *
 * The worker runs while something is on its way. Whatever comes meanwhile wakes it; what comes just as it ends is seen when
 * its end is told. Each target has a lane. Lanes that have something to send and something left of their share are in a
 * ring, and the next one has the next flight: a target that answers slowly has its share in the air, the rest in its
 * lane, and beyond that on the disk.
 */
#include "services/lambda/async_courier.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "os/curl.h"
#include "os/random.h"
#include "services/lambda/async_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

enum {
	FLIGHTS_MAX = 32,
	FLIGHTS_EACH_MAX = 8,	/* of one target */
	WAITING_EACH_MAX = 256, /* of one target, in memory */
	ANSWER_MAX = 64 * 1024,
	POLL_MS = 1000,
};

/* Of one target, while anything is to be brought there. */
struct courier_lane {
	struct list turn; /* in the courier's ring, when it may send */
	struct list waiting;
	unsigned waiting_count, flying;
	char target[512]; /* an ARN: AWS's have 350 at most */
};

/* One request on its way. The worker's. */
struct flight {
	struct list link;
	struct courier *courier;
	struct async_item *item;
	CURL *handle;
	struct delivery_request request;
	struct curl_slist *fields;
	struct buf answer;
	char credentials[512];
	char signature[256];
	char error[CURL_ERROR_SIZE];
};

struct courier {
	struct async *async;
	/* the loop's */
	struct map lanes;  /* target → struct courier_lane */
	struct list turns; /* lanes that may send, in their order */
	unsigned flying;   /* handed to the worker */
	bool is_running;   /* the worker is at it */
	struct work work;
	/* from the loop to the worker: the newest first */
	_Atomic(struct async_item *) inbox;
	/* the worker's; the loop may wake it */
	const struct curl_functions *curl; /* with it; NULL: there is nothing to reach */
	CURLM *multi;
	struct list flights;
};

/* --- lanes --- */

static bool lane_may_send(const struct courier_lane *lane)
{
	return lane->waiting_count > 0 && lane->flying < FLIGHTS_EACH_MAX;
}

/* In the ring when it may send; gone when there is nothing left of it. */
static void lane_settle(struct courier *courier, struct courier_lane *lane)
{
	list_remove(&lane->turn);
	if (lane_may_send(lane)) {
		list_push_back(&courier->turns, &lane->turn);
	} else if (!lane->waiting_count && !lane->flying) {
		map_remove(&courier->lanes, str_of(lane->target));
		mem_free(lane);
	}
}

/* The lane of this target, made when there is none; NULL without memory. */
static struct courier_lane *lane_of(struct courier *courier, str target)
{
	struct courier_lane *lane = map_get(&courier->lanes, target);

	if (lane)
		return lane;
	lane = mem_one(struct courier_lane);
	if (!lane)
		return NULL;
	list_init(&lane->turn);
	list_init(&lane->waiting);
	if (str_to_array(target, lane->target, sizeof(lane->target)) < 0 ||
		map_put(&courier->lanes, str_of(lane->target), lane) < 0) {
		mem_free(lane);
		return NULL;
	}
	return lane;
}

/* --- the loop's part --- */

static void courier_push(struct courier *courier, struct async_item *item)
{
	item->next_sent = atomic_load(&courier->inbox);
	while (!atomic_compare_exchange_weak(&courier->inbox, &item->next_sent, item))
		;
}

/* For the first delivery that has an endpoint: libcurl, which the router has loaded by then. */
static void courier_prepare(struct courier *courier)
{
	if (courier->multi || !courier->async->destinations.endpoint.len)
		return;
	courier->curl = curl_load();
	courier->multi = courier->curl ? courier->curl->multi_init() : NULL;
}

/* Somebody who sends what is in the inbox: the worker that runs, or a new one. */
static void courier_wake(struct courier *courier)
{
	if (courier->is_running) {
		if (courier->multi)
			(void)courier->curl->multi_wakeup(courier->multi);
		return;
	}
	courier_prepare(courier);
	int r = loop_work(courier->async->platform->loop, &courier->work);
	courier->is_running = r == 0;
	if (r == 0)
		return;
	err_log(r, "deliver records");
	struct async_item *item = atomic_exchange(&courier->inbox, NULL);
	while (item) {
		struct async_item *next = item->next_sent;
		item->answer = DELIVERY_LATER;
		loop_post(courier->async->platform->loop, &item->told);
		item = next;
	}
}

static void courier_fly(struct courier *courier)
{
	bool is_any = false;

	while (courier->flying < FLIGHTS_MAX) {
		struct list *turn = list_first(&courier->turns);
		if (!turn)
			break;
		struct courier_lane *lane = list_entry(turn, struct courier_lane, turn);
		struct async_item *item = list_entry(
			list_first(&lane->waiting), struct async_item, waiting);
		list_remove(&item->waiting);
		lane->waiting_count--;
		lane->flying++;
		courier->flying++;
		lane_settle(courier, lane);
		courier_push(courier, item);
		is_any = true;
	}
	if (is_any)
		courier_wake(courier);
}

static void on_told(struct message *message)
{
	struct async_item *item = list_entry(message, struct async_item, told);
	struct courier *courier = item->async->courier;
	struct courier_lane *lane = map_get(&courier->lanes, item->target);

	assert(lane && lane->flying > 0 && courier->flying > 0);
	lane->flying--;
	courier->flying--;
	lane_settle(courier, lane);
	async_delivered(item);
	courier_fly(courier);
}

void courier_take(struct courier *courier, struct async_item *item)
{
	struct courier_lane *lane = lane_of(courier, item->target);

	item->told.run = on_told;
	list_init(&item->waiting);
	if (!lane || lane->waiting_count >= WAITING_EACH_MAX) {
		async_deferred(item);
		return;
	}
	list_push_back(&lane->waiting, &item->waiting);
	lane->waiting_count++;
	lane_settle(courier, lane);
	courier_fly(courier);
}

void courier_give_back(struct courier *courier)
{
	struct list *turn;

	/* A lane that is not in the ring waits for its flights: it comes into it when one is back. */
	while ((turn = list_first(&courier->turns))) {
		struct courier_lane *lane = list_entry(turn, struct courier_lane, turn);
		struct list *link = list_first(&lane->waiting);
		struct async_item *item = list_entry(link, struct async_item, waiting);
		list_remove(link);
		lane->waiting_count--;
		lane_settle(courier, lane);
		async_given_back(item);
	}
}

bool courier_is_quiet(const struct courier *courier)
{
	return !courier->is_running && !courier->flying;
}

/* --- a flight --- */

static size_t on_answer(char *bytes, size_t size, size_t count, void *context)
{
	struct buf *answer = context;
	size_t len = MIN(
		size * count, answer->ceiling - answer->len); /* the beginning says enough */

	buf_put(answer, (str){ bytes, len });
	return answer->err ? 0 : size * count;
}

static bool flight_fields(struct flight *flight)
{
	const struct curl_functions *curl = flight->courier->curl;
	str rest = buf_str(&flight->request.fields), field;

	while (str_cut(&rest, '\0', &field)) {
		struct curl_slist *grown = curl->slist_append(
			flight->fields, field.at); /* ended by that NUL */
		if (!grown)
			return false;
		flight->fields = grown;
	}
	return true;
}

static bool flight_setup(struct flight *flight, const struct async_destinations *to)
{
	struct delivery_request *request = &flight->request;
	const char *url = buf_cstr(&request->url);
	const struct curl_functions *curl = flight->courier->curl;
	CURL *handle = flight->handle;

	if (!url || request->fields.err || request->body.err || !flight_fields(flight))
		return false;
	(void)snprintf(flight->signature, sizeof(flight->signature), "aws:amz:" STR_FMT ":" STR_FMT,
		STR_ARG(request->region), STR_ARG(request->service));
	curl->easy_setopt(handle, CURLOPT_PRIVATE, flight);
	curl->easy_setopt(handle, CURLOPT_URL, url);
	curl->easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method);
	curl->easy_setopt(handle, CURLOPT_AWS_SIGV4, flight->signature);
	curl->easy_setopt(handle, CURLOPT_USERPWD, flight->credentials);
	curl->easy_setopt(handle, CURLOPT_HTTPHEADER, flight->fields);
	curl->easy_setopt(handle, CURLOPT_POSTFIELDS, request->body.at);
	curl->easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
	curl->easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_answer);
	curl->easy_setopt(handle, CURLOPT_WRITEDATA, &flight->answer);
	curl->easy_setopt(handle, CURLOPT_ERRORBUFFER, flight->error);
	/* Nobody is waited for who does not say 100; "Expect:" in the list would be signed, and not be sent. */
	curl->easy_setopt(handle, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);
	curl->easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, 5L);
	curl->easy_setopt(handle, CURLOPT_TIMEOUT, 20L);
	curl->easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
	if (to->ca.len) /* of a setting: ended by a NUL */
		curl->easy_setopt(handle, CURLOPT_CAINFO, to->ca.at);
	return true;
}

/* Its end: the item goes back to the loop, and is not the worker's any more. */
static void item_tell(struct async_item *item, enum delivery_answer answer, str why)
{
	struct loop *loop = item->async->platform->loop;

	item->answer = answer;
	if (str_to_array(str_slice(why, 0, sizeof(item->why) - 1), item->why, sizeof(item->why)) <
		0)
		(void)!str_to_array(S("The target did not take it."), item->why, sizeof(item->why));
	if (answer == DELIVERY_LATER)
		log_warn("delivery_retried", LOG_STR("function", item->name),
			LOG_STR("target", item->target), LOG_STR("request", item->request_id),
			LOG_TEXT("why", item->why));
	loop_post(loop, &item->told);
}

static void flight_free(struct flight *flight)
{
	const struct curl_functions *curl = flight->courier->curl;

	list_remove(&flight->link);
	if (flight->handle)
		curl->easy_cleanup(flight->handle);
	if (flight->fields)
		curl->slist_free_all(flight->fields);
	delivery_request_done(&flight->request);
	buf_done(&flight->answer);
	mem_free(flight);
}

/* What came of it, in words and in item->answer. */
static void flight_end(struct flight *flight, CURLcode code)
{
	const struct curl_functions *curl = flight->courier->curl;
	enum delivery_answer answer = DELIVERY_LATER;
	char text[sizeof(flight->item->why)];
	struct buf why;
	long status = 0;

	buf_init_over(&why, text, sizeof(text));
	if (code == CURLE_OK) {
		curl->easy_getinfo(flight->handle, CURLINFO_RESPONSE_CODE, &status);
		answer = delivery_judge(flight->request.service, status, buf_str(&flight->answer));
		buf_putf(&why, "The target answered %ld: ", status);
		buf_put(&why, str_slice(buf_str(&flight->answer), 0, 150));
	} else {
		const char *words = flight->error[0] ? flight->error : curl->easy_strerror(code);
		buf_put(&why, S("The target could not be reached: "));
		buf_put(&why, str_slice(str_of(words), 0, 150));
	}
	item_tell(flight->item, answer, buf_str(&why));
	flight_free(flight);
}

/* --- the worker's part --- */

/* What is to be sent, or why it cannot be. */
static bool flight_prepare(struct flight *flight, struct buf *why)
{
	const struct async_item *item = flight->item;
	const struct async_destinations *to = &item->async->destinations;
	char random[UUID_LEN + 1];

	random_uuid(random);
	if (str_to_array(to->key.len ? to->key : S("mayfly:mayfly"), flight->credentials,
		    sizeof(flight->credentials)) < 0) {
		buf_put(why, S("the setting destinations-key is longer than 511 bytes"));
		return false;
	}
	return delivery_request_make(
		&(struct delivery){
			.target = item->target,
			.endpoint = to->endpoint,
			.function = item->name,
			.region = item->region,
			.request_id = item->request_id,
			.code = item->code,
			.message = item->message,
			.body = item->body,
			.now_ms = clock_real_ms(),
			.random = str_of(random),
		},
		&flight->request, why);
}

/* Not begun: why it cannot be, or could not this time. */
static void flight_drop(struct flight *flight, enum delivery_answer answer, str why)
{
	item_tell(flight->item, answer, why);
	flight_free(flight);
}

static void flight_start(struct courier *courier, struct async_item *item)
{
	struct flight *flight = mem_one(struct flight);
	char text[sizeof(item->why)];
	struct buf why;

	if (!flight) {
		item_tell(item, DELIVERY_LATER, S("There was no memory for it."));
		return;
	}
	flight->courier = courier;
	flight->item = item;
	list_push_back(&courier->flights, &flight->link);
	buf_init(&flight->answer, ANSWER_MAX);
	buf_init_over(&why, text, sizeof(text));
	if (!flight_prepare(flight, &why)) {
		flight_drop(flight, DELIVERY_REFUSED, buf_str(&why));
		return;
	}
	if (!courier->multi) {
		flight_drop(flight, DELIVERY_LATER, S("libcurl could not be begun."));
		return;
	}
	flight->handle = courier->curl->easy_init();
	if (!flight->handle || !flight_setup(flight, &courier->async->destinations) ||
		courier->curl->multi_add_handle(courier->multi, flight->handle) != CURLM_OK)
		flight_drop(flight, DELIVERY_LATER, S("There was no memory for it."));
}

/* The oldest first. */
static void courier_open_inbox(struct courier *courier)
{
	struct async_item *item = atomic_exchange(&courier->inbox, NULL), *oldest = NULL;

	while (item) {
		struct async_item *next = item->next_sent;
		item->next_sent = oldest;
		oldest = item;
		item = next;
	}
	while (oldest) {
		item = oldest;
		oldest = item->next_sent; /* before it goes back */
		flight_start(courier, item);
	}
}

static void courier_collect(struct courier *courier)
{
	const struct curl_functions *curl = courier->curl;
	struct CURLMsg *said;
	int left;

	while ((said = curl->multi_info_read(courier->multi, &left))) {
		struct flight *flight = NULL;
		CURLcode code = said->data.result;
		if (said->msg != CURLMSG_DONE)
			continue;
		curl->easy_getinfo(said->easy_handle, CURLINFO_PRIVATE, (char **)&flight);
		curl->multi_remove_handle(courier->multi, flight->handle);
		flight_end(flight, code);
	}
}

static void courier_fail_all(struct courier *courier)
{
	list_each(link, &courier->flights) {
		struct flight *flight = list_entry(link, struct flight, link);
		courier->curl->multi_remove_handle(courier->multi, flight->handle);
		flight_end(flight, CURLE_FAILED_INIT);
	}
}

static void courier_run(struct work *work)
{
	struct courier *courier = list_entry(work, struct courier, work);
	int running;

	for (;;) {
		courier_open_inbox(courier);
		if (list_empty(&courier->flights))
			return;
		if (courier->curl->multi_perform(courier->multi, &running) != CURLM_OK)
			courier_fail_all(courier);
		courier_collect(courier);
		if (!list_empty(&courier->flights))
			(void)courier->curl->multi_poll(courier->multi, NULL, 0, POLL_MS, NULL);
	}
}

static void courier_done(struct work *work)
{
	struct courier *courier = list_entry(work, struct courier, work);

	courier->is_running = false;
	if (atomic_load(&courier->inbox))
		courier_wake(courier);
	if (courier_is_quiet(courier))
		async_courier_quiet(courier->async);
}

/* --- life --- */

int courier_new(struct async *async, struct courier **ret_courier)
{
	struct courier *courier = mem_one(struct courier);
	if (!courier)
		return err_raise(-ENOMEM);

	courier->async = async;
	courier->work = (struct work){ .run = courier_run, .done = courier_done };
	list_init(&courier->turns);
	list_init(&courier->flights);
	*ret_courier = courier;
	return 0;
}

void courier_free(struct courier *courier)
{
	if (!courier)
		return;
	assert(courier_is_quiet(courier) && !courier->lanes.count);
	if (courier->multi)
		(void)courier->curl->multi_cleanup(courier->multi);
	map_done(&courier->lanes);
	mem_free(courier);
}
