/*
 * The struct comes from a process of ours that ran as root, so this is no defence against
 * an attacker but against a mismatch of versions and our own mistakes: the warden would
 * otherwise act on them as root. It is mapped, not copied: the seals promise that it
 * never changes.
 */
#include "warden/warden.h"

#include "base/err.h"
#include "os/fd.h"

#include <errno.h>
#include <string.h>

static bool boot_is_path(const char text[static PACK_PATH_MAX])
{
	return text[0] == '/' && !text[PACK_PATH_MAX - 1] && !strstr(text, "/../");
}

static bool boot_is_pack(const struct pack_spec *pack)
{
	bool is_fine = !pack->name[sizeof(pack->name) - 1] &&
		!pack->version[sizeof(pack->version) - 1] && pack->bind_count <= PACK_BINDS_MAX &&
		pack->argv_alternatives >= 1 && pack->argv_alternatives <= 2;

	/* One without a folder has nothing at /var/runtime. */
	is_fine = is_fine && (!pack->folder[0] || boot_is_path(pack->folder));
	for (uint32_t i = 0; is_fine && i < pack->bind_count; i++)
		is_fine = boot_is_path(pack->binds[i]);
	for (uint32_t i = 0; is_fine && i < pack->argv_alternatives; i++) {
		is_fine = pack->argc[i] >= 1 && pack->argc[i] <= PACK_ARGV_MAX &&
			boot_is_path(pack->argv[i][0]);
		for (uint32_t k = 1; is_fine && k < pack->argc[i]; k++)
			is_fine = !pack->argv[i][k][PACK_PATH_MAX - 1];
	}
	return is_fine;
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
	if (boot->listen[sizeof(boot->listen) - 1])
		return "the address is not terminated";
	if (!boot_is_path(boot->data_dir) || !boot_is_path(boot->libexec_dir) ||
		(boot->config[0] && !boot_is_path(boot->config)) ||
		(boot->tls_cert[0] &&
			!(boot_is_path(boot->tls_cert) && boot_is_path(boot->tls_key))))
		return "a path is not absolute";
	if (boot->sandboxes_max < 1 || boot->sandboxes_max > SANDBOX_SLOTS_MAX)
		return "sandboxes_max is out of bounds";
	if (boot->log_level > 3 || boot->log_json > 1 || boot->has_listener > 1)
		return "the log's form, or a flag, is out of bounds";
	if (boot->drain_ms_max > 3'600'000)
		return "drain_ms_max is out of bounds";
	if (boot->pack_count > PACKS_MAX)
		return "there are too many packs";
	for (uint32_t i = 0; i < boot->pack_count; i++)
		if (!boot_is_pack(&boot->packs[i]))
			return "a runtime pack makes no sense";
	return boot_check_uids(boot);
}

int boot_open(int fd, const struct warden_boot **ret_boot, const char **ret_reason)
{
	const void *boot;

	int r = fd_map_sealed(fd, sizeof(struct warden_boot), &boot);
	*ret_reason = r == -EINVAL ? "its size is that of another version"
				   : "it does not come sealed from `mayfly serve`";
	if (r == 0)
		*ret_reason = boot_check(boot);
	if (*ret_reason)
		return err_raise(-EINVAL);
	*ret_boot = boot;
	return 0;
}
