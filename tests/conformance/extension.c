/*
 * An external extension as AWS documents them, statically linked, with nothing but sockets: registers, says each event
 * that it gets, and leaves at SHUTDOWN.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char answer[16384];
static char id[64];

static void ask(const char *method, const char *path, const char *fields, const char *body)
{
	char request[2048], host[64];
	const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
	const char *colon = strchr(api, ':');
	size_t len = 0;
	ssize_t n;

	snprintf(host, sizeof(host), "%.*s", (int)(colon - api), api);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(colon + 1)) };
	inet_pton(AF_INET, host, &to.sin_addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		exit(10);
	int size = snprintf(request, sizeof(request),
		"%s /2020-01-01/extension/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s", method,
		path, fields, strlen(body), body);
	if (write(fd, request, (size_t)size) != size)
		exit(11);
	while (len < sizeof(answer) - 1 && (n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
	close(fd);
}

static const char *body(void)
{
	const char *at = strstr(answer, "\r\n\r\n");
	return at ? at + 4 : "";
}

int main(int argc, char **argv)
{
	char fields[256];

	(void)argc;
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(fields, sizeof(fields), "Lambda-Extension-Name: %s\r\n", basename(argv[0]));
	ask("POST", "register", fields, "{\"events\":[\"INVOKE\",\"SHUTDOWN\"]}");
	const char *given = strcasestr(answer, "Lambda-Extension-Identifier: ");
	if (!given)
		return 12;
	snprintf(id, sizeof(id), "%.36s", given + strlen("Lambda-Extension-Identifier: "));
	snprintf(fields, sizeof(fields), "Lambda-Extension-Identifier: %s\r\n", id);
	for (;;) {
		ask("GET", "event/next", fields, "");
		printf("static: %s\n", body());
		if (strstr(body(), "\"SHUTDOWN\""))
			return 0;
	}
}
