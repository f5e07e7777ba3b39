/* SPDX-License-Identifier: ISC */
/* What for: credentials' metadata, gathered. Trusts: the vault. At a bound:
 * the first failure is the answer. */
#include "minter/facts.h"

#include "lib/log.h"
#include "messages/keeper.h"

#include <stdlib.h>

struct gathering {
	struct minter *m;
	struct facts facts;
	size_t left; /* answers, and one for the asking itself */
	int err;
	char missing[STATE_NAME_MAX];
	facts_done *done;
	void *ctx;
};

struct question {
	struct gathering *g;
	size_t slot;
	char name[STATE_NAME_MAX];
};

static void
release(struct gathering *g)
{
	if (--g->left > 0)
		return;
	g->done(g->ctx, g->err, g->missing, &g->facts);
	for (size_t i = 0; i < g->facts.n; i++)
		metadata_free(&g->facts.m[i]);
	free(g->facts.m);
	free(g);
}

static void
fail(struct gathering *g, int err, const char *name)
{
	if (g->err != 0)
		return;
	g->err = err;
	(void)snprintf(g->missing, sizeof(g->missing), "%s", name);
}

static void
on_info(void *ctx, int err, const void *answer)
{
	struct question *q = ctx;
	struct gathering *g = q->g;
	const struct keeper_credential_info *k = answer;
	struct metadata *m = &g->facts.m[q->slot];
	char why[256];

	if (err == 0)
		err = metadata_parse(k->json, m, why, sizeof(why));
	if (err == 0 && strcmp(m->name, q->name) != 0)
		err = ERR_FORMAT;
	if (err != 0)
		fail(g, err, q->name);
	free(q);
	release(g);
}

static bool
seen_before(const struct grant_set *set, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (strcmp(set->g[i].credential, set->g[at].credential) == 0)
			return true;
	}
	return false;
}

static int
ask(struct gathering *g, const char *name)
{
	struct minter *m = g->m;
	struct question *q;

	if (m->vault == NULL)
		return ERR_UNAVAILABLE;
	if ((q = calloc(1, sizeof(*q))) == NULL)
		return ERR_NOMEM;
	*q = (struct question){.g = g, .slot = g->facts.n};
	(void)snprintf(q->name, sizeof(q->name), "%s", name);
	struct keeper_credential k = {
	    .rid = rpc_add(m->rpcs, LINK_VAULT, clock_boot_ms() + MINTER_RPC_MS,
		on_info, q),
	    .name = span_str(q->name)};
	if (k.rid == 0) {
		free(q);
		return ERR_NOMEM;
	}
	metadata_init(&g->facts.m[g->facts.n++]);
	g->left++;
	/* Not sent: the deadline tells on_info. */
	if (link_send(m->vault, &msg_keeper_credential, &k, -1) != 0)
		log_event(
		    LOG_WARN, "vault_unreachable", LOG_STR("credential", name));
	return 0;
}

void
facts_gather(
    struct minter *m, const struct grant_set *set, facts_done *done, void *ctx)
{
	struct gathering *g = calloc(1, sizeof(*g));
	struct facts none = {0};

	if (g == NULL) {
		done(ctx, ERR_NOMEM, "", &none);
		return;
	}
	*g = (struct gathering){.m = m, .left = 1, .done = done, .ctx = ctx};
	if (set->n > 0 &&
	    (g->facts.m = calloc(set->n, sizeof(*g->facts.m))) == NULL)
		fail(g, ERR_NOMEM, "");
	for (size_t i = 0; g->err == 0 && i < set->n; i++) {
		const char *name = set->g[i].credential;
		int r = 0;
		if (name[0] != '\0' && !seen_before(set, i))
			r = ask(g, name);
		if (r != 0)
			fail(g, r, name);
	}
	release(g);
}

static const struct metadata *
find(const struct facts *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->m[i].name, name) == 0)
			return &f->m[i];
	}
	return NULL;
}

bool
facts_cover(
    const struct facts *f, const struct grant_set *set, char *why, size_t size)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct grant *g = &set->g[i];
		const struct metadata *m = find(f, g->credential);

		for (size_t j = 0; g->credential[0] != '\0' && j < g->n_hosts;
		     j++) {
			if (m != NULL && metadata_covers(m, g->hosts[j].pattern,
					     g->hosts[j].port))
				continue;
			(void)snprintf(why, size,
			    "grant %s names %s:%u, but credential %s is not "
			    "bound to it",
			    g->name, g->hosts[j].pattern, g->hosts[j].port,
			    g->credential);
			return false;
		}
	}
	return true;
}
