/* SPDX-License-Identifier: ISC */
/* What for: the courier's decision. Trusts: rules and metadata; a gate for
 * nothing. At a bound: a refusal. */
#include "egress/courier/decision.h"

#include "scope/path.h"

static bool
is_loopback_name(struct span authority)
{
	struct host h;
	uint16_t port;

	return host_parse_authority(authority, 80, &h, &port) == 0 &&
	       (strcmp(h.name, "localhost") == 0 ||
		   strcmp(h.name, "127.0.0.1") == 0 ||
		   strcmp(h.name, "[::1]") == 0);
}

static bool
authority_is(struct span authority, const char *host, uint16_t port)
{
	struct host h;
	uint16_t p;

	return host_parse_authority(authority, port, &h, &p) == 0 &&
	       strcmp(h.name, host) == 0 && p == port;
}

static enum reason
names_intercept(const struct traffic_request *m,
    const struct decision_conn *conn, const struct decision *d)
{
	if (conn == NULL || !span_eq(conn->family, m->family))
		return REASON_BAD_TOKEN;
	if (m->grant.n != 0 || !span_is(conn->host, d->host.name) ||
	    conn->port != d->port || !span_is(m->sni, d->host.name) ||
	    !authority_is(m->header_host, d->host.name, d->port))
		return REASON_NAMES_DISAGREE;
	return REASON_NONE;
}

static enum reason
names_absolute(const struct traffic_request *m, const struct decision *d)
{
	if (m->conn != 0 || m->sni.n != 0 || m->grant.n != 0 ||
	    !authority_is(m->header_host, d->host.name, d->port))
		return REASON_NAMES_DISAGREE;
	return REASON_NONE;
}

/* The destination of a base URL is the grant's: it must have only one. */
static enum reason
names_base(const struct rules *rules, const struct traffic_request *m,
    struct decision *d)
{
	char name[GRANT_NAME_MAX];
	struct host h;

	if (m->conn != 0 || m->sni.n != 0 || m->grant.n == 0 ||
	    !is_loopback_name(m->header_host))
		return REASON_NAMES_DISAGREE;
	if (span_copy(m->grant, name, sizeof(name)) != 0)
		return REASON_NO_GRANT_HOST;
	const struct grant *g = rules_grant(rules, name);
	if (g == NULL || g->tunnel || g->n_hosts != 1 ||
	    host_parse(span_str(g->hosts[0].pattern), &h) != 0)
		return REASON_NO_GRANT_HOST;
	if (m->host.n != 0 &&
	    (!span_is(m->host, h.name) || m->port != g->hosts[0].port))
		return REASON_NAMES_DISAGREE;
	d->host = h;
	d->port = g->hosts[0].port;
	return REASON_NONE;
}

static enum reason
canonical_host(struct span host, uint16_t port, struct decision *d)
{
	if (host_parse(host, &d->host) != 0 || port == 0 ||
	    !span_is(host, d->host.name))
		return REASON_BAD_HOST;
	d->port = port;
	return REASON_NONE;
}

static enum reason
names_agree(const struct rules *rules, const struct traffic_request *m,
    const struct decision_conn *conn, struct decision *d)
{
	enum reason why;

	if (m->way == WAY_BASE)
		return names_base(rules, m, d);
	if ((why = canonical_host(m->host, m->port, d)) != REASON_NONE)
		return why;
	return m->way == WAY_INTERCEPT ? names_intercept(m, conn, d)
				       : names_absolute(m, d);
}

static enum reason
reason_of_lease(int err)
{
	return err == ERR_NOMEM ? REASON_INTERNAL : REASON_NO_CREDENTIAL;
}

static void
add_slot(struct decision *d, const struct lease *lease)
{
	const struct slot *s =
	    metadata_slot_for(&lease->metadata, d->host.name, d->port);

	if (s != NULL && lease->metadata.echoes)
		d->echoes = true;
	for (size_t i = 0; i < d->n_slots; i++) {
		if (d->slots[i] == s)
			return;
	}
	if (s != NULL && d->n_slots < DECISION_SLOTS_MAX)
		d->slots[d->n_slots++] = s;
}

/* Lease every credential that a grant could use here, so that all their
 * slots are known. How many grants could be served; *err: why not. */
static size_t
gather(const struct rules *rules, struct leases *leases, struct decision *d,
    int *err)
{
	const struct grant_set *set = rules_grants(rules);
	const struct lease *lease;
	size_t good = 0;

	for (size_t i = 0; i < set->n; i++) {
		const struct grant *g = &set->g[i];
		if (!rules_grant_names(g, d->host.name, d->port) ||
		    rules_check_cut(rules, g->name, g->credential) !=
			REASON_NONE)
			continue;
		int r = g->credential[0] == '\0'
			    ? 0
			    : leases_get(leases, g->credential, &lease);
		if (r == 0 && g->credential[0] != '\0')
			add_slot(d, lease);
		if (r == ERR_SEQUENCE)
			d->wait = true;
		else if (r != 0)
			*err = r;
		else
			good++;
	}
	return good;
}

