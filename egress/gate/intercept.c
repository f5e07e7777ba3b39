/* SPDX-License-Identifier: ISC */
/* What for: our TLS towards the guest, under the session's CA.
 * Trusts: the courier that this host is to be intercepted.
 * At a bound: no leaf, no connection. */
#include "egress/gate/conn.h"

#include "egress/http/tls.h"

static int
find_leaf(struct conn *c, X509 **leaf)
{
	if (c->g->leaves == NULL)
		return ERR_UNAVAILABLE;
	return leaf_cache_get(
	    c->g->leaves, c->host.name, gate_now().wall_s, leaf);
}

int
intercept_check(struct conn *c)
{
	X509 *leaf;

	return find_leaf(c, &leaf);
}

static int
make_tls(struct conn *c, SSL **ssl)
{
	struct leaf_cache *leaves = c->g->leaves;
	X509 *leaf;
	int r = find_leaf(c, &leaf);

	if (r != 0)
		return r;
	const struct ca_issuer *issuer = leaf_cache_issuer(leaves);
	return tls_server(c->g->tls, leaf, ca_issuer_leaf_key(issuer),
	    ca_issuer_intermediate(issuer), ssl);
}

bool
intercept_start(struct conn *c)
{
	SSL *ssl;
	int r = make_tls(c, &ssl);

	if (r == 0)
		r = stream_start_tls(c->s, ssl);
	if (r != 0) {
		log_event(LOG_WARN, "no_leaf", LOG_STR("host", c->host.name),
		    LOG_ERR(r));
		conn_free(c);
		return false;
	}
	c->state = CONN_SHAKING;
	conn_deadline(c, c->g->bounds.head_seconds);
	return false;
}

void
intercept_open(struct conn *c)
{
	const char *name =
	    SSL_get_servername(stream_ssl(c->s), TLSEXT_NAMETYPE_host_name);
	struct host h;
	bool h2;

	/* Once more: a second hello may have named another. TLS 1.2 has none,
	 * and OpenSSL forgets the name when it resumes. */
	if (SSL_version(stream_ssl(c->s)) >= TLS1_3_VERSION &&
	    (name == NULL || host_parse(span_str(name), &h) != 0 ||
		strcmp(h.name, c->host.name) != 0)) {
		conn_note(c, REASON_NAMES_DISAGREE, NULL, &c->host, c->port);
		conn_free(c);
		return;
	}
	c->intercepted = true;
	c->state = CONN_HTTP;
	conn_deadline(c, c->g->bounds.head_seconds);
	if (tls_chosen(stream_ssl(c->s), true, &h2) != 0 ||
	    (h2 && front_h2_begin(c) != 0)) {
		conn_free(c);
		return;
	}
	conn_process(c);
}
