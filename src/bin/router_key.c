/*
 * The key that temporary credentials are sealed with: made once for a data directory, so that what was given out is still
 * good after a restart. It appears under its name when all of it is on the disk.
 */
#include "bin/router_parts.h"

#include "base/err.h"
#include "os/fd.h"
#include "os/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEY_FILE     "session.key"
#define KEY_NEW_FILE "session.key.new"

/* 0, -ENOENT when there is none, or a fault. */
static int key_read(uint8_t key[static SESSION_KEY_LEN])
{
	char bytes[SESSION_KEY_LEN + 1];
	size_t len = 0;
	scoped_fd fd = open(KEY_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : err_raise(-errno);
	int r = fd_read_all(fd, bytes, sizeof(bytes), &len);
	if (r < 0)
		return err_pass(r);
	if (len != SESSION_KEY_LEN)
		return err_raise(-EBADMSG);
	memcpy(key, bytes, SESSION_KEY_LEN);
	return 0;
}

static int key_make(uint8_t key[static SESSION_KEY_LEN])
{
	scoped_fd fd = open(
		KEY_NEW_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	scoped_fd folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || folder < 0)
		return err_raise(-errno);
	random_bytes(key, SESSION_KEY_LEN);
	int r = fd_write_all(fd, (str){ (const char *)key, SESSION_KEY_LEN });
	if (r < 0)
		return err_pass(r);
	if (fsync(fd) < 0 || rename(KEY_NEW_FILE, KEY_FILE) < 0 || fsync(folder) < 0)
		return err_raise(-errno);
	return 0;
}

int router_open_session_key(uint8_t key[static SESSION_KEY_LEN])
{
	int r = key_read(key);

	return r == -ENOENT ? err_pass(key_make(key)) : err_pass(r);
}
