#pragma once
/* The Lambda Runtime API of an environment: see runtime_api.c. */
#include "base/str.h"

#include <stdbool.h>

enum { ERROR_TYPE_MAX = 64 }; /* of "Runtime.ExitError", with its NUL */

struct environment;
struct http_conn;
struct http_server;
struct invocation;

/* Serve it on this listener (taken; on a fault it is still the caller's). */
[[nodiscard]] int runtime_api_open(struct environment *env, int listener);
/* Serve it on one that a stem had. */
void runtime_api_take(struct environment *env, struct http_server *server);
/* Answer the parked request of a runtime that waits for its function: the environment variables. */
void runtime_api_send_block(struct environment *env, str block);
/* Close all its connections. Not from inside its callbacks; twice is once. */
void runtime_api_close(struct environment *env);
/*
 * Answer the parked GET …/next with the invocation. False when nobody can receive it any more:
 * nothing was said.
 */
[[nodiscard]] bool runtime_api_send(struct environment *env, const struct invocation *invocation);
/* Answer with an error of this type, in the form that Lambda's APIs inside of environments have. */
void runtime_api_refuse(struct http_conn *conn, int status, str type, str message);
/* Answer a response or an error that was taken: 202, held back for the next event. */
void runtime_api_accepted(struct http_conn *conn);
/*
 * The type of an error as Lambda's logs name it: what a runtime says (Lambda-Runtime-Function-
 * Error-Type) when it has the form of Lambda's own types, else "Runtime.Unknown" or
 * "Function.Unknown".
 */
str runtime_api_error_type(str said);
/*
 * Could a request of the runtime still be on its way? After its death: not when all connections are
 * read.
 */
[[nodiscard]] bool runtime_api_is_heard(const struct environment *env);
