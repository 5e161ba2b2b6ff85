#pragma once
/*
 * A service's API as AWS publishes it, as tables: tools/modelgen writes one
 * `const struct aws_service aws_service_NAME` per service at build time.
 */
#include "base/str.h"

enum aws_protocol { AWS_REST_JSON, AWS_JSON, AWS_QUERY, AWS_REST_XML, AWS_EC2 };

enum aws_shape_kind {
	AWS_STRUCTURE,
	AWS_LIST,
	AWS_MAP,
	AWS_STRING,
	AWS_INTEGER,
	AWS_LONG,
	AWS_DOUBLE,
	AWS_FLOAT,
	AWS_BOOLEAN,
	AWS_TIMESTAMP,
	AWS_BLOB,
};

enum aws_location {
	AWS_IN_BODY,
	AWS_IN_URI,
	AWS_IN_QUERY,
	AWS_IN_HEADER,
	AWS_IN_HEADERS,
	AWS_IN_STATUS
};

enum aws_time_format { AWS_TIME_DEFAULT, AWS_TIME_UNIX, AWS_TIME_ISO8601, AWS_TIME_RFC822 };

struct aws_shape;

struct aws_member {
	str name;      /* the model's member name: the key in trees */
	str wire_name; /* locationName, or the name */
	const struct aws_shape *shape;
	uint8_t location; /* enum aws_location */
	uint8_t time_format;
	bool required;
	bool is_payload; /* the structure's payload member */
	bool is_streaming;
	bool is_idempotency_token;
	bool is_flattened; /* xml, query */
	bool is_attribute; /* xml */
	bool is_named;	   /* the model gives wire_name */
	bool is_json;	   /* a header with JSON in base64 */
	bool host_label;
	bool deprecated;
	str xml_namespace, xml_prefix;
};

struct aws_shape {
	str name;
	uint8_t kind; /* enum aws_shape_kind */
	uint8_t time_format;
	bool is_sensitive;
	bool is_flattened;
	bool is_document; /* a structure that is any JSON */
	bool is_union;
	bool is_sparse; /* lists and maps: nulls count as elements */
	bool is_event_stream;
	bool has_min, has_max;
	double min, max;	   /* length of strings, blobs, lists and maps; value of numbers */
	str pattern;		   /* as published; empty: none */
	str regex;		   /* the same as PCRE2 spells it; empty: as published */
	_Atomic(void *) *compiled; /* where the compiled pattern is kept; NULL without a pattern */
	const str *enums;	   /* strings only */
	size_t enum_count;
	const struct aws_member *members; /* structures */
	size_t member_count;
	const struct aws_shape *element;	/* lists; maps: the value */
	const struct aws_shape *key;		/* maps */
	str element_name, key_name, value_name; /* xml and query names; empty: the default */
	str xml_name;				/* of its element as a body; empty: the default */
	str xml_namespace;
	/* error structures */
	bool is_error;
	int status;	/* HTTP */
	str error_code; /* the code on the wire when it is not the name */
	bool is_fault;
};

struct aws_operation {
	str name;
	str method; /* "POST" */
	str uri; /* "/2015-03-31/functions/{FunctionName}/code?x=y" : path with labels, optional fixed query */
	int status;			/* of success */
	const struct aws_shape *input;	/* NULL: none */
	const struct aws_shape *output; /* NULL: none */
	const struct aws_shape *const *errors;
	size_t error_count;
	str output_wrapper; /* query: "GetCallerIdentityResult" */
	bool unsigned_ok;   /* authtype none */
};

struct aws_service {
	str name;	  /* botocore's folder: "lambda" */
	str service_id;	  /* "Lambda" */
	str signing_name; /* credential scope */
	str endpoint_prefix;
	str target_prefix; /* X-Amz-Target, json protocols */
	str json_version;
	str api_version;
	str xml_namespace;
	uint8_t protocol;			/* enum aws_protocol */
	const struct aws_operation *operations; /* sorted by name */
	size_t operation_count;
	const struct aws_shape *shapes;
	size_t shape_count;
	bool is_query_compatible; /* json: errors carry the code of the query protocol too */
	const struct aws_service
		*as_query; /* the same in the query protocol, which older clients speak; or NULL */
};

/* A service that AWS has, built here or not: the table of all is aws_catalog, sorted by name. */
struct aws_catalog_row {
	str name;
	str signing_name;
	str endpoint_prefix;
	str target_prefix; /* json protocols */
	str api_version;
	uint8_t protocol; /* enum aws_protocol */
};
extern const struct aws_catalog_row aws_catalog[];
extern const size_t aws_catalog_count;

/* The services that are built in; tools/modelgen writes one for each name in meson.build. */
extern const struct aws_service aws_service_cloudwatch;
extern const struct aws_service aws_service_iam;
extern const struct aws_service aws_service_lambda;
extern const struct aws_service aws_service_logs;
extern const struct aws_service aws_service_sts;

/* The operation of that name, or NULL. */
[[nodiscard]] const struct aws_operation *aws_operation_find(
	const struct aws_service *service, str name);

/* The member of a structure by the model's name, or NULL. */
[[nodiscard]] const struct aws_member *aws_member_find(const struct aws_shape *structure, str name);

/* The structure of an error of this service by the model's name, or NULL. */
[[nodiscard]] const struct aws_shape *aws_error_find(const struct aws_service *service, str name);