static const char *
resolve(void *ctx, struct span value)
{
	return rules_placeholder(ctx, value);
}

static enum reason
look_for_carriers(const struct rules *rules, const struct traffic_request *m,
    struct buf *clean, struct decision *d)
{
	int r = carriers_scan(m->headers, m->target, d->slots, d->n_slots,
	    resolve, (void *)(uintptr_t)rules, clean, &d->carriers);

	if (r != 0)
		return r == ERR_FORMAT ? REASON_BAD_REQUEST : REASON_INTERNAL;
	if (d->carriers.carried == CARRIED_FOREIGN)
		return REASON_FOREIGN_CREDENTIAL;
	if (d->carriers.overrides) {
		d->detail = "A header or query key asks for another method "
			    "or path.";
		return REASON_UNSUPPORTED;
	}
	if (d->carriers.carried == CARRIED_NOTHING &&
	    carriers_cross_site(m->headers, d->host.name, d->port))
		return REASON_CROSS_SITE;
	return REASON_NONE;
}

static enum reason
ask_scope(const struct rules *rules, const struct traffic_request *m,
    struct span target, struct decision *d)
{
	char name[GRANT_NAME_MAX];
	struct decide_result result;
	struct rules_line line;

	if (span_copy(m->grant, name, sizeof(name)) != 0)
		return REASON_NO_GRANT_HOST;
	rules_line(rules, m->family, &line);
	struct decide_request q = {.host = d->host.name,
	    .port = d->port,
	    .method = m->method,
	    .target = target,
	    .grant = m->way == WAY_BASE ? name : NULL,
	    .credential = d->carriers.carried == CARRIED_PLACEHOLDER
			      ? d->carriers.credential
			      : NULL,
	    .within = line.within,
	    .n_within = line.n_within};
	decide(rules_grants(rules), &q, &result);
	d->grant = result.grant;
	d->rule = result.grant == NULL ? -1 : (int)result.rule;
	return result.reason;
}

/* The minter has allowed it; now what the credential's owner says. */
/* What an upstream has rejected is not put in again; now and then the vault
 * is asked whether it has another value by now. */
static enum reason
ask_verdict(struct leases *leases, uint64_t now_ms, struct decision *d)
{
	struct verdict *v = verdicts_of(leases_verdicts(leases), d->lease->name,
	    d->lease->digest, d->host.name, d->port);

	if (v == NULL || !v->dead)
		return REASON_NONE;
	if (verdict_ask_again(v, now_ms) &&
	    leases_doubt(leases, d->lease->name, v->digest) == ERR_SEQUENCE) {
		d->wait = true;
		return REASON_NONE;
	}
	return REASON_CREDENTIAL_REJECTED;
}

static enum reason
bind_credential(struct leases *leases, uint64_t now_ms, struct decision *d)
{
	int r;

	if (d->grant->credential[0] == '\0')
		return REASON_NONE;
	r = leases_get(leases, d->grant->credential, &d->lease);
	if (r != 0)
		return reason_of_lease(r);
	d->slot = metadata_slot_for(&d->lease->metadata, d->host.name, d->port);
	return d->slot == NULL ? REASON_NOT_BOUND
			       : ask_verdict(leases, now_ms, d);
}

static bool
is_limited(const struct grant_limits *l)
{
	return (l->requests | l->rate | l->bytes_up | l->bytes_down |
		   l->concurrent) != 0;
}

/* The session's account of the grant, then of each narrower family that
 * limits it, from outside in. */
static void
make_bill(const struct rules *rules, struct span family, struct decision *d)
{
	struct limits_bill *b = &d->bill;
	struct rules_line line;

	*b = (struct limits_bill){.grant = d->grant->name, .n = 1};
	b->of[0].max = &d->grant->limits;
	rules_line(rules, family, &line);
	for (size_t i = line.n_within; i-- > 0 && b->n < LIMITS_BILL_MAX;) {
		const struct grant *g =
		    grant_set_find(line.within[i], d->grant->name);
		if (g == NULL || !is_limited(&g->limits))
			continue;
		b->of[b->n].family = line.narrow[i];
		b->of[b->n++].max = &g->limits;
	}
}

static enum reason
check_grant(const struct rules *rules, const struct traffic_request *m,
    struct decision *d)
{
	if (m->way == WAY_ABSOLUTE && !d->grant->absolute) {
		d->detail = "This grant is not for absolute-form requests.";
		return REASON_NO_GRANT_HOST;
	}
	return rules_check_cut(rules, d->grant->name, d->grant->credential);
}

