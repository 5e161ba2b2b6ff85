#pragma once
/*
 * Which function a call is about: the FunctionName parameter in all its forms, the Qualifier beside it or inside it, and
 * what both lead to in the store. Also the words in which Lambda refuses.
 */
#include "aws/call.h"
#include "services/lambda/records.h"

/* Refuse with an error of type "User": return lambda_refuse(call, "ResourceNotFoundException", "…", …); */
#define lambda_refuse(call, code, ...) \
	((call)->error_type = S("User"), call_error((call), (code), __VA_ARGS__))

/* The same for the few that AWS answers without a type. */
#define lambda_refuse_untyped(call, code, ...) \
	((call)->error_type = S(""), call_error((call), (code), __VA_ARGS__))

#define INVALID	     "InvalidParameterValueException"
#define NOT_FOUND    "ResourceNotFoundException"
#define CONFLICT     "ResourceConflictException"
#define PRECONDITION "PreconditionFailedException"

/* A once-function's answer: what it has read is old by now, begin again. See lambda_retry(). */
enum { LAMBDA_AGAIN = 2 };

/* The world of the caller: its account and region. */
struct lambda_scope lambda_scope_of(const struct call *call);

struct lambda_ref {
	struct lambda_scope
		scope; /* the function's; its account may be another one than the caller's */
	str name;
	str qualifier; /* as given in the name or as the parameter; empty when in neither */
};

/*
 * Read FunctionName and Qualifier. 0; CALL_ERROR when it names another region, a function of another account whose policy
 * does not let the caller do this, or two qualifiers that differ; or a fault.
 */
[[nodiscard]] int lambda_ref_read(struct call *call, struct lambda_ref *ret_ref);

/* The same for operations on the function as a whole: any qualifier is refused. */
[[nodiscard]] int lambda_ref_read_function(struct call *call, struct lambda_ref *ret_ref);

/* The same for operations on what may still change: "$LATEST" is fine (and dropped), a version or alias is refused. */
[[nodiscard]] int lambda_ref_read_latest(struct call *call, struct lambda_ref *ret_ref);

/* arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER], in the arena. */
str lambda_arn(const struct lambda_scope *scope, str name, str qualifier);

/* ResourceNotFoundException "Function not found: ARN", with a qualifier when it is not empty. Returns CALL_ERROR. */
[[nodiscard]] int lambda_not_found(struct call *call, const struct lambda_ref *ref, str qualifier);

/*
 * Read the function: 0, CALL_ERROR (not found, named with `shown` as its qualifier), or a fault. States whose follow-up
 * was lost are finished first.
 */
[[nodiscard]] int lambda_function_read(struct call *call, const struct lambda_ref *ref, str shown,
	struct function_record *ret_function);

/* What a function's qualifier leads to. Zeroed is empty. */
struct lambda_found {
	struct function_record function;
	json_t *config;	     /* borrowed: the configuration of the version */
	json_t *version_doc; /* NULL: $LATEST */
	json_t *alias_doc;   /* NULL: not by an alias */
};

/* Lets go of it. */
void lambda_found_done(struct lambda_found *found);
#define scoped_found [[gnu::cleanup(lambda_found_done)]] struct lambda_found

/* From found->function to what the qualifier names below it: RECORD_FOUND, RECORD_ABSENT or a fault. */
[[nodiscard]] int lambda_found_follow(struct lambda_found *found, str qualifier);

/* Read what the reference leads to: 0, CALL_ERROR (function, version or alias not found), or a fault. */
[[nodiscard]] int lambda_find(
	struct call *call, const struct lambda_ref *ref, struct lambda_found *ret_found);

/*
 * Does this version exist below the function ("$LATEST" or digits)? On RECORD_FOUND *ret_version_doc is the caller's,
 * NULL for $LATEST, and *ret_config is borrowed from it or from the function.
 */
[[nodiscard]] int lambda_version_read(const struct function_record *function, str version,
	json_t **ret_version_doc, json_t **ret_config);

/* Functions with a TenancyConfig cannot have this: 0 or CALL_ERROR. The configuration never changes. */
[[nodiscard]] int lambda_check_no_tenants(
	struct call *call, const struct function_record *function, const char *what);

/*
 * Run `once` until its answer is not LAMBDA_AGAIN: for changes that were refused by the store because something else
 * changed meanwhile. call->out is emptied before each try.
 */
typedef int lambda_once_fn(struct call *call, const struct lambda_ref *ref, void *context);
[[nodiscard]] int lambda_retry(
	struct call *call, const struct lambda_ref *ref, lambda_once_fn *once, void *context);

/* Commit a change of this function and let the engine know: 0, LAMBDA_AGAIN or a fault. */
[[nodiscard]] int lambda_commit(struct batch *batch, str name);

/* The RevisionId parameter, when given, must be this one: 0 or CALL_ERROR. */
[[nodiscard]] int lambda_check_revision(struct call *call, str current);
/* The same of what another operation than GetFunction or GetAlias answers: `getter` is named in the refusal. */
[[nodiscard]] int lambda_check_revision_by(struct call *call, str current, const char *getter);
