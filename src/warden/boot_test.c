#include "base/test.h"
#include "os/fd.h"
#include "warden/warden.h"

#include <errno.h>
#include <string.h>

static struct warden_boot boot;

/* One that makes sense. */
static void boot_fill(void)
{
	boot = (struct warden_boot){ .magic = BOOT_MAGIC,
		.version = BOOT_VERSION,
		.listen = "127.0.0.1:4566",
		.data_dir = "/var/lib/mayfly",
		.libexec_dir = "/usr/libexec/mayfly",
		.router_uid = 100,
		.unpack_uid = 101,
		.sandbox_uid = 1000,
		.sandboxes_max = 10,
		.pack_count = 1 };
	boot.packs[0] = (struct pack_spec){ .name = "provided",
		.argv_alternatives = 1,
		.argc = { 1 },
		.argv = { { "/var/task/bootstrap" } } };
}

static bool is_fine(void)
{
	return boot_check(&boot) == NULL;
}

static void one_that_makes_sense_is_taken(void)
{
	boot_fill();
	CHECK(is_fine());
	memcpy(boot.packs[0].folder, "/usr/share/mayfly/python", 25);
	boot.packs[0].bind_count = 1;
	memcpy(boot.packs[0].binds[0], "/opt/python", 12);
	CHECK(is_fine());
}

/* Spoil one thing, look, mend it. */
#define CHECK_REFUSES(spoil)                 \
	do {                                 \
		boot_fill();                 \
		spoil;                       \
		CHECK(!is_fine() && #spoil); \
	} while (0)

static void nonsense_is_refused(void)
{
	CHECK_REFUSES(boot.magic = 0);
	CHECK_REFUSES(boot.version++);
	CHECK_REFUSES(memset(boot.listen, 'x', sizeof(boot.listen)));
	CHECK_REFUSES(boot.config[0] = 'v');
	CHECK_REFUSES(memcpy(boot.tls_cert, "/one", 5));
	CHECK_REFUSES((memcpy(boot.tls_cert, "one", 4), memcpy(boot.tls_key, "/two", 5)));
	CHECK_REFUSES((memcpy(boot.tls_cert, "/one", 5), memcpy(boot.tls_key, "two", 4)));
	CHECK_REFUSES(boot.has_listener = 2);
	CHECK_REFUSES(boot.data_dir[0] = 'v');
	CHECK_REFUSES(memset(boot.data_dir, '/', sizeof(boot.data_dir)));
	CHECK_REFUSES(memcpy(boot.data_dir, "/var/../etc", 12));
	CHECK_REFUSES(boot.libexec_dir[0] = '\0');
	CHECK_REFUSES(boot.sandboxes_max = 0);
	CHECK_REFUSES(boot.sandboxes_max = SANDBOX_SLOTS_MAX + 1);
	CHECK_REFUSES(boot.log_level = 4);
	CHECK_REFUSES(boot.log_json = 2);
	CHECK_REFUSES(boot.drain_ms_max = UINT32_MAX);
	CHECK_REFUSES(boot.pack_count = PACKS_MAX + 1);
}

static void identities_must_be_apart_and_not_root(void)
{
	CHECK_REFUSES(boot.router_uid = 0);
	CHECK_REFUSES(boot.unpack_uid = 0);
	CHECK_REFUSES(boot.sandbox_uid = 0);
	CHECK_REFUSES(boot.unpack_uid = boot.router_uid);
	CHECK_REFUSES(boot.router_uid = 1000);
	CHECK_REFUSES(boot.router_uid = 1009);
	CHECK_REFUSES(boot.unpack_uid = 1005);
	CHECK_REFUSES(boot.sandbox_uid = UINT32_MAX - 9);
	boot_fill();
	boot.router_uid = 1010; /* the first after the sandboxes */
	CHECK(is_fine());
}

static void a_pack_that_makes_no_sense_is_refused(void)
{
	struct pack_spec *pack = &boot.packs[0];

	CHECK_REFUSES(memset(pack->name, 'x', sizeof(pack->name)));
	CHECK_REFUSES(memset(pack->version, 'x', sizeof(pack->version)));
	CHECK_REFUSES(memcpy(pack->folder, "folder", 7));
	CHECK_REFUSES(pack->bind_count = PACK_BINDS_MAX + 1);
	CHECK_REFUSES(pack->bind_count = 1);
	CHECK_REFUSES(pack->argv_alternatives = 0);
	CHECK_REFUSES(pack->argv_alternatives = 3);
	CHECK_REFUSES(pack->argv_alternatives = 2);
	CHECK_REFUSES(pack->argc[0] = 0);
	CHECK_REFUSES(pack->argc[0] = PACK_ARGV_MAX + 1);
	CHECK_REFUSES(memcpy(pack->argv[0][0], "bootstrap", 10));
	CHECK_REFUSES((pack->argc[0] = 2, memset(pack->argv[0][1], 'x', sizeof(pack->argv[0][1]))));
	/* The second pack counts too. */
	CHECK_REFUSES(boot.pack_count = 2);
}

static void only_a_sealed_struct_of_the_right_size_is_opened(void)
{
	const struct warden_boot *mapped = NULL;
	const char *reason = NULL;
	scoped_fd whole = -1, cut = -1, nonsense = -1;

	boot_fill();
	CHECK(fd_sealed("boot", (str){ (char *)&boot, sizeof(boot) }, &whole) == 0);
	CHECK(boot_open(whole, &mapped, &reason) == 0);
	CHECK(mapped && !memcmp(mapped, &boot, sizeof(boot)));
	mapped = NULL;
	CHECK(fd_sealed("boot", (str){ (char *)&boot, sizeof(boot) - 1 }, &cut) == 0);
	CHECK(boot_open(cut, &mapped, &reason) == -EINVAL && !mapped && reason);
	boot.magic = 0;
	CHECK(fd_sealed("boot", (str){ (char *)&boot, sizeof(boot) }, &nonsense) == 0);
	CHECK(boot_open(nonsense, &mapped, &reason) == -EINVAL && !mapped && reason);
	CHECK(boot_open(0, &mapped, &reason) == -EINVAL && !mapped && reason); /* not sealed */
}

TESTS(TEST(one_that_makes_sense_is_taken), TEST(nonsense_is_refused),
	TEST(identities_must_be_apart_and_not_root), TEST(a_pack_that_makes_no_sense_is_refused),
	TEST(only_a_sealed_struct_of_the_right_size_is_opened))