static enum reason
weigh(const struct rules *rules, struct leases *leases,
    const struct traffic_request *m, const struct decision_conn *conn,
    uint64_t now_ms, struct buf *clean, struct decision *d)
{
	enum reason why;
	struct target t;
	int err = 0;

	if ((why = rules_check_family(rules, m->family, now_ms, &d->jti)) !=
		REASON_NONE ||
	    (why = names_agree(rules, m, conn, d)) != REASON_NONE)
		return why;
	if (decide_connect(rules_grants(rules), d->host.name, d->port) !=
	    DECIDE_INTERCEPT)
		return REASON_NO_GRANT_HOST;
	if (target_parse(m->target, &t) != 0)
		return REASON_BAD_PATH;
	(void)gather(rules, leases, d, &err); /* the chosen one is asked */
	if (d->wait)
		return REASON_NONE;
	if ((why = look_for_carriers(rules, m, clean, d)) != REASON_NONE ||
	    (why = ask_scope(rules, m, buf_span(clean), d)) != REASON_NONE ||
	    (why = check_grant(rules, m, d)) != REASON_NONE)
		return why;
	make_bill(rules, m->family, d);
	return bind_credential(leases, now_ms, d);
}

void
decision_make(const struct rules *rules, struct leases *leases,
    const struct traffic_request *m, const struct decision_conn *conn,
    uint64_t now_ms, struct buf *clean, struct decision *out)
{
	*out = (struct decision){.rule = -1};
	buf_reset(clean);
	out->reason = weigh(rules, leases, m, conn, now_ms, clean, out);
}

/* Is the host for this family at all? */
static bool
delegated(const struct rules *rules, struct span family,
    const struct decision *d, bool tunnel)
{
	struct rules_line line;

	rules_line(rules, family, &line);
	return decide_delegated(rules_grants(rules),
	    &(struct decide_request){.host = d->host.name,
		.port = d->port,
		.tunnel = tunnel,
		.within = line.within,
		.n_within = line.n_within});
}

static enum reason
weigh_connect(const struct rules *rules, struct leases *leases,
    const struct traffic_connect *m, uint64_t now_ms, struct decision *d,
    enum traffic_way *way)
{
	enum reason why;
	int err = 0;

	if ((why = rules_check_family(rules, m->family, now_ms, &d->jti)) !=
		REASON_NONE ||
	    (why = canonical_host(m->host, m->port, d)) != REASON_NONE)
		return why;
	switch (decide_connect(rules_grants(rules), d->host.name, d->port)) {
	case DECIDE_INTERCEPT:
		*way = WAY_INTERCEPT;
		break;
	case DECIDE_TUNNEL:
		*way = WAY_TUNNEL;
		break;
	default:
		return REASON_NO_GRANT_HOST;
	}
	if (!delegated(rules, m->family, d, *way == WAY_TUNNEL))
		return REASON_NOT_DELEGATED;
	if (gather(rules, leases, d, &err) > 0 || d->wait)
		return REASON_NONE;
	return err == 0 ? REASON_REVOKED : reason_of_lease(err);
}

void
decision_connect(const struct rules *rules, struct leases *leases,
    const struct traffic_connect *m, uint64_t now_ms, struct decision *out,
    enum traffic_way *way)
{
	*out = (struct decision){.rule = -1};
	out->reason = weigh_connect(rules, leases, m, now_ms, out, way);
}

static enum reason
weigh_tunnel(const struct rules *rules, const struct traffic_tunnel *m,
    const struct decision_conn *conn, uint64_t now_ms, struct decision *d)
{
	struct decide_result result;
	struct rules_line line;
	enum reason why;

	if ((why = rules_check_family(rules, m->family, now_ms, &d->jti)) !=
	    REASON_NONE)
		return why;
	if (conn == NULL || !span_eq(conn->family, m->family))
		return REASON_BAD_TOKEN;
	if ((why = canonical_host(conn->host, conn->port, d)) != REASON_NONE)
		return why;
	if (!span_eq(m->sni, conn->host))
		return REASON_NAMES_DISAGREE;
	rules_line(rules, m->family, &line);
	decide(rules_grants(rules),
	    &(struct decide_request){.host = d->host.name,
		.port = d->port,
		.tunnel = true,
		.within = line.within,
		.n_within = line.n_within},
	    &result);
	d->grant = result.grant;
	if (result.reason != REASON_NONE)
		return result.reason;
	make_bill(rules, m->family, d);
	return rules_check_cut(rules, d->grant->name, "");
}

void
decision_tunnel(const struct rules *rules, const struct traffic_tunnel *m,
    const struct decision_conn *conn, uint64_t now_ms, struct decision *out)
{
	*out = (struct decision){.rule = -1};
	out->reason = weigh_tunnel(rules, m, conn, now_ms, out);
}
