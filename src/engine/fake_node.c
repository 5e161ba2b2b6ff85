/*
 * The test runs on the loop's own thread, in between runs of the loop: a timer looks whether what it
 * waits for is so, and stops the loop. So sockets may be written to before the loop looks at any
 * of them, which is how a test makes things happen in the same turn.
 *
 * Memory that the fake needs is not taken from the countdown of torture tests.
 */
#include "engine/fake_node.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/fake_logs.h"
#include "engine/warden_client.h"
#include "model/limits.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/loop.h"
#include "os/random.h"
#include "os/socket.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GIVE_UP_MS = 60'000 };

/* --- running the loop --- */

static void on_tick(void *context)
{
	struct fake_node *node = context;
	int countdown = fault_countdown;

	fault_countdown = 0;
	if (node->is_done(node->is_done_context)) {
		loop_stop(node->loop);
	} else if (clock_mono_ms() > node->give_up_ms) {
		fprintf(stderr, "  waited in vain\n");
		abort();
	} else {
		timer_set(node->tick, 1);
	}
	fault_countdown = countdown;
}

void fake_until(struct fake_node *node, bool (*is_true)(void *context), void *context)
{
	node->is_done = is_true;
	node->is_done_context = context;
	node->give_up_ms = clock_mono_ms() + GIVE_UP_MS;
	timer_set(node->tick, 0);
	loop_run(node->loop);
}

static bool is_past(void *context)
{
	return clock_mono_ms() >= *(uint64_t *)context;
}

void fake_sleep(struct fake_node *node, uint64_t ms)
{
	uint64_t end_ms = clock_mono_ms() + ms;

	fake_until(node, is_past, &end_ms);
}

static bool at_once(void *context)
{
	(void)context;
	return true;
}

void fake_turn(struct fake_node *node)
{
	fake_until(node, at_once, NULL);
}

struct engine_counters fake_counters(const struct fake_node *node)
{
	struct engine_counters now;

	engine_counters(node->engine, &now);
	return now;
}

/* --- the warden's end of the socket --- */

static void receive_frames(struct fake_node *node)
{
	int countdown = fault_countdown;
	size_t len, fd_count;
	int fds[FD_PASS_MAX];

	fault_countdown = 0;
	while (fd_receive(node->warden, &node->frames[node->frame_count].frame, sizeof(union frame),
		       &len, fds, FD_PASS_MAX, &fd_count) == 0) {
		assert(fd_count <= 3);
		node->frames[node->frame_count].is_taken = false;
		memcpy(node->frames[node->frame_count].fds, fds, sizeof(int[3]));
		node->frame_count++;
		assert(node->frame_count < FAKE_FRAMES_MAX);
	}
	fault_countdown = countdown;
}

/* A frame of this kind that was not looked at; of this ticket, when it is not 0. -1: none. */
static int find_frame(struct fake_node *node, enum frame_op op, uint64_t ticket)
{
	receive_frames(node);
	for (size_t i = 0; i < node->frame_count; i++) {
		const union frame *frame = &node->frames[i].frame;
		if (!node->frames[i].is_taken && frame->head.op == op &&
			(!ticket || frame->head.ticket == ticket))
			return (int)i;
	}
	return -1;
}

struct wanted_frame {
	struct fake_node *node;
	enum frame_op op;
	uint64_t ticket;
};

static bool frame_is_there(void *context)
{
	struct wanted_frame *wanted = context;

	return find_frame(wanted->node, wanted->op, wanted->ticket) >= 0;
}

/* Await it, and mark it as taken. */
static int take_frame(struct fake_node *node, enum frame_op op, uint64_t ticket)
{
	fake_until(node, frame_is_there, &(struct wanted_frame){ node, op, ticket });
	int i = find_frame(node, op, ticket);
	node->frames[i].is_taken = true;
	return i;
}

