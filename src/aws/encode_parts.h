#pragma once
/* What the encoders of the protocols share. For nobody else. */
#include "aws/encode.h"
#include "aws/value.h"

/* The members of a structure that are in the body, as a JSON object. */
[[nodiscard]] int encode_json_structure(
	const struct aws_shape *shape, const json_t *object, struct buf *out);
/* Any value. `member` (may be NULL) tells a timestamp's form. */
[[nodiscard]] int encode_json_value(const struct aws_member *member, const struct aws_shape *shape,
	const json_t *value, struct buf *out);
/* Any tree as it is, without a model. */
[[nodiscard]] int encode_json_any(const json_t *value, struct buf *out);

/* The members of a structure that are in the body, as XML elements. */
[[nodiscard]] int encode_xml_members(
	const struct aws_shape *shape, const json_t *object, struct buf *out);
/* The attributes of a structure's element. */
[[nodiscard]] int encode_xml_attributes(
	const struct aws_shape *shape, const json_t *object, struct buf *out);
/* Text between tags. */
void encode_xml_text(struct buf *out, str text);

/* Is an output's member in the body? Labels and parameters are requests' only, and then it is. */
[[nodiscard]] bool encode_is_in_body(const struct aws_member *member);

/* Tell the log of a member that the model does not have. */
void encode_warn_unknown(const struct aws_shape *shape, const json_t *object);
