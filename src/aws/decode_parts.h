#pragma once
/* What the decoders of the protocols share. For nobody else. */
#include "aws/decode.h"
#include "aws/value.h"

/* Refuse: returns DECODE_REFUSED, or a fault when out of memory. */
[[nodiscard, gnu::format(printf, 3, 4)]] int decode_refuse(
	struct decode *decode, const char *code, const char *format, ...);

/* One level of values deeper; DECODE_REFUSED beyond DECODE_DEPTH_MAX. Leave with depth--. */
[[nodiscard]] int decode_enter(struct decode *decode);

/* Text into `object` under the member's name: a decode_answer or a fault. */
[[nodiscard]] int decode_put_text(
	struct decode *decode, const struct aws_member *member, str text, json_t *object);

/* Percent-decoded text ('+' is a space when `is_form`), in the arena. */
[[nodiscard]] int decode_percent(struct decode *decode, str text, bool is_form, str *ret_text);

/* decode_json.c: the body's members into `in`; a whole value of a shape. */
[[nodiscard]] int decode_json_body(struct decode *decode, json_t *in);
[[nodiscard]] int decode_json_text(
	struct decode *decode, const struct aws_shape *shape, str text, json_t **ret_value);

/* decode_query.c: the parameters of the body, or of the URI, into `in`. */
[[nodiscard]] int decode_query_body(struct decode *decode, json_t *in);

/* decode_rest.c: labels, query, headers and the payload into `in`. */
[[nodiscard]] int decode_rest_head(struct decode *decode, json_t *in);
/* True when the body is one member; then it is in `in`. */
[[nodiscard]] int decode_rest_payload(struct decode *decode, json_t *in, bool *ret_is_done);

/* decode_xml.c: the body's members of a structure into `in`. */
[[nodiscard]] int decode_xml_body(struct decode *decode, const struct aws_shape *shape, json_t *in);
