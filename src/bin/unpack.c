/*
 * mayfly-unpack BYTES_MAX ENTRIES_MAX: unpack the ZIP on descriptor 0 into the working
 * directory and say on descriptor 1 how it went (struct unpack_report).
 *
 * It runs jailed (warden/jail.c): it has nothing but these, and is not believed. Still it refuses
 * what a ZIP for Lambda has no business with: names that lead outside, links to write
 * through, hard links, devices, encryption. What it writes can be read by everybody and
 * changed by nobody: the files of one function are read by its sandboxes, as another user.
 */
#include "base/str.h"
#include "wire/frames.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 60, READ_BLOCK = 64 * 1024 }; /* less deep than whoever walks through it dares */

struct unpack {
	struct archive *in;
	struct archive *out;
	uint64_t bytes, bytes_max;
	uint64_t entries, entries_max;
	int error; /* errno of a fault */
};

/* A name that stays inside: relative, without `..`, and not too deep. */
static bool name_is_good(const char *name)
{
	str rest = str_of(name), part;
	unsigned depth = 0;

	if (rest.len == 0 || rest.at[0] == '/')
		return false;
	while (str_next(&rest, '/', &part)) {
		if (str_eq(part, S("..")))
			return false;
		depth += part.len > 0 && !str_eq(part, S("."));
	}
	return depth > 0 && depth <= DEPTH_MAX;
}

/* `./`, which some tools write first: there already. */
static bool name_is_top(const char *name)
{
	return !strcmp(name, "./") || !strcmp(name, ".");
}

/* Refuse, or make it harmless. */
static int entry_check(struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);
	mode_t type = archive_entry_filetype(entry);

	if (!name || !name_is_good(name) || archive_entry_hardlink(entry) ||
		archive_entry_is_encrypted(entry))
		return UNPACK_NOT_A_ZIP;
	if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
		return UNPACK_NOT_A_ZIP;
	mode_t wanted = archive_entry_perm(entry);
	bool is_open = type == AE_IFDIR || (wanted & 0111);
	archive_entry_set_perm(entry, is_open ? 0755 : 0644);
	return UNPACK_DONE;
}

/* What libarchive says about the ZIP, and about our disk, are different things. */
static int unpack_fault(struct unpack *u, struct archive *whose)
{
	int error = archive_errno(whose);

	if (whose == u->in || error <= 0 || error == ELOOP || error == EEXIST || error == ENOTDIR ||
		error == EISDIR || error == ENAMETOOLONG || error == EINVAL || error == EILSEQ)
		return UNPACK_NOT_A_ZIP;
	u->error = error;
	return UNPACK_FAULT;
}

static int unpack_data(struct unpack *u)
{
	for (;;) {
		const void *block;
		size_t len;
		la_int64_t at;
		int r = archive_read_data_block(u->in, &block, &len, &at);
		if (r == ARCHIVE_EOF)
			return UNPACK_DONE;
		if (r < ARCHIVE_WARN)
			return unpack_fault(u, u->in);
		u->bytes += len;
		if (u->bytes > u->bytes_max)
			return UNPACK_TOO_LARGE;
		if (archive_write_data_block(u->out, block, len, at) < ARCHIVE_OK)
			return unpack_fault(u, u->out);
	}
}

static int unpack_entry(struct unpack *u, struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);

	if (++u->entries > u->entries_max)
		return UNPACK_TOO_LARGE;
	if (name && name_is_top(name))
		return UNPACK_DONE;
	int r = entry_check(entry);
	if (r != UNPACK_DONE)
		return r;
	/* What it says of its size is not trusted, but a lie is a broken ZIP. */
	if (archive_entry_size_is_set(entry) && (uint64_t)archive_entry_size(entry) > u->bytes_max)
		return UNPACK_TOO_LARGE;
	if (archive_write_header(u->out, entry) < ARCHIVE_WARN)
		return unpack_fault(u, u->out);
	if (archive_entry_filetype(entry) == AE_IFREG) {
		r = unpack_data(u);
		if (r != UNPACK_DONE)
			return r;
	}
	return archive_write_finish_entry(u->out) < ARCHIVE_WARN ? unpack_fault(u, u->out)
								 : UNPACK_DONE;
}

static int unpack_all(struct unpack *u)
{
	for (;;) {
		struct archive_entry *entry;
		int r = archive_read_next_header(u->in, &entry);
		if (r == ARCHIVE_EOF)
			return UNPACK_DONE;
		if (r < ARCHIVE_WARN)
			return unpack_fault(u, u->in);
		r = unpack_entry(u, entry);
		if (r != UNPACK_DONE)
			return r;
	}
}

/* With the central directory, as AWS reads them: its modes and links are there only. */
static int unpack_open(struct unpack *u)
{
	u->in = archive_read_new();
	u->out = archive_write_disk_new();
	if (!u->in || !u->out) {
		u->error = ENOMEM;
		return UNPACK_FAULT;
	}
	(void)archive_write_disk_set_options(u->out,
		ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
			ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS);
	if (lseek(STDIN_FILENO, 0, SEEK_SET) < 0) {
		u->error = errno;
		return UNPACK_FAULT;
	}
	if (archive_read_support_format_zip_seekable(u->in) != ARCHIVE_OK ||
		archive_read_open_fd(u->in, STDIN_FILENO, READ_BLOCK) != ARCHIVE_OK)
		return unpack_fault(u, u->in);
	return UNPACK_DONE;
}

int main(int argc, char **argv)
{
	struct unpack u = {};

	if (argc != 3 || str_to_u64(str_of(argv[1]), UINT64_MAX, &u.bytes_max) < 0 ||
		str_to_u64(str_of(argv[2]), UINT64_MAX, &u.entries_max) < 0)
		return 64;
	(void)umask(022);
	/* Names are UTF-8, whatever the locale of who started us. */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	int answer = unpack_open(&u);
	if (answer == UNPACK_DONE)
		answer = unpack_all(&u);
	/* Closing sets the times of directories. */
	if (u.out && archive_write_close(u.out) < ARCHIVE_WARN && answer == UNPACK_DONE)
		answer = unpack_fault(&u, u.out);

	struct unpack_report report = { (uint32_t)answer, (uint32_t)u.error, u.bytes };
	if (write(STDOUT_FILENO, &report, sizeof(report)) != (ssize_t)sizeof(report))
		return 70;
	return answer;
}
