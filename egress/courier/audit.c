/* SPDX-License-Identifier: ISC */
/* What for: lines of the session's audit chain. Trusts: nothing that a
 * guest or upstream wrote; it is escaped and cut. At a bound: the line is
 * cut; at a failure: all traffic ends. */
#include "egress/courier/audit.h"

#include "egress/courier/clock.h"

#include "lib/log.h"

#include <sodium.h>
#include <stdlib.h>

#define SYNC_S 0.025
#define TEXT_MAX 512

struct audit {
	struct ev_loop *loop;
	struct ev_timer sync;
	struct chainlog *chain;
	struct audit_handlers h;
	bool failed;
};

static void
fail(struct audit *a, int err)
{
	if (a->failed)
		return;
	a->failed = true;
	ev_timer_stop(a->loop, &a->sync);
	log_event(LOG_ERROR, "audit_failed", LOG_ERR(err));
	if (a->h.on_fail != NULL)
		a->h.on_fail(a->h.ctx);
}

static void
sync_now(struct audit *a)
{
	int r;

	if (a->failed || !chainlog_unsynced(a->chain))
		return;
	if ((r = chainlog_sync(a->chain)) != 0) {
		fail(a, r);
		return;
	}
	struct chainlog_head head = chainlog_head(a->chain);
	if (a->h.on_head != NULL)
		a->h.on_head(a->h.ctx, &head);
}

static void
on_sync(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	sync_now(w->data);
}

int
audit_open(struct ev_loop *loop, int fd, const char *session,
    const struct audit_handlers *h, struct audit **out)
{
	struct audit *a = calloc(1, sizeof(*a));
	int r = a == NULL ? ERR_NOMEM : chainlog_open(fd, session, &a->chain);

	if (r != 0) {
		free(a);
		return r;
	}
	a->loop = loop;
	a->h = *h;
	ev_timer_init(&a->sync, on_sync, SYNC_S, 0.);
	a->sync.data = a;
	*out = a;
	return 0;
}

void
audit_close(struct audit *a)
{
	if (a == NULL)
		return;
	ev_timer_stop(a->loop, &a->sync);
	sync_now(a);
	chainlog_free(a->chain);
	free(a);
}

bool
audit_failed(const struct audit *a)
{
	return a->failed;
}

static int
put_text(struct buf *b, const char *key, struct span v)
{
	int r;

	if (v.n == 0)
		return 0;
	if ((r = buf_printf(b, ",\"%s\":", key)) != 0)
		return r;
	return chainlog_put_string(b, v, TEXT_MAX);
}

static int
put_hidden_query(struct buf *b, struct span query)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(hash) + 1];

	crypto_hash_sha256(hash, query.p, query.n);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	return buf_printf(
	    b, ",\"query_length\":%zu,\"query_sha256\":\"%s\"", query.n, hex);
}

static int
put_target(struct buf *b, const struct audit_line *l)
{
	const uint8_t *mark =
	    l->target.n == 0 ? NULL : memchr(l->target.p, '?', l->target.n);
	int r;

	if (mark == NULL || !l->hide_query)
		return put_text(b, "path", l->target);
	size_t n = (size_t)(mark - l->target.p);
	if ((r = put_text(b, "path", span_of(l->target.p, n))) != 0)
		return r;
	return put_hidden_query(b, span_from(l->target, n + 1));
}

static struct span
way_name(uint8_t way)
{
	static const char *const names[] = {[WAY_INTERCEPT] = "intercept",
	    [WAY_ABSOLUTE] = "absolute",
	    [WAY_BASE] = "base",
	    [WAY_TUNNEL] = "tunnel"};

	return span_str(
	    way < sizeof(names) / sizeof(names[0]) ? names[way] : NULL);
}

static int
put_who(struct buf *b, const struct audit_line *l)
{
	int r;

	if ((r = buf_printf(b, "\"event\":\"%s\",\"time\":%llu,\"stream\":%u",
		 l->event, (unsigned long long)clock_wall_ms(), l->stream)) !=
		0 ||
	    (r = put_text(b, "family", l->family)) != 0 ||
	    (r = put_text(b, "jti", l->jti)) != 0 ||
	    (r = put_text(b, "way", way_name(l->way))) != 0 ||
	    (r = put_text(b, "method", l->method)) != 0 ||
	    (r = put_text(b, "host", l->host)) != 0)
		return r;
	if (l->port != 0 && (r = buf_printf(b, ",\"port\":%u", l->port)) != 0)
		return r;
	return put_target(b, l);
}

static int
put_what(struct buf *b, const struct audit_line *l)
{
	int r;

	if ((r = put_text(b, "grant", l->grant)) != 0)
		return r;
	if (l->rule >= 0 && l->grant.n != 0 &&
	    (r = buf_printf(b, ",\"rule\":%d", l->rule)) != 0)
		return r;
	if ((r = put_text(b, "credential", l->credential)) != 0)
		return r;
	if (l->version != 0 &&
	    (r = buf_printf(b, ",\"version\":%u", l->version)) != 0)
		return r;
	if (l->dropped && (r = buf_put_str(b, ",\"dropped\":\"cookie\"")) != 0)
		return r;
	if (l->allow)
		return buf_put_str(b, ",\"decision\":\"allow\"");
	if (l->reason != REASON_NONE)
		return put_text(
		    b, "reason", span_str(reason_row(l->reason)->word));
	return 0;
}

static int
put_end(struct buf *b, const struct audit_line *l)
{
	int r;

	if (!l->ended)
		return 0;
	if ((r = buf_printf(b,
		 ",\"status\":%u,\"bytes_up\":%llu,\"bytes_down\":%llu"
		 ",\"ms\":%llu",
		 l->status, (unsigned long long)l->up,
		 (unsigned long long)l->down, (unsigned long long)l->ms)) !=
		0 ||
	    (r = put_text(b, "address", l->address)) != 0)
		return r;
	return put_text(b, "how", span_str(l->how));
}

int
audit_put(struct audit *a, const struct audit_line *l)
{
	struct buf *b;
	int r;

	if (a->failed)
		return ERR_IO;
	if ((b = buf_new(CHAINLOG_LINE_MAX)) == NULL)
		return ERR_NOMEM; /* this request fails, the log does not */
	if ((r = put_who(b, l)) == 0 && (r = put_what(b, l)) == 0 &&
	    (r = put_end(b, l)) == 0 &&
	    (r = chainlog_append(a->chain, buf_span(b))) != 0)
		fail(a, r);
	buf_free(b);
	if (r == 0 && !ev_is_active(&a->sync)) {
		ev_timer_set(&a->sync, SYNC_S, 0.);
		ev_timer_start(a->loop, &a->sync);
	}
	return r;
}
