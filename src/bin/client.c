/*
 * The command line's HTTP client. Requests are always signed: a daemon on loopback does not mind, one elsewhere asks
 * for it.
 */
#include "bin/client.h"

#include "base/attr.h"
#include "base/err.h"
#include "os/curl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (64 * MIB)

static const char *environment(const char *name, const char *absent)
{
	const char *value = getenv(name);

	return value && value[0] ? value : absent;
}

void client_init(struct client *client)
{
	*client = (struct client){
		.endpoint = environment("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
		.region = environment("AWS_REGION", environment("AWS_DEFAULT_REGION", "us-east-1")),
		.access_key = environment("AWS_ACCESS_KEY_ID", "mayfly"),
		.secret = environment("AWS_SECRET_ACCESS_KEY", "mayfly"),
		.ca_bundle = environment("AWS_CA_BUNDLE", NULL),
	};
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
	struct client_answer *answer = context;

	buf_put(&answer->body, (str){ bytes, size * count });
	return answer->body.err ? 0 : size * count;
}

static size_t on_field(char *bytes, size_t size, size_t count, void *context)
{
	struct client_answer *answer = context;
	str line = { bytes, size * count }, name;

	if (!str_cut(&line, ':', &name))
		return size * count;
	while (line.len && (line.at[line.len - 1] == '\n' || line.at[line.len - 1] == '\r'))
		line.len--;
	line = str_trim(line);
	if (str_eq_fold(name, S("X-Amz-Function-Error")))
		(void)!str_to_array(line, answer->function_error, sizeof(answer->function_error));
	if (str_eq_fold(name, S("X-Amz-Log-Result")))
		buf_put(&answer->log, line);
	return size * count;
}

static struct curl_slist *request_fields(
	const struct curl_functions *curl, const struct client_request *request)
{
	struct curl_slist *fields = NULL; /* never "Expect:": it would be signed, and not be sent */

	for (size_t i = 0; request->fields && request->fields[i]; i++)
		fields = curl->slist_append(fields, request->fields[i]);
	return fields;
}

static void handle_set(const struct curl_functions *curl, CURL *handle,
	const struct client_request *request, struct client_answer *answer)
{
	curl->easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method);
	curl->easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
	curl->easy_setopt(handle, CURLOPT_WRITEDATA, answer);
	curl->easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_field);
	curl->easy_setopt(handle, CURLOPT_HEADERDATA, answer);
	curl->easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, 10L);
	curl->easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
	if (strcmp(request->method, "GET") == 0)
		return;
	curl->easy_setopt(handle, CURLOPT_POSTFIELDS, request->body.len ? request->body.at : "");
	curl->easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
}

int client_ask(const struct client *client, const struct client_request *request,
	struct client_answer *ret_answer)
{
	char url[2048], signature[128], credentials[512];
	const struct curl_functions *curl = curl_load();

	if (!curl)
		return err_raise(-ELIBACC);
	CURL *handle = curl->easy_init();
	if (!handle)
		return err_raise(-ENOMEM);
	*ret_answer = (struct client_answer){};
	buf_init(&ret_answer->body, ANSWER_MAX);
	buf_init(&ret_answer->log, 64 * KIB);
	snprintf(url, sizeof(url), "%s%s", client->endpoint, request->path);
	snprintf(signature, sizeof(signature), "aws:amz:%s:%s", client->region, request->service);
	snprintf(credentials, sizeof(credentials), "%s:%s", client->access_key, client->secret);
	struct curl_slist *fields = request_fields(curl, request);
	curl->easy_setopt(handle, CURLOPT_URL, url);
	curl->easy_setopt(handle, CURLOPT_AWS_SIGV4, signature);
	curl->easy_setopt(handle, CURLOPT_USERPWD, credentials);
	curl->easy_setopt(handle, CURLOPT_HTTPHEADER, fields);
	if (client->ca_bundle)
		curl->easy_setopt(handle, CURLOPT_CAINFO, client->ca_bundle);
	handle_set(curl, handle, request, ret_answer);
	CURLcode code = curl->easy_perform(handle);
	curl->easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &ret_answer->status);
	curl->slist_free_all(fields);
	curl->easy_cleanup(handle);
	if (code == CURLE_OK)
		return 0;
	fprintf(stderr, "mayfly: %s: %s\n", client->endpoint, curl->easy_strerror(code));
	if (code == CURLE_COULDNT_CONNECT)
		fprintf(stderr,
			"mayfly: is the daemon running? Start it with 'mayfly serve', or set "
			"AWS_ENDPOINT_URL.\n");
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
		fprintf(stderr,
			"mayfly: AWS_CA_BUNDLE names the file (PEM) of the authorities whose certificates are "
			"believed; the name in AWS_ENDPOINT_URL must be one of the certificate's.\n");
	client_answer_done(ret_answer);
	return err_raise(-EIO);
}

void client_answer_done(struct client_answer *answer)
{
	buf_done(&answer->body);
	buf_done(&answer->log);
}