static void await_spawn(struct fake_node *node, struct fake_sandbox *sandbox, enum frame_op op)
{
	int i = take_frame(node, op, 0);

	*sandbox = (struct fake_sandbox){ .log = node->frames[i].fds[1],
		.guard = op == FRAME_SPAWN ? -1 : node->frames[i].fds[2],
		.memory = -1,
		.memory_stat = -1 };
	sandbox->spawn = node->frames[i].frame.spawn;
	int r = fd_read_all(node->frames[i].fds[0], sandbox->env, ENV_BLOCK_MAX, &sandbox->env_len);
	assert(r == 0);
	close(node->frames[i].fds[0]);
}

void fake_await_spawn(struct fake_node *node, struct fake_sandbox *sandbox)
{
	await_spawn(node, sandbox, FRAME_SPAWN);
}

void fake_await_guarded(struct fake_node *node, struct fake_sandbox *sandbox)
{
	await_spawn(node, sandbox, FRAME_SPAWN_IMAGE);
	CHECK(sandbox->spawn.start == START_GUARD);
}

bool fake_has_spawn(struct fake_node *node)
{
	fake_turn(node);
	return find_frame(node, FRAME_SPAWN, 0) >= 0;
}

static void tell(
	struct fake_node *node, const void *frame, size_t size, const int *fds, size_t count)
{
	int r = fd_send(node->warden, frame, size, fds, count);
	assert(r == 0);
}

void fake_spawned(struct fake_node *node, struct fake_sandbox *sandbox)
{
	struct spawned_frame frame = { .head = { FRAME_SPAWNED, 0, sandbox->spawn.head.ticket } };
	int fds[4];

	int r = socket_listen(S("127.0.0.1:0"), 16, &fds[0]);
	assert(r == 0);
	r = socket_listen(S("127.0.0.1:0"), 16, &fds[1]);
	assert(r == 0);
	fds[2] = memfd_create("memory.peak", MFD_CLOEXEC);
	fds[3] = memfd_create("memory.stat", MFD_CLOEXEC);
	assert(fds[2] >= 0 && fds[3] >= 0);
	sandbox->api_port = socket_port(fds[0]);
	sandbox->endpoint_port = socket_port(fds[1]);
	sandbox->memory = fds[2];
	sandbox->memory_stat = fds[3];
	frame.handle = sandbox->handle = (struct sandbox_handle){ ++node->next_slot, 7 };
	tell(node, &frame, sizeof(frame), fds, 4);
	close(fds[0]);
	close(fds[1]);
}

void fake_spawn(struct fake_node *node, struct fake_sandbox *sandbox)
{
	fake_await_spawn(node, sandbox);
	fake_spawned(node, sandbox);
}

static bool is_about(const struct fake_sandbox *sandbox, const union frame *frame)
{
	return frame->sandbox.handle.slot == sandbox->handle.slot &&
		frame->sandbox.handle.generation == sandbox->handle.generation;
}

void fake_await_kill(struct fake_node *node, struct fake_sandbox *sandbox)
{
	int i = take_frame(node, FRAME_KILL, sandbox->spawn.head.ticket);

	CHECK(is_about(sandbox, &node->frames[i].frame));
	sandbox->is_killed = true;
}

void fake_await_warm(struct fake_node *node)
{
	(void)take_frame(node, FRAME_WARM, 0);
}

void fake_await_graft(struct fake_node *node, struct fake_sandbox *sandbox)
{
	int i = take_frame(node, FRAME_GRAFT, sandbox->spawn.head.ticket);
	const struct graft_frame *frame = &node->frames[i].frame.graft;

	CHECK(frame->handle.slot == sandbox->handle.slot && frame->function.has_code);
	sandbox->spawn.function = frame->function;
}

void fake_grafted(struct fake_node *node, struct fake_sandbox *sandbox, int error)
{
	struct grafted_frame frame = { .head = { FRAME_GRAFTED, 0, sandbox->spawn.head.ticket },
		.handle = sandbox->handle,
		.error = (uint32_t)error };

	tell(node, &frame, sizeof(frame), NULL, 0);
}

