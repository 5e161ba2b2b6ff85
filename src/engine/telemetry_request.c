/*
 * What a subscription asks for, as a pure function: the bytes of a body to a struct, or words for all that is wrong with
 * it, as AWS puts them together ("URI port is not provided; types should not be empty").
 */
#include "engine/telemetry_request.h"

#include "base/attr.h"

#include <jansson.h>
#include <stdio.h>

enum {
	ITEMS_MAX = 10'000,
	BYTES_MIN = 262'144,
	BYTES_MAX = 1'048'576,
	TIMEOUT_MS_MIN = 25,
	TIMEOUT_MS_MAX = 30'000
};

static void fault(struct buf *faults, const char *words)
{
	if (faults->len)
		buf_put(faults, S("; "));
	buf_put(faults, str_of(words));
}

static str json_text(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) ? (str){ json_string_value(value), json_string_length(value) }
				     : S("");
}

/* --- the parts of a request --- */

static void parse_types(struct buf *faults, const json_t *body, struct telemetry_wish *to)
{
	static const struct {
		str name;
		enum telemetry_type type;
	} types[] = { { S_INIT("platform"), TELEMETRY_PLATFORM },
		{ S_INIT("function"), TELEMETRY_FUNCTION },
		{ S_INIT("extension"), TELEMETRY_EXTENSION } };
	const json_t *list = json_object_get(body, "types"), *item;
	size_t i;

	if (!json_array_size(list))
		fault(faults, "types should not be empty");
	json_array_foreach(list, i, item)
	{
		str name = { json_string_value(item), json_string_length(item) };
		unsigned bit = 0;
		for (size_t k = 0; json_is_string(item) && k < ARRAY_LEN(types); k++)
			bit |= str_eq(name, types[k].name) ? types[k].type : 0;
		if (!bit) {
			fault(faults, "types should be one of platform, function, extension");
			return;
		}
		to->types |= bit;
	}
}

static uint32_t parse_number(struct buf *faults, const json_t *object, const char *name,
	uint32_t least, uint32_t most, uint32_t by_default)
{
	const json_t *value = json_object_get(object, name);
	json_int_t number = json_integer_value(value);
	char words[96];

	if (!value || json_is_null(value))
		return by_default;
	if (json_is_integer(value) && number >= least && number <= most)
		return (uint32_t)number;
	(void)snprintf(words, sizeof(words), "%s should be between %u and %u", name, least, most);
	fault(faults, words);
	return by_default;
}

/* Neither of the two that are the platform's. */
static bool is_free_port(uint64_t port)
{
	return port != 9001 && port != 4566;
}

static bool is_path(str path)
{
	for (size_t i = 0; i < path.len; i++)
		if (path.at[i] <= ' ' || path.at[i] >= 0x7f)
			return false;
	return path.len < TELEMETRY_PATH_MAX;
}

