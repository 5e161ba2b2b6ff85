/*
 * The entry of decoding, and what the protocols' decoders share.
 *
 * Decoding recurses along the model; the depth is bounded by DECODE_DEPTH_MAX because some shapes
 * contain themselves. A body on disk is mapped, so that its pages are the kernel's and not ours.
 * What a request must be (required, lengths, patterns) is not looked at here: constraints.c does
 * that on the tree, whatever the protocol was.
 */
#include "aws/decode.h"

#include "aws/cut.h"
#include "aws/decode_parts.h"
#include "base/err.h"
#include "os/fd.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

int decode_refuse(struct decode *decode, const char *code, const char *format, ...)
{
	struct buf text;
	va_list args;

	buf_init(&text, DECODE_MESSAGE_MAX);
	va_start(args, format);
	buf_vputf(&text, format, args);
	va_end(args);
	decode->code = code;
	decode->message = arena_str(decode->arena, buf_str(&text));
	buf_done(&text);
	return decode->message.at ? DECODE_REFUSED : err_raise(-ENOMEM);
}

int decode_enter(struct decode *decode)
{
	if (decode->depth == DECODE_DEPTH_MAX)
		return err_pass(decode_refuse(
			decode, "SerializationException", "The request is nested too deeply."));
	decode->depth++;
	return DECODE_DONE;
}

int decode_put_text(
	struct decode *decode, const struct aws_member *member, str text, json_t *object)
{
	json_t *value;

	int r = value_from_text(member->shape, text, &value);
	if (r == VALUE_BAD)
		return err_pass(decode_refuse(decode, "SerializationException",
			"class java.lang.String can not be converted to an %s",
			value_kind_name(member->shape)));
	if (r < 0)
		return err_pass(r);
	return err_pass(json_put(object, member->name.at, value));
}

int decode_percent(struct decode *decode, str text, bool is_form, str *ret_text)
{
	struct buf plain;

	if (str_find(text, '%') < 0 && (!is_form || str_find(text, '+') < 0)) {
		*ret_text = text;
		return DECODE_DONE;
	}
	buf_init(&plain, text.len);
	int r = 0;
	str piece;
	while (r == 0 && is_form && str_cut(&text, '+', &piece)) {
		r = uri_decode(piece, &plain);
		buf_put_char(&plain, ' ');
	}
	if (r == 0)
		r = uri_decode(text, &plain);
	str copy = arena_str(decode->arena, buf_str(&plain));
	r = plain.err ? plain.err : r;
	buf_done(&plain);
	if (r == -EINVAL)
		return err_pass(decode_refuse(
			decode, "SerializationException", "A percent escape is malformed."));
	if (r < 0 || !copy.at)
		return err_raise(r < 0 ? r : -ENOMEM);
	*ret_text = copy;
	return DECODE_DONE;
}

/* A body on disk becomes a view. */
static int decode_map(struct decode *decode)
{
	struct stat st;

	if (decode->body_fd <= 0)
		return 0;
	if (fstat(decode->body_fd, &st) < 0)
		return err_raise(-errno);
	if (st.st_size == 0)
		return 0;
	void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, decode->body_fd, 0);
	if (at == MAP_FAILED)
		return err_raise(-errno);
	decode->mapped = at;
	decode->mapped_len = (size_t)st.st_size;
	decode->body = (str){ at, (size_t)st.st_size };
	return 0;
}

static int decode_rest(struct decode *decode, json_t *in)
{
	bool is_done = false;

	int r = decode_rest_head(decode, in);
	if (r == DECODE_DONE)
		r = decode_rest_payload(decode, in, &is_done);
	if (r != DECODE_DONE || is_done)
		return err_pass(r);
	if (decode->service->protocol == AWS_REST_JSON)
		return err_pass(decode_json_body(decode, in));
	return err_pass(decode_xml_body(decode, decode->route->operation->input, in));
}

/* A body that is the service's own to read, and not a customer's bytes. */
static bool decode_is_structured(const struct decode *decode)
{
	const struct aws_shape *input = decode->route->operation->input;

	for (size_t i = 0; i < input->member_count; i++) {
		if (input->members[i].is_payload && value_is_scalar(input->members[i].shape))
			return false;
	}
	return true;
}

static int decode_into(struct decode *decode, json_t *in)
{
	str coding = http_field(decode->head, S("Content-Encoding"));

	if (!decode->route->operation->input)
		return DECODE_DONE;
	/* Of the other two protocols it was unpacked before the operation was known. */
	bool is_rest = decode->service->protocol == AWS_REST_JSON ||
		decode->service->protocol == AWS_REST_XML;
	if (is_rest && str_ends(coding, S("gzip")) && decode_is_structured(decode))
		return err_pass(decode_refuse(decode, "NotImplementedException",
			"Requests compressed with gzip are not available in mayfly yet."));
	int r = decode_map(decode);
	if (r < 0)
		return err_pass(r);

	switch (decode->service->protocol) {
	case AWS_JSON:
		return err_pass(decode_json_body(decode, in));
	case AWS_QUERY:
		return err_pass(decode_query_body(decode, in));
	case AWS_REST_JSON:
	case AWS_REST_XML:
		return err_pass(decode_rest(decode, in));
	default:
		return err_pass(decode_refuse(decode, "NotImplementedException",
			"The protocol of this service is not available in mayfly yet."));
	}
}

int decode_request(struct decode *decode, json_t **ret_in)
{
	json_t *in = json_object();

	if (!in)
		return err_raise(-ENOMEM);
	int r = decode_into(decode, in);
	if (r != DECODE_DONE) {
		json_decref(in);
		return err_pass(r);
	}
	*ret_in = in;
	return DECODE_DONE;
}

void decode_done(struct decode *decode)
{
	cuts_free(decode->cuts);
	decode->cuts = NULL;
	if (decode->mapped)
		(void)munmap(decode->mapped, decode->mapped_len);
	decode->mapped = NULL;
	if (decode->blob_fd > 0)
		fd_close(&decode->blob_fd);
	decode->blob_fd = 0;
}