void fake_await_order(struct fake_node *node, const struct fake_sandbox *sandbox, enum frame_op op)
{
	int i = take_frame(node, op, sandbox->spawn.head.ticket);

	CHECK(is_about(sandbox, &node->frames[i].frame));
}

bool fake_has_order(struct fake_node *node, const struct fake_sandbox *sandbox, enum frame_op op)
{
	return find_frame(node, op, sandbox->spawn.head.ticket) >= 0;
}

void fake_use_memory(const struct fake_sandbox *sandbox, unsigned mb)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%llu\n", mb * MIB);

	CHECK(pwrite(sandbox->memory, text, (size_t)len, 0) == len);
}

bool fake_is_kill_asked(struct fake_node *node, const struct fake_sandbox *sandbox)
{
	fake_turn(node);
	return find_frame(node, FRAME_KILL, sandbox->spawn.head.ticket) >= 0;
}

void fake_exit(
	struct fake_node *node, struct fake_sandbox *sandbox, enum exit_kind kind, uint32_t value)
{
	struct exited_frame frame = {
		.head = { FRAME_EXITED, 0, sandbox->spawn.head.ticket },
		.handle = sandbox->handle,
		.kind = kind,
		.value = value,
		.memory_peak = 40 << 20,
	};

	fd_close(&sandbox->log);
	fd_close(&sandbox->guard);
	fd_close(&sandbox->memory);
	fd_close(&sandbox->memory_stat);
	tell(node, &frame, sizeof(frame), NULL, 0);
}

void fake_no_start(
	struct fake_node *node, struct fake_sandbox *sandbox, const char *step, int error)
{
	struct exited_frame frame = {
		.head = { FRAME_EXITED, 0, sandbox->spawn.head.ticket },
		.kind = EXIT_NO_START,
		.value = (uint32_t)error,
	};

	snprintf(frame.step, sizeof(frame.step), "%s", step);
	fd_close(&sandbox->log);
	tell(node, &frame, sizeof(frame), NULL, 0);
}

void fake_print(const struct fake_sandbox *sandbox, const char *text)
{
	int r = fd_write_all(sandbox->log, str_of(text));
	assert(r == 0);
}

str fake_env(const struct fake_sandbox *sandbox, const char *name)
{
	str rest = { sandbox->env, sandbox->env_len }, item, key;

	while (str_cut(&rest, '\0', &item)) {
		if (str_cut(&item, '=', &key) && str_eq(key, str_of(name)))
			return item;
	}
	return (str){};
}

/* --- the warden's client, as the router has it --- */

static void on_spawned(void *context, const struct spawned_frame *frame, const int fds[static 4])
{
	struct fake_node *node = context;

	engine_on_spawned(node->engine, frame, fds);
}

static void on_grafted(void *context, const struct grafted_frame *frame)
{
	struct fake_node *node = context;

	engine_on_grafted(node->engine, frame);
}

static void on_exited(void *context, const struct exited_frame *frame)
{
	struct fake_node *node = context;

	engine_on_exited(node->engine, frame);
}

static const struct warden_events warden_events = {
	.on_spawned = on_spawned,
	.on_exited = on_exited,
	.on_grafted = on_grafted,
};

/* --- the store --- */

static struct fake_target *find_target(struct fake_node *node, str name, str qualifier)
{
	for (size_t i = 0; i < node->target_count; i++) {
		if (str_eq(str_of(node->targets[i].name), name) &&
			str_eq(str_of(node->targets[i].qualifier), qualifier))
			return &node->targets[i];
	}
	return NULL;
}

