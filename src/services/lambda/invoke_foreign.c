/*
 * A synchronous invocation of a function of another account.
 *
 *	loop: ask ──► worker: the function's policy ──► loop: begin the invocation, or refuse
 *
 * It waits for a worker and a look into the store each time, which an account's own functions do not. The request stays in
 * the connection meanwhile, as with all that is answered later.
 */
#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "engine/platform.h"
#include "http/server.h"
#include "model/limits.h"
#include "services/lambda/caller.h"
#include "services/lambda/invoke_parts.h"

#include <stdio.h>

enum { FOREIGN_ARENA_MAX = 1024 * 1024, REFUSAL_MAX = 2048, REGION_MAX = 64, QUALIFIER_MAX = 129 };

/* One that waits. Owned by its work; without a connection when the client has gone. */
struct foreign_invoke {
	struct front_user user;
	struct work work;
	struct platform *platform;
	struct http_conn *conn;
	struct http_request *request;
	struct lambda_caller caller;
	char region[REGION_MAX];
	char request_id[UUID_LEN + 1];
	char owner[SESSION_ACCOUNT_LEN + 1];
	char name[LIMIT_FUNCTION_NAME + 1];
	char qualifier[QUALIFIER_MAX];
	bool is_allowed;
	int fault;
};

static struct lambda_scope foreign_scope(const struct foreign_invoke *self, struct arena *arena)
{
	return (struct lambda_scope){ .platform = self->platform,
		.arena = arena,
		.account = str_of(self->owner),
		.region = str_of(self->region) };
}

static void foreign_run(struct work *work)
{
	struct foreign_invoke *self = list_entry(work, struct foreign_invoke, work);
	struct arena arena;

	arena_init(&arena, FOREIGN_ARENA_MAX);
	const struct lambda_scope scope = foreign_scope(self, &arena);
	self->fault = lambda_caller_may(&self->caller, &scope, str_of(self->name),
		str_of(self->qualifier), S("lambda:InvokeFunction"), &self->is_allowed);
	arena_done(&arena);
}

static void foreign_refuse(struct foreign_invoke *self)
{
	struct arena arena;
	struct buf text;

	arena_init(&arena, FOREIGN_ARENA_MAX);
	buf_init(&text, REFUSAL_MAX);
	const struct lambda_scope scope = foreign_scope(self, &arena);
	lambda_caller_put_refusal(&self->caller, S("lambda:InvokeFunction"),
		lambda_arn(&scope, str_of(self->name), str_of(self->qualifier)), &text);
	invoke_reply_error(self->conn, self->request_id,
		&(struct invoke_error){ .status = 403,
			.type = "AccessDeniedException",
			.message_member = "Message",
			.message = buf_str(&text) });
	buf_done(&text);
	arena_done(&arena);
}

static void foreign_answer(struct foreign_invoke *self)
{
	if (self->fault < 0) {
		err_log(self->fault, "read the policy of another account's function");
		invoke_reply_error(self->conn, self->request_id,
			&(struct invoke_error){ .status = 500,
				.type = "ServiceException",
				.message_member = "Message",
				.message = S("The function's policy could not be read.") });
	} else if (!self->is_allowed) {
		foreign_refuse(self);
	} else {
		invoke_allowed(self->platform, self->conn, self->request,
			&(struct front_caller){ .account = str_of(self->caller.account),
				.region = str_of(self->region),
				.request_id = str_of(self->request_id) });
	}
}

static void foreign_done(struct work *work)
{
	struct foreign_invoke *self = list_entry(work, struct foreign_invoke, work);

	if (self->conn) {
		http_conn_set_user(self->conn, NULL);
		foreign_answer(self);
	}
	mem_free(self);
}

static void foreign_gone(struct front_user *user)
{
	struct foreign_invoke *self = list_entry(user, struct foreign_invoke, user);

	self->conn = NULL;
}

bool invoke_foreign(struct platform *platform, struct http_conn *conn, struct http_request *request,
	const struct front_caller *caller, const struct function_name *name, str qualifier)
{
	struct foreign_invoke *self = mem_one(struct foreign_invoke);
	if (!self)
		return false;

	self->user.gone = foreign_gone;
	self->work = (struct work){ .run = foreign_run, .done = foreign_done };
	self->platform = platform;
	self->conn = conn;
	self->request = request;
	lambda_caller_init(&self->caller, caller->account, caller->region, caller->session);
	int r = str_to_array(caller->region, self->region, sizeof(self->region));
	if (r == 0)
		r = str_to_array(caller->request_id, self->request_id, sizeof(self->request_id));
	if (r == 0)
		r = str_to_array(name->account, self->owner, sizeof(self->owner));
	if (r == 0)
		r = str_to_array(name->name, self->name, sizeof(self->name));
	if (r == 0)
		r = str_to_array(qualifier, self->qualifier, sizeof(self->qualifier));
	if (r == 0)
		r = loop_work(platform->loop, &self->work);
	if (r < 0) {
		err_log(r, "ask a policy about an invocation");
		mem_free(self);
		return false;
	}
	http_conn_set_user(conn, self);
	return true;
}
