/*
 * Reader of serve's lines. They come through the warden, which has not looked at them; a line that is not understood
 * means that the two programs are not of one build.
 */
#include "bin/router_settings.h"

#include "base/err.h"
#include "base/mem.h"
#include "engine/runtimes.h"
#include "os/fd.h"

#include <errno.h>
#include <unistd.h>

enum { LINES_MAX = 1024 * 1024 };

struct reader {
	struct settings *settings;
	struct runtimes *runtimes;
	struct runtime_pack pack;
	bool has_pack;
	uint32_t packs;
	struct buf error;
};

static int reader_end_pack(struct reader *reader)
{
	if (!reader->has_pack)
		return 0;
	reader->has_pack = false;
	reader->pack.index = reader->packs++;
	return err_pass(runtimes_add(reader->runtimes, &reader->pack));
}

static int pack_line(struct runtime_pack *pack, str name, str value)
{
	str word;

	if (str_eq(name, S("pack.version"))) {
		pack->version = value;
	} else if (str_eq(name, S("pack.language"))) {
		pack->language = value;
	} else if (str_eq(name, S("pack.runtimes"))) {
		pack->names = value;
	} else if (str_eq(name, S("pack.start"))) {
		pack->start = str_eq(value, S("fork")) ? START_FORK : START_EXEC;
		pack->has_stem = !str_eq(value, S("exec"));
	} else if (str_eq(name, S("pack.start_env"))) {
		pack->start_env = value;
	} else if (str_eq(name, S("pack.is_incomplete"))) {
		pack->is_incomplete = str_eq(value, S("yes"));
	} else if (str_eq(name, S("pack.env"))) {
		while (value.len && str_next(&value, ' ', &word)) {
			if (!word.len)
				continue;
			if (pack->env_count == RUNTIME_ENV_MAX)
				return err_raise(-E2BIG);
			pack->env[pack->env_count++] = word;
		}
	} else {
		return err_raise(-EPROTO);
	}
	return 0;
}

static int reader_line(struct reader *reader, str line)
{
	str name;

	if (!str_cut(&line, '=', &name))
		return err_raise(-EPROTO);
	if (str_eq(name, S("pack"))) {
		int r = reader_end_pack(reader);
		reader->pack = (struct runtime_pack){ .name = line };
		reader->has_pack = true;
		return err_pass(r);
	}
	if (str_eq(name, S("pinned")))
		return settings_pin(reader->settings, line) ? 0 : err_raise(-EPROTO);
	if (reader->has_pack)
		return err_pass(pack_line(&reader->pack, name, line));
	int r = settings_set(reader->settings, name, line, "serve", &reader->error);
	return r > 0 ? err_raise(-EPROTO) : err_pass(r);
}

int router_settings_read(int fd, struct settings *settings, struct runtimes *runtimes)
{
	struct reader reader = { .settings = settings, .runtimes = runtimes };
	char *text = mem_new(1, LINES_MAX);
	size_t len = 0;

	if (!text)
		return err_raise(-ENOMEM);
	buf_init(&reader.error, 4096);
	/* All routers that the warden starts, one after the other, share this file and its position. */
	int r = lseek(fd, 0, SEEK_SET) < 0 ? err_raise(-errno)
					   : fd_read_all(fd, text, LINES_MAX, &len);
	str rest = { text, len }, line;
	while (r == 0 && str_cut(&rest, '\n', &line))
		r = reader_line(&reader, line);
	if (r == 0)
		r = reader_end_pack(&reader);
	buf_done(&reader.error);
	mem_free(text);
	return err_pass(r);
}
