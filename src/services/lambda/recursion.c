/*
 * What happens to a function that is invoked in a recursive loop: a member of its document, which load.c hands to the
 * engine. Without one loops are stopped ("Terminate").
 */
#include "base/err.h"
#include "services/lambda/names.h"
#include "services/lambda/operations.h"
#include "services/lambda/tree.h"

#include <errno.h>

static str recursion_of(const struct function_record *function)
{
	str kept = json_get_str(function->doc, "RecursiveLoop");

	return kept.len ? kept : S("Terminate");
}

int lambda_get_function_recursion_config(struct call *call)
{
	scoped_function function = {};
	struct tree out = { .at = call->out };
	struct lambda_ref ref;

	int r = lambda_ref_read_function(call, &ref);
	if (r == 0)
		r = lambda_function_read(call, &ref, S(""), &function);
	if (r)
		return err_pass(r);
	tree_put_str(&out, "RecursiveLoop", recursion_of(&function));
	return err_pass(out.err);
}

static int put_once(struct call *call, const struct lambda_ref *ref, void *context)
{
	scoped_function function = {};
	struct batch batch = { .scope = &ref->scope };
	struct tree out = { .at = call->out };

	(void)context;
	int r = lambda_function_read(call, ref, S(""), &function);
	if (r)
		return err_pass(r);
	struct tree doc = { .at = function.doc };
	tree_put_str(&doc, "RecursiveLoop", call_str(call, "RecursiveLoop"));
	if (doc.err)
		return err_pass(doc.err);
	batch_put_function(&batch, &function);
	r = lambda_commit(&batch, ref->name);
	if (r)
		return err_pass(r);
	tree_put_str(&out, "RecursiveLoop", recursion_of(&function));
	return err_pass(out.err);
}

int lambda_put_function_recursion_config(struct call *call)
{
	struct lambda_ref ref;

	int r = lambda_ref_read_function(call, &ref);
	return r ? err_pass(r) : err_pass(lambda_retry(call, &ref, put_once, NULL));
}
