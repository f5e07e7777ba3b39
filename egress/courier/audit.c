/* SPDX-License-Identifier: ISC */
/* What for: lines of the session's audit chain. Trusts: nothing that a
 * guest or upstream wrote; it is escaped and cut. At a bound: the line is
 * cut, refusals are counted, requests refused; at a failure: all traffic
 * ends. */
#include "egress/courier/audit.h"

#include "egress/courier/clock.h"
#include "egress/courier/tally.h"

#include "lib/log.h"
#include "lib/sha256.h"

#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define SYNC_S 0.025
#define TEXT_MAX 512
#define ASK_MS 60000 /* until asking for a file again */
#define FOLD_S 60.0  /* a minute of audit_refusals */

struct audit {
	struct ev_loop *loop;
	struct ev_timer sync;
	struct ev_timer turn; /* only ever fed: runs when a turn ends */
	struct chainlog *chain;
	struct buf *line;
	struct audit_handlers h;
	const struct rules *rules; /* NULL: nobody is known */
	bool failed, full;
	struct counts counts;
	enum counts_log told; /* with the last of them */
	uint64_t since_ms;    /* of the oldest line that is not synced */
	uint64_t closed;      /* bytes of the files before */
	uint64_t segment_max; /* bytes of this one */
	uint64_t asked_ms;    /* for the next one, or 0 */
	uint64_t bytes_max, refusals_max; /* the latter in FOLD_S */
	/* Of the minute under way, which ends with fold: written, and those
	 * that were not. */
	struct ev_timer fold;
	uint64_t refusals, counted[REASON_COUNT];
	bool folded;
};

static void
fail(struct audit *a, int err)
{
	if (a->failed)
		return;
	a->failed = true;
	ev_timer_stop(a->loop, &a->sync);
	ev_timer_stop(a->loop, &a->fold);
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
	tally_sync(&a->counts, clock_ms() - a->since_ms);
	struct chainlog_head head = chainlog_head(a->chain);
	if (a->h.on_head != NULL)
		a->h.on_head(a->h.ctx, &head);
}

int
audit_flush(struct audit *a)
{
	int r;

	if (a->failed)
		return ERR_IO;
	if ((r = chainlog_flush(a->chain)) != 0)
		fail(a, r);
	return r;
}

static void
on_turn(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	if (audit_flush(w->data) == 0) /* else on_fail knows */
		audit_tick(w->data);
}

static void
on_sync(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	sync_now(w->data);
}

static int
append(struct audit *a, struct span line)
{
	int r = chainlog_put(a->chain, line);

	if (r != 0) {
		fail(a, r);
		return r;
	}
	ev_feed_event(a->loop, &a->turn, EV_TIMER);
	if (!ev_is_active(&a->sync)) {
		a->since_ms = clock_ms();
		ev_timer_set(&a->sync, SYNC_S, 0.);
		ev_timer_start(a->loop, &a->sync);
	}
	return 0;
}

/* ---- refusals that were only counted ---- */

static int
put_counts(const struct audit *a, struct buf *b)
{
	const char *comma = "";
	int r =
	    buf_printf(b, "\"event\":\"refusals\",\"time\":%llu,\"counted\":{",
		(unsigned long long)clock_wall_ms());

	for (unsigned i = 0; r == 0 && i < REASON_COUNT; i++) {
		if (a->counted[i] == 0)
			continue;
		r = buf_printf(b, "%s\"%s\":%llu", comma, reason_row(i)->word,
		    (unsigned long long)a->counted[i]);
		comma = ",";
	}
	return r != 0 ? r : buf_put_str(b, "}");
}

static void
write_counts(struct audit *a)
{
	struct buf *b = a->line;

	if (!a->folded || a->failed || a->full)
		return;
	buf_reset(b);
	if (put_counts(a, b) == 0 && append(a, buf_span(b)) == 0) {
		memset(a->counted, 0, sizeof(a->counted));
		a->folded = false;
	}
}

static void
on_fold(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct audit *a = w->data;

	(void)loop;
	(void)events;
	a->refusals = 0;
	write_counts(a);
}

/* Is this refusal to be told by its number only? */
static bool
fold(struct audit *a, enum reason why)
{
	if (!ev_is_active(&a->fold)) {
		ev_timer_set(&a->fold, FOLD_S, 0.);
		ev_timer_start(a->loop, &a->fold);
	}
	if (!a->full && a->refusals < a->refusals_max) {
		a->refusals++;
		return false;
	}
	a->counted[why < REASON_COUNT ? why : REASON_INTERNAL]++;
	a->folded = true;
	return true;
}

/* ---- the end of the file ---- */

static uint64_t
bytes(const struct audit *a)
{
	return a->closed + chainlog_bytes(a->chain);
}

