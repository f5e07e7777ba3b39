/* SPDX-License-Identifier: ISC */
/* What for: GET metrics, in the text format of Prometheus, 0.0.4. Trusts:
 * nothing but our tables gets into it. At a bound: TEXT_MAX, which only more
 * rows could reach. */
#include "minter/api.h"

#include "messages/keeper.h"

#include <stdlib.h>

#define TEXT_MAX (256 * 1024)
#define TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metric {
#define X(symbol, ...) METRIC_##symbol,
	METRICS(X)
#undef X
	    METRIC_COUNT
};

static const struct row {
	const char *name, *type, *help;
} rows[METRIC_COUNT] = {
#define X(symbol, name, type, labels, help) \
	[METRIC_##symbol] = {"hatcheck_" name, type, help},
    METRICS(X)
#undef X
};

/* One metric: begin, then its samples. */
struct text {
	struct buf *b;
	const char *name;
	int err;
};

__attribute__((format(printf, 2, 3))) static void
put(struct text *t, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap); /* words of our own */
	va_end(ap);
	if (t->err == 0)
		t->err = buf_put_str(t->b, line);
}

static void
begin(struct text *t, enum metric which)
{
	const struct row *r = &rows[which];

	t->name = r->name;
	put(t, "# HELP %s %s\n", r->name, r->help);
	put(t, "# TYPE %s %s\n", r->name, r->type);
}

static void
one(struct text *t, enum metric which, uint64_t v)
{
	begin(t, which);
	put(t, "%s %llu\n", t->name, (unsigned long long)v);
}

static void
labelled(struct text *t, const char *label, const char *word, uint64_t v)
{
	put(t, "%s{%s=\"%s\"} %llu\n", t->name, label, word,
	    (unsigned long long)v);
}

static void
put_ms(struct text *t, const char *what, uint64_t ms)
{
	put(t, "%s%s %llu.%03llu\n", t->name, what,
	    (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000));
}

static void
histogram(struct text *t, enum metric which, const uint64_t *slots, size_t n,
    uint32_t (*bound)(size_t), uint64_t sum_ms)
{
	uint64_t sum = 0;

	begin(t, which);
	for (size_t i = 0; i < n; i++) {
		unsigned ms = bound(i);
		sum += slots[i];
		if (i < n - 1)
			put(t, "%s_bucket{le=\"%u.%03u\"} %llu\n", t->name,
			    ms / 1000, ms % 1000, (unsigned long long)sum);
	}
	put(t, "%s_bucket{le=\"+Inf\"} %llu\n", t->name,
	    (unsigned long long)sum);
	put_ms(t, "_sum", sum_ms);
	put(t, "%s_count %llu\n", t->name, (unsigned long long)sum);
}

static void
put_state(struct text *t, const struct minter *m)
{
	begin(t, METRIC_BUILD);
	labelled(t, "version", VERSION, 1);
	one(t, METRIC_STORAGE, m->failed == NULL);
	one(t, METRIC_VAULT, m->vault_state == VAULT_OPEN);
}

static void
put_sessions(struct text *t, const struct minter *m)
{
	const struct metrics *n = &m->metrics;
	uint64_t live = 0, families = 0;
	int64_t now = clock_boot_ms();

	for (const struct session *s = m->sessions; s != NULL; s = s->next) {
		if (s->finishing)
			continue;
		live++;
		families += session_families_live(s, now, false);
	}
	one(t, METRIC_SESSIONS, live);
	begin(t, METRIC_OVER);
	for (enum session_state i = SESSION_ENDED; i <= SESSION_EXPIRED; i++)
		labelled(t, "state", session_state_name(i), n->over[i]);
	one(t, METRIC_FAMILIES, families);
	begin(t, METRIC_TOKENS);
	labelled(t, "result", "minted", n->minted);
	labelled(t, "result", "refused", n->not_minted);
}

static void
put_requests(struct text *t, const struct metrics *n)
{
	static const char *const classes[COUNTS_CLASSES] = {
	    "none", "1xx", "2xx", "3xx", "4xx", "5xx"};

	begin(t, METRIC_DECISIONS);
	put(t, "%s{decision=\"allow\",reason=\"none\"} %llu\n", t->name,
	    (unsigned long long)n->allowed);
	for (unsigned i = 1; i < REASON_COUNT; i++)
		put(t, "%s{decision=\"refuse\",reason=\"%s\"} %llu\n", t->name,
		    reason_row((enum reason)i)->word,
		    (unsigned long long)n->refused[i]);
	begin(t, METRIC_ENDED);
	for (unsigned i = 0; i < REASON_COUNT; i++)
		labelled(
		    t, "reason", reason_row((enum reason)i)->word, n->ended[i]);
	begin(t, METRIC_ANSWERS);
	for (unsigned i = 0; i < COUNTS_CLASSES; i++)
		labelled(t, "class", classes[i], n->status[i]);
	histogram(t, METRIC_TOOK, n->took, COUNTS_TOOK_N, counts_took_bound,
	    n->took_ms);
	begin(t, METRIC_BYTES);
	labelled(t, "direction", "up", n->bytes_up);
	labelled(t, "direction", "down", n->bytes_down);
}

static void
put_promises(struct text *t, const struct minter *m)
{
	const struct metrics *n = &m->metrics;
	uint64_t unanchored = 0;

	for (const struct session *s = m->sessions; s != NULL; s = s->next)
		unanchored += s->head_seq - s->anchored_seq;
	histogram(t, METRIC_REVOCATION, n->revocation, COUNTS_LAG_N,
	    counts_lag_bound, n->revocation_ms);
	histogram(
	    t, METRIC_LAG, n->lag, COUNTS_LAG_N, counts_lag_bound, n->lag_ms);
	one(t, METRIC_UNSIGNED, unanchored);
}

static void
put_processes(struct text *t, const struct minter *m)
{
	uint64_t table[LINK_CLI][MINTER_PROCESS_STATES] = {0};

	for (size_t i = 0; i < m->n_processes; i++) {
		const struct process_row *p = &m->processes[i];
		if (p->role < LINK_CLI && p->state < MINTER_PROCESS_STATES)
			table[p->role][p->state]++;
	}
	begin(t, METRIC_PROCESSES);
	for (enum link_role r = LINK_VAULT; r < LINK_CLI; r++) {
		for (uint8_t s = 0; s < MINTER_PROCESS_STATES; s++)
			put(t, "%s{role=\"%s\",state=\"%s\"} %llu\n", t->name,
			    link_role_name(r), minter_process_state(s),
			    (unsigned long long)table[r][s]);
	}
	begin(t, METRIC_RESTARTS);
	for (enum link_role r = LINK_VAULT; r < LINK_CLI; r++)
		labelled(t, "role", link_role_name(r), m->metrics.restarts[r]);
}

int
metrics_text(const struct minter *m, struct buf *out)
{
	struct text t = {.b = out};

	put_state(&t, m);
	put_sessions(&t, m);
	put_requests(&t, &m->metrics);
	put_promises(&t, m);
	put_processes(&t, m);
	return t.err;
}

void
api_metrics(void *ctx, struct admin_call *call, const json_t *body)
{
	struct buf *b = buf_new(TEXT_MAX);
	char *text = NULL;

	(void)body;
	if (b != NULL && metrics_text(ctx, b) == 0)
		text = span_dup(buf_span(b));
	buf_free(b);
	admin_reply_text(call, TYPE, text);
}
