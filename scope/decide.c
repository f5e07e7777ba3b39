/* SPDX-License-Identifier: ISC */
/* What for: which grant lets a request through. Trusts: that grants went
 * through grant_check() and the host is canonical; the target is parsed
 * here. At a bound: a refusal. */
#include "scope/decide.h"

#include "scope/path.h"

static bool
names_host(const struct grant *g, const char *host, uint16_t port)
{
	for (size_t i = 0; i < g->n_hosts; i++) {
		if (g->hosts[i].port == port &&
		    host_pattern_match(g->hosts[i].pattern, host))
			return true;
	}
	return false;
}

/* On any port: a host that gets a credential is never tunnelled to. */
static bool
has_credential(const struct grant_set *set, const char *host)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct grant *g = &set->g[i];

		for (size_t j = 0; j < g->n_hosts; j++) {
			if (g->credential[0] != '\0' &&
			    host_pattern_match(g->hosts[j].pattern, host))
				return true;
		}
	}
	return false;
}

static bool
method_matches(const struct grant_rule *r, struct span method)
{
	for (size_t i = 0; i < r->n_methods; i++) {
		if (strcmp(r->methods[i], "*") == 0 ||
		    span_is(method, r->methods[i]))
			return true;
	}
	return false;
}

static bool
target_matches(const struct grant_rule *r, const struct target *t)
{
	if (r->has_query && !query_within(t->query, r->query, r->n_query))
		return false;
	for (size_t i = 0; i < r->n_paths; i++) {
		if (target_match(span_str(r->paths[i]), t))
			return true;
	}
	return false;
}

/* How close a grant comes, as the refusal that it would give. */
static enum reason
try_rules(const struct grant *g, struct span method, const struct target *t,
    size_t *rule)
{
	enum reason closest = REASON_NO_GRANT_PATH;

	for (size_t i = 0; i < g->n_rules; i++) {
		if (!target_matches(&g->rules[i], t))
			continue;
		if (method_matches(&g->rules[i], method)) {
			*rule = i;
			return REASON_NONE;
		}
		closest = REASON_NO_GRANT_METHOD;
	}
	return closest;
}

/* Is this grant in question at all? */
static bool
applies(const struct grant *g, const struct decide_request *r)
{
	if (r->grant != NULL && strcmp(r->grant, g->name) != 0)
		return false;
	if (r->credential != NULL && strcmp(r->credential, g->credential) != 0)
		return false;
	return g->tunnel == r->tunnel && names_host(g, r->host, r->port);
}

/* Do this and every narrower set's grants of its name name the host? */
static bool
named_within(const struct grant *g, const struct decide_request *r)
{
	if (g->tunnel != r->tunnel || !names_host(g, r->host, r->port))
		return false;
	for (size_t i = 0; i < r->n_within; i++) {
		const struct grant_set *set = r->within[i];
		bool found = false;

		for (size_t j = 0; j < set->n && !found; j++)
			found = strcmp(set->g[j].name, g->name) == 0 &&
				set->g[j].tunnel == r->tunnel &&
				names_host(&set->g[j], r->host, r->port);
		if (!found)
			return false;
	}
	return true;
}

bool
decide_delegated(const struct grant_set *set, const struct decide_request *r)
{
	for (size_t i = 0; i < set->n; i++) {
		if (named_within(&set->g[i], r))
			return true;
	}
	return false;
}

/* Does one grant of that name in the set let it through? */
static bool
set_allows(const struct grant_set *set, const char *name,
    const struct decide_request *r, const struct target *t)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct grant *g = &set->g[i];
		size_t rule;

		if (strcmp(g->name, name) == 0 && applies(g, r) &&
		    try_rules(g, r->method, t, &rule) == REASON_NONE)
			return true;
	}
	return false;
}

