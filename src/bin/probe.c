/*
 * Probes and their cache.
 *
 * The cache is a text file of lines: path, modification time, size, question, answer, separated by tabs. A
 * program that was replaced has another time or size, and is asked again. It is written whole to a new file that
 * takes the old one's place, so that a crash leaves one or the other.
 */
#include "bin/probe.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CACHE_MAX = 256 * 1024, OUTPUT_MAX = 4096 };

bool probe_is_trusted(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IXUSR) &&
		st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static _Noreturn void probe_child(const char *const *argv, int output)
{
	static const char *const environment[] = { "PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(null, 2) < 0)
		_exit(127);
	execve(argv[0], (char *const *)argv, (char *const *)environment);
	_exit(127);
}

/* Read until the end of the output or the deadline. */
static int probe_read(const struct probe *probe, char *to, size_t size, size_t *ret_len)
{
	size_t len = 0;

	while (len < size) {
		uint64_t now_ms = clock_mono_ms();
		struct pollfd poll_fd = { .fd = probe->output, .events = POLLIN };
		if (now_ms >= probe->until_ms ||
			poll(&poll_fd, 1, (int)(probe->until_ms - now_ms)) == 0)
			return err_raise(-ETIMEDOUT);
		ssize_t n = read(probe->output, to + len, size - len);
		if (n < 0 && errno != EINTR)
			return err_raise(-errno);
		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

int probe_begin(const char *const *argv, struct probe *ret_probe)
{
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_raise(-errno);
	pid_t pid = fork();
	if (pid == 0)
		probe_child(argv, pipe_fds[1]);
	int error = errno;
	close(pipe_fds[1]);
	if (pid < 0) {
		close(pipe_fds[0]);
		return err_raise(-error);
	}
	*ret_probe = (struct probe){ pid, pipe_fds[0], clock_mono_ms() + PROBE_MS_MAX };
	return 0;
}

static int probe_reap(struct probe *probe)
{
	int status;

	close(probe->output);
	while (waitpid(probe->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

int probe_end(struct probe *probe, char *to, size_t size)
{
	char output[OUTPUT_MAX];
	size_t len = 0;

	int r = probe_read(probe, output, sizeof(output), &len);
	if (r < 0)
		kill(probe->pid, SIGKILL);
	int status = probe_reap(probe);
	if (r < 0)
		return err_pass(r);

	str rest = { output, len }, line;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !str_cut(&rest, '\n', &line) ||
		!line.len)
		return err_raise(-EPROTO);
	return str_to_array(line, to, size) < 0 ? err_raise(-EPROTO) : 0;
}

void probe_cancel(struct probe *probe)
{
	kill(probe->pid, SIGKILL);
	(void)probe_reap(probe);
}

int probe_run(const char *const *argv, char *to, size_t size)
{
	struct probe probe;

	int r = probe_begin(argv, &probe);
	return r < 0 ? err_pass(r) : err_pass(probe_end(&probe, to, size));
}

/* --- the cache --- */

struct probe_cache {
	char path[PATH_MAX];
	struct buf text;
	bool is_changed;
};

struct probe_cache *probe_cache_open(const char *path)
{
	if (!path || strlen(path) >= PATH_MAX)
		return NULL;
	struct probe_cache *cache = mem_one(struct probe_cache);
	if (!cache)
		return NULL;

	size_t len = 0;
	snprintf(cache->path, sizeof(cache->path), "%s", path);
	buf_init(&cache->text, CACHE_MAX);
	scoped_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && buf_reserve(&cache->text, CACHE_MAX / 2) == 0 &&
		fd_read_all(fd, cache->text.at, CACHE_MAX / 2, &len) == 0)
		cache->text.len = len;
	return cache;
}

static bool cache_key(struct buf *key, const char *program, const char *what)
{
	struct stat st;

	if (stat(program, &st) < 0)
		return false;
	buf_putf(key, "%s\t%lld.%09ld\t%lld\t%s\t", program, (long long)st.st_mtim.tv_sec,
		st.st_mtim.tv_nsec, (long long)st.st_size, what);
	return !key->err;
}

bool probe_cache_get(
	struct probe_cache *cache, const char *program, const char *what, char *to, size_t size)
{
	struct buf key;
	bool is_found = false;

	if (!cache)
		return false;
	buf_init(&key, PATH_MAX + 256);
	if (cache_key(&key, program, what)) {
		str rest = buf_str(&cache->text), line;
		while (!is_found && str_cut(&rest, '\n', &line)) {
			if (str_starts(line, buf_str(&key)))
				is_found = str_to_array(str_from(line, key.len), to, size) == 0;
		}
	}
	buf_done(&key);
	return is_found;
}

void probe_cache_put(
	struct probe_cache *cache, const char *program, const char *what, const char *answer)
{
	if (!cache || !cache_key(&cache->text, program, what))
		return;
	buf_put(&cache->text, str_of(answer));
	buf_put_char(&cache->text, '\n');
	cache->is_changed = true;
}

static void cache_write(struct probe_cache *cache)
{
	char path[PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s.new", cache->path);
	scoped_fd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	/* Only a cache: without it the next start takes a moment longer. */
	if (fd < 0 || fd_write_all(fd, buf_str(&cache->text)) < 0 || rename(path, cache->path) < 0)
		unlink(path);
}

void probe_cache_close(struct probe_cache *cache)
{
	if (!cache)
		return;
	if (cache->is_changed && !cache->text.err)
		cache_write(cache);
	buf_done(&cache->text);
	mem_free(cache);
}
