/*
 * Telling services apart. One endpoint serves them all, so each request has to say whom it is for;
 * clients do, in one of five ways. X-Amz-Target comes first because it is the most precise: several services
 * may share the name in a signature's scope. A request for a service that AWS has and mayfly has
 * not is recognised too: its error names it.
 */
#include "aws/identify.h"

static void take_service(const struct call_service *service, struct identity *identity)
{
	identity->service = service;
	identity->model = service->model;
	identity->protocol = service->model->protocol;
}

/*
 * How well a row of the catalog fits a name: services share names in scopes, and then the one whose
 * own name it is comes first. 0: not at all.
 */
static int row_fits(const struct aws_catalog_row *row, str name)
{
	if (str_eq(row->name, name))
		return 3;
	if (str_eq(row->signing_name, name))
		return 2;
	return str_eq(row->endpoint_prefix, name);
}

/* "lambda" as scopes, hosts and folders write it. */
static bool find_by_name(const struct front_options *options, str name, struct identity *identity)
{
	int best = 0;

	for (size_t i = 0; i < options->service_count; i++) {
		const struct aws_service *model = options->services[i]->model;
		if (str_eq(model->signing_name, name) || str_eq(model->endpoint_prefix, name)) {
			take_service(options->services[i], identity);
			return true;
		}
	}
	for (size_t i = 0; i < aws_catalog_count; i++) {
		int fits = row_fits(&aws_catalog[i], name);
		if (fits <= best)
			continue;
		best = fits;
		identity->row = &aws_catalog[i];
		identity->protocol = aws_catalog[i].protocol;
	}
	return best > 0;
}

/* "Logs_20140328.FilterLogEvents" */
static bool find_by_target(
	const struct front_options *options, str target, struct identity *identity)
{
	str rest = target, prefix;

	if (!target.len || !str_cut(&rest, '.', &prefix))
		return false;
	for (size_t i = 0; i < options->service_count; i++) {
		const struct aws_service *model = options->services[i]->model;
		if (model->target_prefix.len && str_eq(model->target_prefix, prefix)) {
			take_service(options->services[i], identity);
			return true;
		}
	}
	for (size_t i = 0; i < aws_catalog_count; i++) {
		if (aws_catalog[i].target_prefix.len &&
			str_eq(aws_catalog[i].target_prefix, prefix)) {
			identity->row = &aws_catalog[i];
			identity->protocol = AWS_JSON;
			return true;
		}
	}
	return false;
}

static str parameter(str text, str name)
{
	str key, value;

	while (uri_query_next(&text, &key, &value)) {
		if (str_eq(key, name))
			return value.at ? value : S("");
	}
	return (str){};
}

static str form_of(const struct http_head *head, str body)
{
	str type = http_field(head, S("Content-Type"));

	return str_starts_fold(type, S("application/x-www-form-urlencoded")) ? body : (str){};
}

str identify_action(const struct http_head *head, str body)
{
	str action = parameter(head->query, S("Action"));

	return action.at ? action : parameter(form_of(head, body), S("Action"));
}

str identify_target(const struct http_head *head)
{
	str rest = http_field(head, S("X-Amz-Target")), prefix;

	return rest.len && str_cut(&rest, '.', &prefix) ? rest : (str){};
}

/* Query services are told by the version of their API, and by having the action. */
static bool find_by_action(const struct front_options *options, const struct http_head *head,
	str body, struct identity *identity)
{
	str action = identify_action(head, body);
	str version = parameter(head->query, S("Version"));

	if (!action.at)
		return false;
	if (!version.at)
		version = parameter(form_of(head, body), S("Version"));
	for (size_t i = 0; i < options->service_count; i++) {
		const struct aws_service *model = options->services[i]->model;
		if ((model->protocol == AWS_QUERY || model->as_query) &&
			str_eq(model->api_version, version) && aws_operation_find(model, action)) {
			take_service(options->services[i], identity);
			return true;
		}
	}
	for (size_t i = 0; i < aws_catalog_count; i++) {
		if (str_eq(aws_catalog[i].api_version, version) &&
			(aws_catalog[i].protocol == AWS_QUERY ||
				aws_catalog[i].protocol == AWS_EC2)) {
			identity->row = &aws_catalog[i];
			identity->protocol = AWS_QUERY;
			return true;
		}
	}
	return false;
}

/* "lambda.us-east-1.amazonaws.com", "lambda.localhost:4566" */
static bool find_by_host(const struct front_options *options, const struct http_head *head,
	struct identity *identity)
{
	str rest = http_field(head, S("Host")), first;

	return str_cut(&rest, '.', &first) &&
		!(first.len && first.at[0] >= '0' && first.at[0] <= '9') &&
		find_by_name(options, first, identity);
}

/* Lambda's paths begin with the date of an API version and one of these. */
static bool path_is_lambda(str path)
{
	static const char *const words[] = { "functions", "event-source-mappings", "layers",
		"account-settings", "tags", "code-signing-configs" };
	str rest = str_from(path, 1), date, word;

	if (path.len < 13 || path.at[0] != '/' || !str_cut(&rest, '/', &date) || date.len != 10 ||
		date.at[4] != '-' || date.at[7] != '-')
		return false;
	if (!str_next(&rest, '/', &word))
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_eq(word, str_of(words[i])))
			return true;
	}
	return false;
}

/* By whatever the request has, the most precise first. */
static void find(const struct front_options *options, const struct http_head *head, str body,
	struct identity *identity)
{
	if (find_by_target(options, http_field(head, S("X-Amz-Target")), identity))
		return;
	if (identity->claim.present && find_by_name(options, identity->claim.service, identity))
		return;
	if (find_by_action(options, head, body, identity))
		return;
	if (path_is_lambda(head->path) && find_by_name(options, S("lambda"), identity))
		return;
	(void)find_by_host(options, head, identity);
}

/* A presigned URL has its token percent-encoded. */
static void take_session(const uint8_t *key, struct identity *identity)
{
	const struct sigv4_claim *claim = &identity->claim;
	char text[2 * SESSION_TOKEN_MAX];
	struct buf plain;

	if (!key || !claim->present || !claim->token.len)
		return;
	buf_init_over(&plain, text, sizeof(text));
	if (claim->presigned && uri_decode(claim->token, &plain) != 0)
		return;
	str token = claim->presigned ? buf_str(&plain) : claim->token;
	identity->has_session = !plain.err &&
		session_open(key, token, &identity->session, &identity->credentials) &&
		str_eq(str_of(identity->credentials.access_key), claim->access_key);
}

void identify_signer(const struct front_options *options, const struct http_head *head,
	struct identity *ret_identity)
{
	*ret_identity = (struct identity){ .protocol = AWS_REST_JSON };
	ret_identity->is_claim_malformed = sigv4_claim(head, &ret_identity->claim) != 0;
	take_session(options->session_key, ret_identity);
}

void identify(const struct front_options *options, const struct http_head *head, str body,
	struct identity *ret_identity)
{
	struct identity *identity = ret_identity;

	identify_signer(options, head, identity);
	find(options, head, body, identity);
	/* SQS and CloudWatch were query services: older clients still talk, and listen, like that. */
	if (identity->protocol != AWS_JSON || http_field(head, S("X-Amz-Target")).len ||
		!identify_action(head, body).at)
		return;
	if (identity->model && !identity->model->as_query)
		return;
	if (identity->model)
		identity->model = identity->model->as_query;
	identity->protocol = AWS_QUERY;
}
