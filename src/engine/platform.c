/*
 * Where worker threads ask the loop thread for something and wait: a message there, a promise back.
 */
#include "engine/platform_loop.h"

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/runtimes.h"
#include "engine/warden_client.h"
#include "model/limits.h"
#include "os/loop.h"

#include <errno.h>
#include <string.h>

/* On the waiting worker's stack: it outlives the message because the worker waits. */
struct request {
	struct message message;
	struct promise promise;
	struct platform *platform;
	/* a change */
	str account, region, name;
	/* an unpack */
	struct unpack_frame frame;
	int zip_fd;
	/* what is provisioned */
	str qualifier;
	const struct provision_plan *plan;
	struct provision_figures figures;
	bool is_known;
	/* what is set aside */
	uint32_t amount;
	uint64_t revision;
	int result;
	struct unpacked_frame answer;
};

static void request_post(struct request *request, void (*run)(struct message *self))
{
	promise_init(&request->promise);
	request->message.run = run;
	loop_post(request->platform->loop, &request->message);
}

static void request_wait(struct request *request, void (*run)(struct message *self))
{
	request_post(request, run);
	promise_wait(&request->promise);
}

static void tell_changed(const struct request *request)
{
	struct platform *platform = request->platform;

	if (platform->on_changed)
		platform->on_changed(platform, request->account, request->region, request->name);
}

static void request_run_changed(struct message *message)
{
	struct request *request = list_entry(message, struct request, message);

	engine_function_changed(
		request->platform->engine, request->account, request->region, request->name);
	tell_changed(request);
	promise_keep(&request->promise);
}

void platform_function_changed(struct platform *platform, str account, str region, str name)
{
	struct request request = {
		.platform = platform, .account = account, .region = region, .name = name
	};

	request_wait(&request, request_run_changed);
}

static void request_run_expect(struct message *message)
{
	struct request *request = list_entry(message, struct request, message);

	engine_use_runtime(request->platform->engine, request->name);
	promise_keep(&request->promise);
}

void platform_expect_runtime(struct platform *platform, str runtime)
{
	struct request request = { .platform = platform, .name = runtime };

	request_wait(&request, request_run_expect);
}

static void request_run_set_aside(struct message *message)
{
	struct request *request = list_entry(message, struct request, message);

	engine_set_aside(request->platform->engine, request->account, request->region,
		request->amount, request->revision);
	promise_keep(&request->promise);
}

void platform_set_aside(
	struct platform *platform, str account, str region, uint32_t amount, uint64_t revision)
{
	struct request request = { .platform = platform,
		.account = account,
		.region = region,
		.amount = amount,
		.revision = revision };

	request_wait(&request, request_run_set_aside);
}

static void request_run_provision(struct message *message)
{
	struct request *request = list_entry(message, struct request, message);

	engine_provision(request->platform->engine, request->account, request->region,
		request->name, request->plan);
	promise_keep(&request->promise);
}

void platform_provision(struct platform *platform, str account, str region, str name,
	const struct provision_plan *plan)
{
	struct request request = { .platform = platform,
		.account = account,
		.region = region,
		.name = name,
		.plan = plan };

	request_wait(&request, request_run_provision);
}

static void request_run_figures(struct message *message)
{
	struct request *request = list_entry(message, struct request, message);

	request->is_known = engine_provision_figures(request->platform->engine, request->account,
		request->region, request->name, request->qualifier, &request->figures);
	promise_keep(&request->promise);
}

bool platform_provision_figures(struct platform *platform, str account, str region, str name,
	str qualifier, struct provision_figures *ret_figures)
{
	struct request request = { .platform = platform,
		.account = account,
		.region = region,
		.name = name,
		.qualifier = qualifier };

	request_wait(&request, request_run_figures);
	if (request.is_known)
		*ret_figures = request.figures;
	return request.is_known;
}

static void request_on_reset(void *context)
{
	struct request *request = context;

	promise_keep(&request->promise);
}

static void request_run_reset(struct message *message)
{
	struct request *request = list_entry(message, struct request, message);

	tell_changed(request);
	engine_reset(request->platform->engine, request_on_reset, request);
}

void platform_reset(struct platform *platform)
{
	struct request request = { .platform = platform };

	request_wait(&request, request_run_reset);
}

/* The address of the waiting request is the ticket: it is alive until the answer is there. */
static void request_run_unpack(struct message *message)
{
	struct request *request = list_entry(message, struct request, message);

	request->frame.head.ticket = (uint64_t)(uintptr_t)request;
	int r = warden_ask(request->platform->warden, &request->frame, sizeof(request->frame),
		&request->zip_fd, 1);
	if (r == 0)
		return;
	request->result = r;
	promise_keep(&request->promise);
}

void platform_on_unpacked(const struct unpacked_frame *frame)
{
	struct request *request = (struct request *)(uintptr_t)frame->head.ticket;

	request->answer = *frame;
	promise_keep(&request->promise);
}

int platform_unpack(
	struct platform *platform, const struct unpack_ask *ask, struct unpacked *ret_unpacked)
{
	struct request request = {
		.platform = platform,
		.zip_fd = ask->zip_fd,
		.frame = { .head = { .op = FRAME_UNPACK },
			.bytes_max = ask->bytes_max,
			.entries_max = LIMIT_UNZIPPED_ENTRIES },
	};

	memcpy(request.frame.digest, ask->digest, DIGEST_LEN);
	request_post(&request, request_run_unpack);
	if (ask->meanwhile)
		ask->meanwhile(ask->context);
	promise_wait(&request.promise);
	if (request.result < 0)
		return err_pass(request.result);
	if (request.answer.answer == UNPACK_FAULT)
		return err_raise(-(int)request.answer.detail);
	*ret_unpacked = (struct unpacked){ .answer = request.answer.answer,
		.bytes = request.answer.bytes,
		.has_extensions = request.answer.answer == UNPACK_DONE &&
			request.answer.detail == UNPACK_EXTENSIONS };
	return 0;
}

/*
 * To forget what a sandbox uses would be a crime in the warden's eyes; the engine knows all that
 * are not gone.
 */
static void request_run_forget(struct message *message)
{
	struct request *request = list_entry(message, struct request, message);
	struct forget_frame frame = { .head = { .op = FRAME_FORGET } };

	if (!engine_uses_code(request->platform->engine, request->frame.digest)) {
		memcpy(frame.digest, request->frame.digest, DIGEST_LEN);
		int r = warden_ask(request->platform->warden, &frame, sizeof(frame), NULL, 0);
		if (r < 0)
			err_log(r, "forget code that nobody uses");
	}
	promise_keep(&request->promise);
}

void platform_forget_code(struct platform *platform, const uint8_t digest[static 32])
{
	struct request request = { .platform = platform };

	memcpy(request.frame.digest, digest, DIGEST_LEN);
	request_wait(&request, request_run_forget);
}

enum runtime_match platform_runtime(
	const struct platform *platform, str name, struct installed_runtime *ret_runtime)
{
	const struct runtime_pack *pack;
	enum runtime_match match = runtimes_find(platform->runtimes, name, &pack);

	if (match != RUNTIME_NONE)
		*ret_runtime = (struct installed_runtime){
			.pack = pack->name, .version = pack->version, .index = pack->index
		};
	return match;
}