void fake_target_put(struct fake_node *node, const struct fake_target *from)
{
	struct fake_target target = *from;

	target.qualifier = target.qualifier ? target.qualifier : "$LATEST";
	target.version = target.version ? target.version : target.qualifier;
	target.revision = target.revision ? target.revision : "1";
	target.runtime = target.runtime ? target.runtime : "python3.12";
	target.timeout_ms = target.timeout_ms ? target.timeout_ms : 30'000;
	if (target.state == FUNCTION_PENDING && !target.is_pending)
		target.state = FUNCTION_ACTIVE;
	pthread_mutex_lock(&node->lock);
	struct fake_target *old = find_target(node, str_of(target.name), str_of(target.qualifier));
	assert(old || node->target_count < FAKE_TARGETS_MAX);
	*(old ? old : &node->targets[node->target_count++]) = target;
	pthread_mutex_unlock(&node->lock);
}

void fake_target_remove(struct fake_node *node, const char *name)
{
	pthread_mutex_lock(&node->lock);
	size_t kept = 0;
	for (size_t i = 0; i < node->target_count; i++) {
		if (strcmp(node->targets[i].name, name) != 0)
			node->targets[kept++] = node->targets[i];
	}
	node->target_count = kept;
	pthread_mutex_unlock(&node->lock);
}

static struct function_version *make_version(
	const struct fake_target *target, const char *version, str account, str region)
{
	char arn[256], group[128];

	int arn_len = snprintf(arn, sizeof(arn),
		"arn:aws:lambda:" STR_FMT ":" STR_FMT ":function:%s", STR_ARG(region),
		STR_ARG(account), target->name);
	int group_len = snprintf(group, sizeof(group), "/aws/lambda/%s", target->name);
	struct function_version *made = function_version_new(&(struct function_version){
		.account = account,
		.region = region,
		.name = str_of(target->name),
		.version = str_of(version),
		.revision = str_of(target->revision),
		.arn = { arn, (size_t)arn_len },
		.runtime = str_of(target->runtime),
		.handler = S("index.handler"),
		.role = S("arn:aws:iam::000000000000:role/any"),
		.log_group = { group, (size_t)group_len },
		.log_level_app = target->is_json ? S("INFO") : S(""),
		.log_level_system = str_of(target->level),
		.log_is_json = target->is_json,
		.is_traced = target->is_traced,
		.is_per_tenant = target->is_per_tenant,
		.has_extensions = target->has_extensions,
		.state = target->state,
		.memory_mb = target->memory_mb ? target->memory_mb : 128,
		.timeout_ms = target->timeout_ms,
		.tmp_mb = 512,
		.payload_max = target->payload_max ? target->payload_max : LIMIT_PAYLOAD_BYTES,
		.code = { 1, 2, 3 },
		.env = (str *)target->env,
		.env_count = target->env_count,
	});
	assert(made);
	return made;
}

static int load_target(struct platform *platform, str account, str region, str name, str qualifier,
	struct function_target **ret_target)
{
	struct fake_node *node = list_entry(platform, struct fake_node, platform);
	bool has_function = false;
	int answer = LOAD_NO_FUNCTION;

	pthread_mutex_lock(&node->lock);
	for (size_t i = 0; i < node->target_count; i++)
		has_function |= str_eq(str_of(node->targets[i].name), name);
	const struct fake_target *found = find_target(node, name, qualifier);
	if (found) {
		struct function_target *target = mem_one(struct function_target);
		assert(target);
		target->version = make_version(found, found->version, account, region);
		if (found->other)
			target->other = make_version(found, found->other, account, region);
		target->other_per_million = found->per_million;
		target->reserved_concurrency = (int32_t)found->reserved - 1;
		target->set_aside = found->set_aside;
		target->set_aside_revision = found->set_aside ? 1 : 0;
		*ret_target = target;
		answer = LOAD_DONE;
	} else if (has_function) {
		answer = LOAD_NO_QUALIFIER;
	}
	int fault = node->load_fault;
	node->loads++;
	while (node->is_load_shut)
		pthread_cond_wait(&node->opened, &node->lock);
	pthread_mutex_unlock(&node->lock);
	if (fault && answer == LOAD_DONE)
		function_target_free(*ret_target);
	return fault ? err_raise(fault) : answer;
}