static void
look_at_length(struct audit *a)
{
	char line[64];

	if (a->full || a->failed || bytes(a) < a->bytes_max)
		return;
	write_counts(a);
	a->full = true;
	log_event(LOG_ERROR, "audit_full",
	    LOG_INT("bytes", (int64_t)a->bytes_max),
	    LOG_STR("next", "a new session, or more audit_bytes in "
			    "hatcheckd.yaml"));
	(void)snprintf(line, sizeof(line), "\"event\":\"full\",\"time\":%llu",
	    (unsigned long long)clock_wall_ms()); /* fits */
	(void)append(a, span_str(line));	  /* a failure ends all, too */
}

void
audit_bound(struct audit *a, const struct bounds *b)
{
	a->bytes_max = b->audit_bytes;
	a->refusals_max = b->audit_refusals;
	a->segment_max = b->audit_segment_bytes;
	a->asked_ms = 0; /* what was not given may be now */
	/* A log that was full before us has its last line. */
	a->full = bytes(a) >= a->bytes_max;
}

void
audit_tick(struct audit *a)
{
	uint64_t now;

	if (a->failed || chainlog_bytes(a->chain) < a->segment_max)
		return;
	now = clock_ms();
	if (a->asked_ms != 0 && now - a->asked_ms < ASK_MS)
		return;
	a->asked_ms = now;
	if (a->h.on_long != NULL)
		a->h.on_long(a->h.ctx);
}

void
audit_next(struct audit *a, int fd, uint64_t closed)
{
	int r;

	a->asked_ms = 0;
	if (a->failed) {
		close(fd);
		return;
	}
	/* What is in the old file is on disk before the new one is used. */
	sync_now(a);
	if ((r = chainlog_next(a->chain, fd)) == 0)
		a->closed = closed;
	else
		fail(a, r);
}

int
audit_open(struct ev_loop *loop, const struct audit_files *f,
    const char *session, const struct audit_handlers *h, struct audit **out)
{
	struct bounds usual = bounds_default();
	struct audit *a = calloc(1, sizeof(*a));
	int r = a == NULL ? ERR_NOMEM
			  : chainlog_open(f->fd, f->before, session, &a->chain);

	if (r == 0 && (a->line = buf_new(CHAINLOG_LINE_MAX)) == NULL) {
		chainlog_free(a->chain);
		r = ERR_NOMEM;
	}
	if (r != 0) {
		free(a);
		return r;
	}
	a->loop = loop;
	a->h = *h;
	a->closed = f->closed;
	ev_timer_init(&a->sync, on_sync, SYNC_S, 0.);
	a->sync.data = a;
	ev_timer_init(&a->turn, on_turn, 0., 0.);
	/* Before streams and links write (EV_MINPRI), so that what the gate
	 * is told of is in the file too. */
	ev_set_priority(&a->turn, EV_MINPRI + 1);
	a->turn.data = a;
	ev_timer_init(&a->fold, on_fold, FOLD_S, 0.);
	a->fold.data = a;
	audit_bound(a, &usual);
	*out = a;
	return 0;
}

void
audit_close(struct audit *a)
{
	if (a == NULL)
		return;
	ev_timer_stop(a->loop, &a->fold);
	write_counts(a);
	ev_timer_stop(a->loop, &a->sync);
	ev_clear_pending(a->loop, &a->turn);
	sync_now(a);
	chainlog_free(a->chain);
	buf_free(a->line);
	free(a);
}

void
audit_know(struct audit *a, const struct rules *rules)
{
	a->rules = rules;
}

bool
audit_failed(const struct audit *a)
{
	return a->failed;
}

enum reason
audit_closed(const struct audit *a)
{
	return a->failed ? REASON_AUDIT_FAILED
	       : a->full ? REASON_AUDIT_FULL
			 : REASON_NONE;
}

bool
audit_take_counts(struct audit *a, struct counts *out)
{
	enum counts_log log = a->failed ? COUNTS_LOG_FAILED
			      : a->full ? COUNTS_LOG_FULL
					: COUNTS_LOG_OK;

	/* What is wrong is said again: the minter may be another one. */
	if (tally_empty(&a->counts) && log == COUNTS_LOG_OK && log == a->told)
		return false;
	*out = a->counts;
	out->log = a->told = log;
	a->counts = (struct counts){0};
	return true;
}

static int
put_key(struct buf *b, const char *key)
{
	int r;

	(void)((r = buf_put_str(b, ",\"")) != 0 ||
	       (r = buf_put_str(b, key)) != 0 ||
	       (r = buf_put_str(b, "\":")) != 0);
	return r;
}

static int
put_text(struct buf *b, const char *key, struct span v)
{
	int r;

	if (v.n == 0)
		return 0;
	if ((r = put_key(b, key)) != 0)
		return r;
	return chainlog_put_string(b, v, TEXT_MAX);
}

