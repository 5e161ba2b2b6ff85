/* The key is wiped from where it was read to: only the library keeps it. */
#include "bin/tls_files.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "bin/settings.h"
#include "os/fd.h"
#include "tls/identity.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static_assert((int)TLS_FILE_MAX <= (int)TLS_PEM_MAX);

static int files_read(
	const int files[static TLS_FILES], char *text, str ret_texts[static TLS_FILES])
{
	for (int i = 0; i < TLS_FILES; i++) {
		char *at = text + (size_t)i * TLS_FILE_MAX;
		size_t len;
		/* /dev/null has no position, and needs none. */
		if (lseek(files[i], 0, SEEK_SET) < 0)
			return err_raise(-errno);
		int r = fd_read_all(files[i], at, TLS_FILE_MAX, &len);
		if (r < 0)
			return err_pass(r);
		ret_texts[i] = (str){ at, len };
	}
	return 0;
}

int tls_files_read(const int files[static TLS_FILES], const struct settings *settings,
	struct buf *error, struct tls_identity **ret_identity)
{
	char *text = mem_new(TLS_FILES, TLS_FILE_MAX);
	struct tls_identity *identity = NULL;
	str texts[TLS_FILES];

	if (!text)
		return err_raise(-ENOMEM);
	int r = files_read(files, text, texts);
	if (r == 0 && (texts[TLS_CERT].len || texts[TLS_KEY].len))
		r = tls_identity_new(
			&(struct tls_identity_options){
				.cert = texts[TLS_CERT],
				.key = texts[TLS_KEY],
				.cert_path = settings_text(settings, SET_TLS_CERT),
				.key_path = settings_text(settings, SET_TLS_KEY),
			},
			error, &identity);
	explicit_bzero(text, (size_t)TLS_FILES * TLS_FILE_MAX);
	mem_free(text);
	if (r == 0)
		*ret_identity = identity;
	return r < 0 ? err_pass(r) : r;
}