void fake_loads_shut(struct fake_node *node, bool is_shut)
{
	pthread_mutex_lock(&node->lock);
	node->is_load_shut = is_shut;
	pthread_cond_broadcast(&node->opened);
	pthread_mutex_unlock(&node->lock);
}

struct wanted_loads {
	struct fake_node *node;
	unsigned loads;
};

static bool loads_are_there(void *context)
{
	struct wanted_loads *wanted = context;

	pthread_mutex_lock(&wanted->node->lock);
	bool are_there = wanted->node->loads >= wanted->loads;
	pthread_mutex_unlock(&wanted->node->lock);
	return are_there;
}

void fake_loads_await(struct fake_node *node, unsigned loads)
{
	fake_until(node, loads_are_there, &(struct wanted_loads){ node, loads });
}

void fake_provision(struct fake_node *node, uint64_t revision, const char *name,
	const char *qualifier, const char *version, uint32_t requested)
{
	struct provision_item item = { .qualifier = str_of(qualifier), .requested = requested };
	struct provision_plan plan = { .revision = revision, .items = &item, .count = 0 };

	if (qualifier) {
		int r = load_target(&node->platform, S("000000000000"), S("us-east-1"),
			str_of(name), str_of(version), &item.target);
		assert(r == LOAD_DONE);
		plan.count = 1;
	}
	engine_provision(node->engine, S("000000000000"), S("us-east-1"), str_of(name), &plan);
	function_target_free(item.target);
}

/* --- the AWS endpoint inside sandboxes --- */

static void *on_endpoint(void *context, int listener, const struct function_version *version)
{
	struct fake_node *node = context;

	CHECK(version->name.len > 0);
	close(listener);
	node->endpoints++;
	return node;
}

static void on_endpoint_gone(void *context, void *endpoint)
{
	struct fake_node *node = context;

	CHECK(endpoint == node && node->endpoints > 0);
	node->endpoints--;
}

/* --- life --- */