static enum reason
try_within(const struct grant *g, const struct decide_request *r,
    const struct target *t)
{
	for (size_t i = 0; i < r->n_within; i++) {
		if (!set_allows(r->within[i], g->name, r, t))
			return REASON_NOT_DELEGATED;
	}
	return REASON_NONE;
}

/* The further a refusal got, the more it tells. */
static int
closeness(enum reason r)
{
	switch (r) {
	case REASON_NONE:
		return 4;
	case REASON_NOT_DELEGATED:
		return 3;
	case REASON_NO_GRANT_METHOD:
		return 2;
	case REASON_NO_GRANT_PATH:
		return 1;
	default:
		return 0;
	}
}

/* Take in what one more grant says. */
static void
consider(struct decide_result *best, const struct grant *g, enum reason reason,
    size_t rule)
{
	if (reason == REASON_NONE && best->reason == REASON_NONE) {
		if (strcmp(best->grant->credential, g->credential) != 0)
			best->reason = REASON_AMBIGUOUS;
		return;
	}
	if (best->reason == REASON_AMBIGUOUS ||
	    closeness(reason) <= closeness(best->reason))
		return;
	*best = (struct decide_result){reason, g, rule};
}

enum decide_way
decide_connect(const struct grant_set *set, const char *host, uint16_t port)
{
	enum decide_way way = DECIDE_REFUSE;

	for (size_t i = 0; i < set->n; i++) {
		if (!names_host(&set->g[i], host, port))
			continue;
		if (!set->g[i].tunnel)
			return DECIDE_INTERCEPT;
		way = DECIDE_TUNNEL;
	}
	if (way == DECIDE_TUNNEL && has_credential(set, host))
		return DECIDE_REFUSE;
	return way;
}

static void
decide_tunnel(const struct grant_set *set, const struct decide_request *r,
    struct decide_result *out)
{
	*out = (struct decide_result){.reason = REASON_NO_GRANT_HOST};
	if (r->credential != NULL ||
	    decide_connect(set, r->host, r->port) != DECIDE_TUNNEL)
		return;
	for (size_t i = 0; i < set->n; i++) {
		if (!applies(&set->g[i], r))
			continue;
		if (named_within(&set->g[i], r)) {
			*out =
			    (struct decide_result){REASON_NONE, &set->g[i], 0};
			return;
		}
		*out = (struct decide_result){
		    REASON_NOT_DELEGATED, &set->g[i], 0};
	}
}

/* RFC 9110 token. */
static bool
is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (c <= 0x20 || c >= 0x7f ||
		    strchr("\"(),/:;<=>?@[\\]{}", c) != NULL)
			return false;
	}
	return s.n > 0;
}

static enum reason
read_request(const struct decide_request *r, struct target *t)
{
	if (!is_token(r->method))
		return REASON_BAD_REQUEST;
	if (span_caseeq(r->method, span_str("TRACE")) ||
	    span_caseeq(r->method, span_str("CONNECT")))
		return REASON_UNSUPPORTED;
	return target_parse(r->target, t) == 0 ? REASON_NONE : REASON_BAD_PATH;
}

void
decide(const struct grant_set *set, const struct decide_request *r,
    struct decide_result *out)
{
	struct decide_result best = {.reason = REASON_NO_GRANT_HOST};
	struct target t = {0};

	if (r->tunnel) {
		decide_tunnel(set, r, out);
		return;
	}
	enum reason bad = read_request(r, &t);
	if (bad != REASON_NONE) {
		*out = (struct decide_result){.reason = bad};
		return;
	}
	for (size_t i = 0; i < set->n; i++) {
		size_t rule = 0;

		if (!applies(&set->g[i], r))
			continue;
		enum reason why = try_rules(&set->g[i], r->method, &t, &rule);
		if (why == REASON_NONE)
			why = try_within(&set->g[i], r, &t);
		consider(&best, &set->g[i], why, rule);
	}
	if (best.reason == REASON_NO_GRANT_PATH && t.hides_slash)
		best.reason = REASON_HIDDEN_SLASH;
	*out = best;
}
