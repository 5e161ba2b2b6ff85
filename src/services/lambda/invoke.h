#pragma once
/*
 * The Invoke and InvokeWithResponseStream operations. Synchronous invocations are taken on the loop thread, straight from the connection to the
 * engine; what needs the store first (Event, DryRun, names that lead elsewhere) goes the way of every other call.
 */
#include "aws/call.h"

struct front_caller;
struct http_conn;
struct http_request;
struct platform;

/* Of an invocation without, and with, X-Amz-Tenant-Id: InvalidParameterValueException. */
#define TENANT_MISSING                                                                          \
	"The invoked function is enabled with tenancy configuration. Add a valid tenant ID in " \
	"your request and try again."
#define TENANT_UNWANTED                                                                      \
	"The invoked function is not enabled with tenancy configuration. Remove the tenant " \
	"ID from your request and try again."

/*
 * The front's fast path (see aws/front.h): takes a synchronous invocation and answers it later; false when the request
 * must go the common way. Loop thread.
 */
bool lambda_invoke_fast(void *context, struct http_conn *conn, struct http_request *request,
	const struct front_caller *caller);

/* The common way, for both: DryRun, Event, and the errors of everything that the fast path does not take. */
int op_invoke(struct call *call);
/* The old operation: Event with another address. */
int op_invoke_async(struct call *call);