static void add_packs(struct fake_node *node, bool has_stem)
{
	const struct runtime_pack packs[] = {
		{ .name = S_INIT("python"),
			.language = S_INIT("Python"),
			.version = S_INIT("3.12.4"),
			.names = S_INIT("python3.11 python3.12 python3.13"),
			.env = { S_INIT("PYTHONPATH=/var/runtime"), S_INIT("LANG=C.UTF-8") },
			.env_count = 2,
			.start_env = S_INIT("PYTHON* AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
			.start = has_stem ? START_FORK : START_EXEC,
			.has_stem = has_stem },
		{ .name = S_INIT("provided"),
			.language = S_INIT("any"),
			.names = S_INIT("provided.al2 provided.al2023"),
			.index = 1 },
	};

	int r = runtimes_new(&node->runtimes);
	for (size_t i = 0; r == 0 && i < 2; i++)
		r = runtimes_add(node->runtimes, &packs[i]);
	assert(r == 0);
}

void fake_node_start(struct fake_node *node, const struct engine_options *options)
{
	int pair[2];

	signal(SIGPIPE, SIG_IGN);
	*node = (struct fake_node){ .platform = { .account = S("000000000000") } };
	pthread_mutex_init(&node->lock, NULL);
	pthread_cond_init(&node->opened, NULL);
	node->platform.logs = fake_logs_new();
	add_packs(node, options->stems_max > 0);
	int r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
	assert(r == 0);
	node->warden = pair[1];
	r = loop_new(&node->loop);
	assert(r == 0);
	node->platform.loop = node->loop;
	node->platform.runtimes = node->runtimes;
	r = timer_new(node->loop, on_tick, node, &node->tick);
	assert(r == 0);
	r = warden_client_new(node->loop, pair[0], &warden_events, node, &node->platform.warden);
	assert(r == 0);
	struct engine_options all = *options;
	all.loop = node->loop;
	all.platform = &node->platform;
	all.runtimes = node->runtimes;
	all.load = load_target;
	all.environments_max = all.environments_max ? all.environments_max : 50;
	all.idle_ms = all.idle_ms ? all.idle_ms : 600'000;
	all.lifetime_ms = all.lifetime_ms ? all.lifetime_ms : 3600 * 1000;
	all.log_rate = all.log_rate ? all.log_rate : 100 * MIB;
	all.hold_ms = all.hold_ms ? all.hold_ms : 60'000;
	all.init_ms = all.init_ms ? all.init_ms : 60'000;
	all.starts_max = all.starts_max ? all.starts_max : 50;
	all.memory_mb = all.memory_mb ? all.memory_mb : 100'000;
	all.queue_ms = all.queue_ms ? all.queue_ms : 60'000;
	all.account_concurrency = all.account_concurrency ? all.account_concurrency : 1000;
	all.scaling_rate = all.scaling_rate ? all.scaling_rate : 1000;
	all.on_endpoint = on_endpoint;
	all.on_endpoint_gone = on_endpoint_gone;
	all.context = node;
	r = engine_new(&all, &node->engine);
	assert(r == 0);
	node->platform.engine = node->engine;
}

static void on_drained(void *context)
{
	struct fake_node *node = context;

	node->is_drained = true;
}

/* A warden that kills what it is asked to and can start nothing any more. */
static bool is_drained(void *context)
{
	struct fake_node *node = context;

	receive_frames(node);
	for (size_t i = 0; i < node->frame_count; i++) {
		const struct frame_head *head = &node->frames[i].frame.head;
		struct exited_frame frame = { .head = { FRAME_EXITED, 0, head->ticket },
			.kind = head->op == FRAME_KILL ? EXIT_KILLED : EXIT_NO_START };
		int fd_count = head->op == FRAME_SPAWN ? 2 : head->op == FRAME_SPAWN_IMAGE ? 3 : 0;
		if (node->frames[i].is_taken || (!fd_count && head->op != FRAME_KILL))
			continue;
		node->frames[i].is_taken = true;
		for (int k = 0; k < fd_count; k++)
			close(node->frames[i].fds[k]);
		tell(node, &frame, sizeof(frame), NULL, 0);
	}
	return node->is_drained;
}

static void check_empty(struct fake_node *node)
{
	struct engine_counters counters;

	engine_counters(node->engine, &counters);
	CHECK(counters.started == counters.finished + counters.failed);
	CHECK(!counters.environments && !counters.idle && !counters.busy);
	CHECK(!counters.in_flight && !counters.waiting);
	CHECK(!node->endpoints);
}

void fake_node_stop(struct fake_node *node)
{
	fake_loads_shut(node, false);
	fake_logs_shut(node->platform.logs, false);
	engine_drain(node->engine, on_drained, node);
	fake_until(node, is_drained, node);
	check_empty(node);
	engine_free(node->engine);
	warden_client_free(node->platform.warden);
	timer_free(node->tick);
	loop_free(node->loop);
	close(node->warden);
	runtimes_free(node->runtimes);
	fake_logs_free(node->platform.logs);
}

/* --- invoking --- */

static void keep_text(char *to, size_t size, str text)
{
	int r = str_to_array(text, to, size);
	CHECK(r == 0);
}

static void on_invoked(void *context, const struct invocation_result *result)
{
	static unsigned order;
	struct fake_call *call = context;
	int countdown = fault_countdown;

	fault_countdown = 0;
	CHECK(!call->is_done);
	call->is_done = true;
	call->order = ++order;
	call->outcome = result->outcome;
	call->is_error = result->is_error;
	buf_put(&call->payload, result->payload);
	buf_put(&call->tail, result->tail);
	keep_text(call->version, sizeof(call->version), result->version);
	keep_text(call->content_type, sizeof(call->content_type), result->content_type);
	keep_text(call->detail, sizeof(call->detail), result->detail);
	keep_text(call->throttle_message, sizeof(call->throttle_message), result->throttle_message);
	call->retry_after_s = result->retry_after_s;
	keep_text(call->trace, sizeof(call->trace), result->trace);
	keep_text(call->own_error, sizeof(call->own_error), result->own_error);
	call->has_begun = result->has_begun;
	call->is_stream = result->is_stream;
	fault_countdown = countdown;
}

static void on_begun(void *context, const struct response_start *start)
{
	struct fake_call *call = context;

	CHECK(!call->is_done && start->trace.len > 0);
	call->begun++;
	keep_text(call->version, sizeof(call->version), start->version);
	keep_text(call->content_type, sizeof(call->content_type), start->content_type);
}

static bool on_piece(void *context, str content)
{
	struct fake_call *call = context;
	int countdown = fault_countdown;

	fault_countdown = 0;
	CHECK(call->begun == 1 && !call->is_done && content.len > 0);
	buf_put(&call->pieces, content);
	fault_countdown = countdown;
	return !call->is_full;
}

void fake_invoke(struct fake_node *node, const struct fake_ask *ask, struct fake_call *call)
{
	static const struct response_sink sink = { on_begun, on_piece };

	*call = (struct fake_call){};
	buf_init(&call->pieces, 64 * MIB);
	buf_init(&call->payload, 16 * MIB);
	buf_init(&call->tail, MIB);
	random_uuid(call->request_id);
	int r = engine_invoke(node->engine,
		&(struct invocation_ask){
			.account = str_of(ask->account ? ask->account : "000000000000"),
			.region = S("us-east-1"),
			.name = str_of(ask->name),
			.qualifier = str_of(ask->qualifier),
			.request_id = str_of(call->request_id),
			.payload = str_of(ask->payload ? ask->payload : "{}"),
			.trace = str_of(ask->trace),
			.client_context = str_of(ask->client_context),
			.tenant = str_of(ask->tenant),
			.wants_tail = ask->wants_tail,
			.sink = ask->streams ? &sink : NULL,
			.done = on_invoked,
			.context = call,
		},
		&call->invocation);
	CHECK(r == 0 || r == -ENOMEM);
	CHECK(!call->is_done); /* never from inside */
	if (r == 0)
		return;
	call->is_done = true;
	call->outcome = INVOKE_FAULT;
}

void fake_invoke_name(struct fake_node *node, const char *name, struct fake_call *call)
{
	fake_invoke(node, &(struct fake_ask){ .name = name }, call);
}

static bool call_is_done(void *context)
{
	return ((struct fake_call *)context)->is_done;
}

void fake_await(struct fake_node *node, struct fake_call *call)
{
	fake_until(node, call_is_done, call);
}

void fake_call_done(struct fake_call *call)
{
	buf_done(&call->payload);
	buf_done(&call->pieces);
	buf_done(&call->tail);
}

bool fake_payload_is(const struct fake_call *call, const char *format)
{
	struct buf wanted;
	str rest = str_of(format);
	ptrdiff_t at;

	buf_init(&wanted, MIB);
	while ((at = str_find_str(rest, S("%s"))) >= 0) {
		buf_put(&wanted, str_slice(rest, 0, (size_t)at));
		buf_put(&wanted, str_of(call->request_id));
		rest = str_from(rest, (size_t)at + 2);
	}
	buf_put(&wanted, rest);
	bool is_same = str_eq(buf_str(&wanted), buf_str(&call->payload));
	if (!is_same)
		fprintf(stderr, "  got:  " STR_FMT "\n  want: " STR_FMT "\n",
			STR_ARG(buf_str(&call->payload)), STR_ARG(buf_str(&wanted)));
	buf_done(&wanted);
	return is_same;
}