/* "http://sandbox.localdomain:${PORT}/${PATH}": its own network, and nothing else. */
static void parse_uri(struct buf *faults, str uri, struct telemetry_wish *to)
{
	static const char *const hosts[] = { "sandbox.localdomain", "sandbox", "localhost",
		"127.0.0.1" };
	str rest, host;
	uint64_t port = 0;
	bool is_here = false;

	if (!str_starts(uri, S("http://"))) {
		fault(faults, "URI should start with http://");
		return;
	}
	rest = str_from(uri, 7);
	ptrdiff_t slash = str_find(rest, '/');
	str path = slash < 0 ? S("/") : str_from(rest, (size_t)slash);
	rest = slash < 0 ? rest : str_slice(rest, 0, (size_t)slash);
	if (!str_cut(&rest, ':', &host)) {
		fault(faults, "URI port is not provided");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		is_here |= str_eq(host, str_of(hosts[i]));
	if (!is_here)
		fault(faults, "URI host should be sandbox.localdomain");
	if (str_to_u64(rest, 65'535, &port) < 0 || port == 0 || !is_free_port(port))
		fault(faults, "URI port is not valid");
	if (!is_path(path))
		fault(faults, "URI path is not valid");
	if (faults->len)
		return;
	to->port = (uint16_t)port;
	(void)str_to_array(host, to->host, sizeof(to->host));
	(void)str_to_array(path, to->path, sizeof(to->path));
}

/* "TCP – … newline delimited JSON (NDJSON)": {"protocol": "TCP", "port": 8080} */
static void parse_port(struct buf *faults, const json_t *destination, struct telemetry_wish *to)
{
	const json_t *port = json_object_get(destination, "port");
	json_int_t number = json_integer_value(port);

	to->is_tcp = true;
	if (!port)
		fault(faults, "port should not be empty");
	else if (!json_is_integer(port) || number < 1 || number > 65'535 ||
		!is_free_port((uint64_t)number))
		fault(faults, "port is not valid");
	else
		to->port = (uint16_t)number;
}

static void parse_destination(struct buf *faults, const json_t *body, struct telemetry_wish *to)
{
	const json_t *destination = json_object_get(body, "destination");
	str protocol = json_text(destination, "protocol");
	str method = json_text(destination, "method");

	if (!json_is_object(destination))
		fault(faults, "destination should not be empty");
	else if (str_eq(protocol, S("TCP")))
		parse_port(faults, destination, to);
	else if (!str_eq(protocol, S("HTTP")))
		fault(faults, "protocol should be HTTP or TCP");
	else if (json_object_get(destination, "method") && !str_eq(method, S("POST")) &&
		!str_eq(method, S("PUT")))
		fault(faults, "method should be POST or PUT");
	else
		parse_uri(faults, json_text(destination, "URI"), to);
	to->is_put = str_eq(method, S("PUT"));
}

static void parse_schema(struct buf *faults, const json_t *body, bool is_logs_api)
{
	static const char *const telemetry[] = { "2022-07-01", "2022-12-13", "2025-01-29" },
				 *const logs[] = { "2020-08-15", "2021-03-18" };
	str version = json_text(body, "schemaVersion");
	bool is_known = is_logs_api && !version.len; /* it is optional there */

	for (size_t i = 0; i < ARRAY_LEN(telemetry) && !is_logs_api; i++)
		is_known |= str_eq(version, str_of(telemetry[i]));
	for (size_t i = 0; i < ARRAY_LEN(logs) && is_logs_api; i++)
		is_known |= str_eq(version, str_of(logs[i]));
	if (!is_known)
		fault(faults, "schemaVersion is not valid");
}

static void parse_request(
	struct buf *faults, const json_t *body, bool is_logs_api, struct telemetry_wish *to)
{
	const json_t *buffering = json_object_get(body, "buffering");

	to->is_logs_api = is_logs_api;
	parse_schema(faults, body, is_logs_api);
	parse_destination(faults, body, to);
	parse_types(faults, body, to);
	to->items_max = parse_number(faults, buffering, "maxItems", is_logs_api ? 1'000 : 25,
		ITEMS_MAX, is_logs_api ? 10'000 : 1'000);
	to->bytes_max = parse_number(
		faults, buffering, "maxBytes", BYTES_MIN, BYTES_MAX, BYTES_MIN);
	to->timeout_ms = parse_number(
		faults, buffering, "timeoutMs", TIMEOUT_MS_MIN, TIMEOUT_MS_MAX, 1'000);
}

bool telemetry_parse(
	str bytes, bool is_logs_api, struct telemetry_wish *ret_wish, struct buf *faults)
{
	json_error_t error;
	json_t *body = json_loadb(bytes.at, bytes.len, 0, &error);

	*ret_wish = (struct telemetry_wish){};
	if (json_is_object(body))
		parse_request(faults, body, is_logs_api, ret_wish);
	else
		fault(faults, "the body should be a JSON object");
	json_decref(body);
	return faults->len == 0;
}
