/*
 * The struct comes from a process of ours that ran as root, so this is no defence against
 * an attacker but against a mismatch of versions and our own mistakes: the warden would
 * otherwise act on them as root. It is mapped, not copied: the seals promise that it
 * never changes.
 */
#include "warden/boot.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static bool boot_is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool boot_is_path(const char *text)
{
	return boot_is_text(text, PACK_PATH_MAX) && text[0] == '/' &&
		str_find_str(str_of(text), S("/../")) < 0;
}

static const char *boot_check_argv(const struct pack_spec *pack)
{
	if (pack->argv_alternatives < 1 || pack->argv_alternatives > 2)
		return "a pack has no program";
	for (uint32_t i = 0; i < pack->argv_alternatives; i++) {
		if (pack->argc[i] < 1 || pack->argc[i] > PACK_ARGV_MAX)
			return "a pack's argument count is out of bounds";
		for (uint32_t k = 0; k < pack->argc[i]; k++)
			if (!boot_is_text(pack->argv[i][k], PACK_PATH_MAX))
				return "a pack's argument is not terminated";
		if (!boot_is_path(pack->argv[i][0]))
			return "a pack's program is not an absolute path";
	}
	return NULL;
}

static const char *boot_check_pack(const struct pack_spec *pack)
{
	if (!boot_is_text(pack->name, sizeof(pack->name)) ||
		!boot_is_text(pack->version, sizeof(pack->version)))
		return "a pack's name is not terminated";
	/* A pack without a folder has nothing at /var/runtime. */
	if (!boot_is_text(pack->folder, PACK_PATH_MAX) ||
		(pack->folder[0] && !boot_is_path(pack->folder)))
		return "a pack's folder is not an absolute path";
	if (pack->bind_count > PACK_BINDS_MAX)
		return "a pack has too many binds";
	for (uint32_t i = 0; i < pack->bind_count; i++)
		if (!boot_is_path(pack->binds[i]))
			return "a pack's bind is not an absolute path";
	return boot_check_argv(pack);
}

/* Every identity its own: the router, the unpacker and each sandbox must not touch another. */
static const char *boot_check_uids(const struct warden_boot *boot)
{
	uint64_t first = boot->sandbox_uid, last = first + boot->sandboxes_max - 1;

	if (!boot->router_uid || !boot->unpack_uid || !boot->sandbox_uid)
		return "an identity is root";
	if (last >= UINT32_MAX)
		return "the sandboxes' identities do not fit";
	if (boot->router_uid == boot->unpack_uid ||
		(boot->router_uid >= first && boot->router_uid <= last) ||
		(boot->unpack_uid >= first && boot->unpack_uid <= last))
		return "identities overlap";
	return NULL;
}

const char *boot_check(const struct warden_boot *boot)
{
	if (boot->magic != BOOT_MAGIC || boot->version != BOOT_VERSION)
		return "mayfly and mayfly-warden are of different versions";
	if (!boot_is_text(boot->listen, sizeof(boot->listen)))
		return "the address is not terminated";
	if (!boot_is_path(boot->data_dir) || !boot_is_path(boot->libexec_dir))
		return "a directory is not an absolute path";
	if (boot->sandboxes_max < 1 || boot->sandboxes_max > SANDBOX_SLOTS_MAX)
		return "sandboxes_max is out of bounds";
	if (boot->log_level > 3 || boot->log_json > 1)
		return "the log's form is out of bounds";
	if (boot->drain_ms_max > 3'600'000)
		return "drain_ms_max is out of bounds";
	if (boot->pack_count > PACKS_MAX)
		return "there are too many packs";
	for (uint32_t i = 0; i < boot->pack_count; i++) {
		const char *reason = boot_check_pack(&boot->packs[i]);
		if (reason)
			return reason;
	}
	return boot_check_uids(boot);
}

int boot_open(int fd, const struct warden_boot **ret_boot, const char **ret_reason)
{
	struct stat st;

	*ret_reason = "it does not come sealed from `mayfly serve`";
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & (F_SEAL_WRITE | F_SEAL_SHRINK)) != (F_SEAL_WRITE | F_SEAL_SHRINK))
		return err_raise(-EINVAL);
	if (fstat(fd, &st) < 0)
		return err_raise(-errno);
	*ret_reason = "its size is that of another version";
	if (st.st_size != sizeof(struct warden_boot))
		return err_raise(-EINVAL);

	const struct warden_boot *boot = mmap(
		NULL, sizeof(struct warden_boot), PROT_READ, MAP_SHARED, fd, 0);
	if (boot == MAP_FAILED)
		return err_raise(-errno);
	*ret_reason = boot_check(boot);
	if (*ret_reason)
		return err_raise(-EINVAL);
	*ret_boot = boot;
	return 0;
}