static int
put_number(struct buf *b, const char *key, uint64_t v)
{
	int r = put_key(b, key);

	return r != 0 ? r : buf_put_dec(b, v);
}

/* What does not stand in the line, and yet is proved: NAME_length and
 * NAME_sha256. */
static int
put_digest(struct buf *b, const char *name, struct span v)
{
	uint8_t hash[SHA256_SIZE];
	char hex[2 * sizeof(hash) + 1];

	if (sha256(v, hash) != 0)
		return ERR_NOMEM;
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	return buf_printf(
	    b, ",\"%s_length\":%zu,\"%s_sha256\":\"%s\"", name, v.n, name, hex);
}

/* Nobody makes the log forget where a long path led to. */
static int
put_path(struct buf *b, struct span path)
{
	int r = put_text(b, "path", path);

	return r != 0 || path.n <= TEXT_MAX ? r : put_digest(b, "path", path);
}

static int
put_target(struct buf *b, const struct audit_line *l)
{
	const uint8_t *mark =
	    l->target.n == 0 ? NULL : memchr(l->target.p, '?', l->target.n);
	int r;

	if (mark == NULL || !l->hide_query)
		return put_path(b, l->target);
	size_t n = (size_t)(mark - l->target.p);
	if ((r = put_path(b, span_of(l->target.p, n))) != 0)
		return r;
	return put_digest(b, "query", span_from(l->target, n + 1));
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

/* "act":["who","for whom"],"parents":["f-…"], from the inside out: names
 * of ours, with nothing to escape. */
static int
put_above(struct buf *b, const struct rules *rules, struct span family)
{
	struct rules_line line;
	size_t n = 0;
	int r = 0;

	if (rules == NULL || family.n == 0)
		return 0;
	rules_line(rules, family, &line);
	for (size_t i = 0; i < line.n && r == 0; i++) {
		if (line.act[i][0] != '\0')
			r = buf_printf(b, "%s\"%s\"",
			    n++ == 0 ? ",\"act\":[" : ",", line.act[i]);
	}
	if (r == 0 && n > 0)
		r = buf_put_str(b, "]");
	for (size_t i = 1; i < line.n && r == 0; i++)
		r = buf_printf(b, "%s\"%s\"", i == 1 ? ",\"parents\":[" : ",",
		    line.family[i]);
	return r == 0 && line.n > 1 ? buf_put_str(b, "]") : r;
}

static int
put_who(struct buf *b, const struct rules *rules, const struct audit_line *l)
{
	int r;

	if ((r = buf_put_str(b, "\"event\":\"")) != 0 ||
	    (r = buf_put_str(b, l->event)) != 0 ||
	    (r = buf_put_u8(b, '"')) != 0 ||
	    (r = put_number(b, "time", clock_wall_ms())) != 0 ||
	    (r = put_number(b, "stream", l->stream)) != 0 ||
	    (r = put_text(b, "family", l->family)) != 0 ||
	    (r = put_above(b, rules, l->family)) != 0 ||
	    (r = put_text(b, "jti", l->jti)) != 0 ||
	    (r = put_text(b, "way", way_name(l->way))) != 0 ||
	    (r = put_text(b, "method", l->method)) != 0 ||
	    (r = put_text(b, "host", l->host)) != 0)
		return r;
	if (l->port != 0 && (r = put_number(b, "port", l->port)) != 0)
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
	    (r = put_number(b, "rule", (uint64_t)l->rule)) != 0)
		return r;
	if ((r = put_text(b, "credential", l->credential)) != 0)
		return r;
	if (l->version != 0 && (r = put_number(b, "version", l->version)) != 0)
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
	if ((r = put_number(b, "status", l->status)) != 0 ||
	    (r = put_number(b, "bytes_up", l->up)) != 0 ||
	    (r = put_number(b, "bytes_down", l->down)) != 0 ||
	    (r = put_number(b, "ms", l->ms)) != 0 ||
	    (r = put_text(b, "address", l->address)) != 0)
		return r;
	return put_text(b, "how", span_str(l->how));
}

static int
put_line(struct buf *b, const struct rules *rules, const struct audit_line *l)
{
	int r;

	if ((r = put_who(b, rules, l)) != 0 || (r = put_what(b, l)) != 0)
		return r;
	return put_end(b, l);
}

int
audit_put(struct audit *a, const struct audit_line *l)
{
	bool refusal = strcmp(l->event, "refused") == 0;
	struct buf *b = a->line;
	int r;

	if (a->failed)
		return ERR_IO;
	tally_line(&a->counts, l);
	look_at_length(a);
	if (refusal && fold(a, l->reason))
		return 0;
	if (a->full && l->allow)
		return ERR_TOO_BIG;
	buf_reset(b);
	if ((r = put_line(b, a->rules, l)) != 0)
		return r; /* this request fails, the log does not */
	return append(a, buf_span(b));
}
