/*
 * Paths are of two kinds: those of the boot struct, which root wrote; and code by digest, which is
 * opened beneath its directory. A tree gets its flags while it is nowhere yet, so there is no
 * moment in which it is visible and writable.
 */
#include "warden/grafts.h"

#include "base/err.h"
#include "os/fd.h"
#include "os/mount.h"
#include "warden/warden.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>

enum { READ_ONLY = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV };

/* The next tree, at this path. */
static void grafts_add(struct grafts *grafts, int tree, const char *path)
{
	assert(grafts->count < GRAFTS_MAX);
	(void)snprintf(grafts->paths[grafts->count], PACK_PATH_MAX, "%s", path);
	grafts->trees[grafts->count++] = tree;
}

static int grafts_add_dir(struct grafts *grafts, int dir, const char *from, const char *path)
{
	int tree = -1;

	int r = mount_detached(dir, from, READ_ONLY, &tree);
	if (r < 0)
		return err_raise(r);
	grafts_add(grafts, tree, path);
	return 0;
}

static int grafts_add_code(const struct warden *w, struct grafts *grafts,
	const uint8_t digest[static DIGEST_LEN], const char *path)
{
	scoped_fd dir = -1;

	int r = places_open_code(w->places.code, digest, &dir);
	return r < 0 ? err_raise(r) : err_pass(grafts_add_dir(grafts, dir, "", path));
}

/*
 * "Lambda extracts the layer contents into /opt … in the order that you added the layers": where
 * two have the same file, the later one's is seen. Several are one read-only overlay.
 */
static int grafts_add_layers(
	const struct warden *w, struct grafts *grafts, const struct spawn_function *function)
{
	uint32_t count = function->layer_count;
	int dirs[FRAME_LAYERS_MAX] = { -1, -1, -1, -1, -1 }, r = 0, tree = -1;

	if (count < 2)
		return count ? err_pass(grafts_add_code(w, grafts, function->layers[0], "opt")) : 0;
	for (uint32_t i = 0; i < count && r == 0; i++) /* the uppermost first */
		r = places_open_code(w->places.code, function->layers[count - 1 - i], &dirs[i]);
	if (r == 0)
		r = mount_overlay(dirs, count, READ_ONLY, &tree);
	for (uint32_t i = 0; i < count; i++)
		fd_close(&dirs[i]);
	if (r < 0)
		return err_raise(r);
	grafts_add(grafts, tree, "opt");
	return 0;
}

static int grafts_add_pack(struct grafts *grafts, const struct pack_spec *pack)
{
	int r = pack->folder[0] ? grafts_add_dir(grafts, AT_FDCWD, pack->folder, "var/runtime") : 0;

	for (uint32_t i = 0; i < pack->bind_count && r == 0; i++) {
		r = grafts_add_dir(grafts, AT_FDCWD, pack->binds[i], pack->binds[i] + 1);
		grafts->bind_count++;
	}
	return err_pass(r);
}

int grafts_make(const struct warden *w, const struct spawn_function *function,
	const struct pack_spec *pack, struct grafts *ret_grafts)
{
	struct grafts *grafts = ret_grafts;

	grafts->count = grafts->bind_count = 0;
	grafts->step = "code";
	int r = function->has_code ? grafts_add_code(w, grafts, function->code, "var/task") : 0;
	if (r == 0 && function->has_code) {
		grafts->step = "layers";
		r = grafts_add_layers(w, grafts, function);
	}
	if (r == 0 && pack) {
		grafts->step = "runtime";
		r = grafts_add_pack(grafts, pack);
	}
	if (r < 0)
		grafts_close(grafts);
	return err_pass(r);
}

void grafts_close(struct grafts *grafts)
{
	for (uint32_t i = 0; i < grafts->count; i++)
		fd_close(&grafts->trees[i]);
	grafts->count = 0;
}
