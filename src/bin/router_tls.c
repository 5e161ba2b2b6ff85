/*
 * The router's certificate: at the start the one that the warden hands over, and after each SIGHUP, if it is a good one, what the
 * files have then. The files are root's; we get copies. A pair that is wrong changes nothing, and the warden, which is told so,
 * goes on giving the last good one to routers that it starts.
 */
#include "bin/router_parts.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "bin/tls_files.h"
#include "engine/warden_client.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/loop.h"
#include "tls/identity.h"
#include "wire/timestamp.h"

#include <errno.h>
#include <unistd.h>

/* So long before its end an operator hears of it at each reading. */
enum { WARN_SECONDS = 7 * 86'400 };

/* What was taken, and whether clients will take it. */
static void identity_tell(const struct tls_identity *identity, const char *event)
{
	uint64_t now_s = clock_real_ms() / 1000, expires_s = tls_identity_expires_s(identity);
	char text[32];
	struct buf expires;

	buf_init_over(&expires, text, sizeof(text));
	timestamp_put_iso8601(&expires, expires_s * 1000, false);
	log_info(event, LOG_STR("expires", buf_str(&expires)));
	if (now_s >= expires_s)
		log_warn("certificate_expired", LOG_STR("expired", buf_str(&expires)),
			LOG_TEXT("hint", "renew the files of tls-cert and tls-key, then SIGHUP"));
	else if (now_s + WARN_SECONDS >= expires_s)
		log_warn("certificate_expires_soon", LOG_STR("expires", buf_str(&expires)),
			LOG_TEXT("hint", "renew the files of tls-cert and tls-key, then SIGHUP"));
	if (now_s < tls_identity_begins_s(identity))
		log_warn("certificate_not_yet_valid",
			LOG_TEXT("hint", "look at the clocks of this host and of who made it"));
}

int router_open_tls(struct router *router)
{
	const int files[] = { ROUTER_FD_TLS + TLS_CERT, ROUTER_FD_TLS + TLS_KEY };
	struct buf error;

	buf_init(&error, 4096);
	int r = tls_files_read(files, &router->settings, &error, &router->tls);
	for (int i = 0; i < TLS_FILES; i++)
		(void)!close(files[i]);
	if (r > 0) { /* serve has looked at it, or a router before us */
		log_error("certificate_refused", LOG_STR("reason", buf_str(&error)));
		r = err_raise(-EINVAL);
	}
	buf_done(&error);
	if (r == 0 && router->tls)
		identity_tell(router->tls, "certificate_taken");
	return err_pass(r);
}

/* --- renewal --- */

struct renewal {
	struct work work;
	struct router *router;
	int files[TLS_FILES];
	struct tls_identity *fresh;
	struct buf error;
	int result;
};

static void renewal_run(struct work *work)
{
	struct renewal *renewal = list_entry(work, struct renewal, work);

	/* The paths do not change while we run. */
	renewal->result = tls_files_read(
		renewal->files, &renewal->router->settings, &renewal->error, &renewal->fresh);
}

static void renewal_answer(const struct router *router, bool is_taken)
{
	const struct renewed_frame renewed = { .head.op = FRAME_RENEWED, .is_taken = is_taken };
	int r = warden_ask(router->platform.warden, &renewed, sizeof(renewed), NULL, 0);

	if (r < 0)
		err_log(r, "tell the warden about the certificate");
}

static void renewal_free(struct renewal *renewal)
{
	fd_close_all(renewal->files, TLS_FILES);
	buf_done(&renewal->error);
	mem_free(renewal);
}

static void renewal_done(struct work *work)
{
	struct renewal *renewal = list_entry(work, struct renewal, work);
	struct router *router = renewal->router;
	bool is_taken = renewal->result == 0 && renewal->fresh && router->tls;

	if (is_taken) {
		tls_identity_replace(router->tls, renewal->fresh);
		identity_tell(router->tls, "certificate_renewed");
	} else if (renewal->result < 0) {
		err_log(renewal->result, "renew the certificate");
	} else {
		log_error("certificate_kept",
			LOG_STR("reason",
				renewal->error.len ? buf_str(&renewal->error)
						   : S("the files are empty")));
	}
	renewal_answer(router, is_taken);
	renewal_free(renewal);
}

void router_on_renew(void *context, const int files[static TLS_FILES])
{
	struct router *router = context;
	struct renewal *renewal = mem_one(struct renewal);
	int r = -ENOMEM;

	if (!renewal) {
		for (int i = 0; i < TLS_FILES; i++)
			(void)!close(files[i]);
	} else {
		renewal->work = (struct work){ .run = renewal_run, .done = renewal_done };
		renewal->router = router;
		renewal->files[TLS_CERT] = files[TLS_CERT];
		renewal->files[TLS_KEY] = files[TLS_KEY];
		buf_init(&renewal->error, 4096);
		r = loop_work(router->loop, &renewal->work);
		if (r == 0)
			return;
		renewal_free(renewal);
	}
	err_log(r, "renew the certificate");
	renewal_answer(router, false);
}
