/* SPDX-License-Identifier: ISC */
/* What for: each session's root, kept sealed for the session's life, and
 * the intermediates under it. Trusts: the store. At a bound: refuses; a
 * root is never replaced while its session lives. */
#include "vault/house_in.h"

#include "keys/ca.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* No session lives longer. */
#define ROOT_LIFE (366 * 24 * 3600LL)
#define ROOT_MAX (CA_DER_MAX + 4096)

/* A record: u16 length of the certificate, certificate, key. */
struct root {
	struct keep *record;
	struct span cert, key;
};

static int
root_split(struct keep *record, struct root *out)
{
	struct span s = keep_reveal(record);

	if (s.n < 2)
		return ERR_CRYPTO;
	size_t n = (size_t)s.p[0] << 8 | s.p[1];
	if (n == 0 || s.n - 2 <= n)
		return ERR_CRYPTO;
	out->record = record;
	out->cert = span_of(s.p + 2, n);
	out->key = span_from(s, 2 + n);
	return 0;
}

static int
root_join(struct span cert, struct span key, struct keep **out)
{
	struct keep *k = NULL;
	int r;

	if (cert.n > CA_DER_MAX)
		return ERR_TOO_BIG;
	if ((r = keep_blank(2 + cert.n + key.n, &k)) != 0)
		return r;
	uint8_t *p = keep_bytes(k);
	p[0] = (uint8_t)(cert.n >> 8);
	p[1] = (uint8_t)cert.n;
	memcpy(p + 2, cert.p, cert.n);
	memcpy(p + 2 + cert.n, key.p, key.n);
	*out = k;
	return 0;
}

static int
root_make(struct house *h, const char *session, struct keep **out)
{
	struct keep *key = NULL, *record = NULL;
	struct buf *cert = buf_new(CA_DER_MAX);
	int r = cert == NULL ? ERR_NOMEM : 0;

	if (r == 0 &&
	    (r = ca_root_new(
		 session, (int64_t)time(NULL), ROOT_LIFE, &key, cert)) == 0 &&
	    (r = root_join(buf_span(cert), keep_reveal(key), &record)) == 0)
		r = store_put(
		    h->store, STORE_ROOT, session, 0, keep_reveal(record));
	if (r == 0) {
		*out = record;
		record = NULL;
	}
	keep_free(record);
	keep_free(key);
	buf_free(cert);
	return r;
}

int
house_ca(struct house *h, const char *session, struct span spki,
    const char *const *names, size_t n_names, struct buf *intermediate,
    struct buf *root)
{
	struct keep *record = NULL;
	struct root ca;
	int r;

	if ((r = house_need_open(h, NULL)) != 0)
		return r;
	r = store_get(h->store, STORE_ROOT, session, 0, &record);
	if (r == ERR_NOT_FOUND)
		r = root_make(h, session, &record);
	if (r == 0 && (r = root_split(record, &ca)) == 0 &&
	    (r = ca_root_sign(ca.cert, ca.key, spki, names, n_names,
		 (int64_t)time(NULL), intermediate)) == 0)
		r = buf_put_span(root, ca.cert);
	keep_free(record);
	return r;
}

int
house_forget_session(struct house *h, const char *session)
{
	int r = house_need_open(h, NULL);

	return r != 0 ? r : store_delete(h->store, STORE_ROOT, session, 0);
}

struct sweep {
	bool (*live)(void *ctx, const char *session);
	void *ctx;
	char dead[STORE_NAME_MAX + 1];
};

static int
find_dead(void *ctx, const char *name, uint64_t version)
{
	struct sweep *s = ctx;

	(void)version;
	if (s->live(s->ctx, name))
		return 0;
	snprintf(s->dead, sizeof(s->dead), "%s", name);
	return 1;
}

int
house_sweep_roots(
    struct house *h, bool (*live)(void *ctx, const char *session), void *ctx)
{
	struct sweep s = {.live = live, .ctx = ctx};
	int r = house_need_open(h, NULL);

	while (r == 0) {
		r = store_each(h->store, STORE_ROOT, find_dead, &s);
		if (r != 1)
			break;
		r = store_delete(h->store, STORE_ROOT, s.dead, 0);
	}
	return r;
}
