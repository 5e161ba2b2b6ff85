/*
 * What a process has open. Most of what a function leaves open while it starts can be had again: a
 * database that it reads, the source of random bytes that a library keeps. A connection that it made
 * then is dead after a restore, as on AWS ("the state of connections isn't guaranteed"), and is found
 * to be closed by the other side. What nobody could give back is refused.
 */
#include "snapshot/save.h"

#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int saver_add_file(struct saver *saver, const char *path, const struct stat *st, uint32_t *ret_file)
{
	struct image_header *header = &saver->header;
	size_t len = strlen(path) + 1;

	/* The mappings of a library follow each other. */
	if (header->file_count > 0 && !S_ISCHR(st->st_mode)) {
		const struct image_file *last = &saver->files[header->file_count - 1];
		if (last->inode == st->st_ino && last->device == st->st_dev) {
			*ret_file = header->file_count - 1;
			return 0;
		}
	}
	if (header->file_count == IMAGE_FILES_MAX || header->paths_len + len > IMAGE_PATHS_MAX)
		return -ENOENT;
	*ret_file = header->file_count++;
	saver->files[*ret_file] = (struct image_file){
		.device = st->st_dev,
		.inode = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_s = st->st_mtim.tv_sec,
		.mtime_ns = st->st_mtim.tv_nsec,
		.special = S_ISCHR(st->st_mode) ? st->st_rdev : 0,
		.path = header->paths_len,
	};
	memcpy(saver->paths + header->paths_len, path, len);
	header->paths_len += len;
	return 0;
}

/* Is it the same pipe, file or device as one of the first three, which will be others? */
static bool descriptor_is_copy(const struct stat *st, uint32_t *ret_other)
{
	struct stat first;

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fstat(fd, &first) == 0 && first.st_dev == st->st_dev &&
			first.st_ino == st->st_ino) {
			*ret_other = (uint32_t)fd;
			return true;
		}
	return false;
}

static bool descriptor_is_connection(int fd)
{
	int type, is_listening;
	socklen_t len = sizeof(type), listening_len = sizeof(is_listening);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &listening_len) == 0 &&
		!is_listening;
}

/* Does its name still lead to it, and is it only read? */
static bool descriptor_is_file(int fd, const struct stat *st, int flags, const char *path)
{
	struct stat found;

	if (!S_ISCHR(st->st_mode) && !(S_ISREG(st->st_mode) && (flags & O_ACCMODE) == O_RDONLY))
		return false;
	return path[0] == '/' && fd >= 0 && stat(path, &found) == 0 && found.st_dev == st->st_dev &&
		found.st_ino == st->st_ino;
}

static int saver_take_descriptor(struct saver *saver, int fd)
{
	struct image_header *header = &saver->header;
	char link[32], path[1024] = "";
	struct stat st;
	int flags = fcntl(fd, F_GETFL), fd_flags = fcntl(fd, F_GETFD);

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t len = readlink(link, path, sizeof(path) - 1);
	path[len > 0 ? len : 0] = '\0';
	if (header->descriptor_count == IMAGE_DESCRIPTORS_MAX)
		return saver_refuse(saver, EBADFD, "there are more than %d open descriptors",
			IMAGE_DESCRIPTORS_MAX);
	if (flags < 0 || fd_flags < 0 || fstat(fd, &st) < 0)
		return saver_refuse(saver, errno, "descriptor %d", fd);
	struct image_descriptor descriptor = {
		.number = (uint32_t)fd,
		.flags = ((uint32_t)flags & ~(uint32_t)O_CREAT) |
			(fd_flags & FD_CLOEXEC ? O_CLOEXEC : 0),
	};
	if (descriptor_is_file(fd, &st, flags, path) &&
		saver_add_file(saver, path, &st, &descriptor.other) == 0) {
		off_t position = lseek(fd, 0, SEEK_CUR);
		descriptor.kind = IMAGE_REOPENED;
		descriptor.position = position > 0 ? (uint64_t)position : 0;
	} else if (descriptor_is_copy(&st, &descriptor.other)) {
		descriptor.kind = IMAGE_COPIED;
	} else if (descriptor_is_connection(fd)) {
		descriptor.kind = IMAGE_HUNG_UP;
	} else {
		return saver_refuse(saver, EBADFD, "descriptor %d is open: %s", fd, path);
	}
	saver->descriptors[header->descriptor_count++] = descriptor;
	return 0;
}

int saver_read_descriptors(struct saver *saver)
{
	scoped_fd dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return saver_refuse(saver, errno, "/proc/self/fd cannot be opened");
	for (;;) {
		long len = syscall(SYS_getdents64, dir, saver->chunk, sizeof(saver->chunk));
		if (len <= 0)
			return len < 0 ? saver_refuse(saver, errno, "/proc/self/fd") : 0;
		for (long at = 0; at < len;) {
			const struct dirent64 *entry = (const void *)(saver->chunk + at);
			int fd = (int)strtol(entry->d_name, NULL, 10);
			bool is_ours = fd <= STDERR_FILENO || fd == saver->image || fd == dir;
			int r = is_ours ? 0 : saver_take_descriptor(saver, fd);
			if (r < 0)
				return r;
			at += entry->d_reclen;
		}
	}
}
