/* SPDX-License-Identifier: ISC */
/* A guest of driver.h that speaks TLS: a real OpenSSL client. */
#ifndef TESTS_UNIT_GATE_CLIENT_H
#define TESTS_UNIT_GATE_CLIENT_H

#include "tests/unit/gate/driver.h"

struct client {
	struct guest g;
	SSL_CTX *ctx;
	SSL *ssl;
	int failed;	     /* the handshake did */
	const char *alpn;    /* as on the wire, or NULL */
	int version;	     /* at most; 0: the newest */
	SSL_SESSION *ticket; /* to show, or NULL */
};

static inline void
connect_to(struct house *h, struct guest *g, const char *authority, uint8_t way)
{
	come(h, g);
	say(g, "ATTACH %s\r\nCONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", h->token,
	    authority, authority);
	assert_int_equal(g->n, 0);
	allow_connect(h, way);
	take(g);
	assert_string_equal(g->got, "HTTP/1.1 200 OK\r\n\r\n");
	hush(g);
}

static inline bool
again(struct client *c, int r)
{
	int e = SSL_get_error(c->ssl, r);

	turn(c->g.house);
	return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
}

static inline void
start_tls(struct client *c, const char *sni)
{
	struct house *h = c->g.house;
	struct span der = buf_span(h->root);
	const uint8_t *p = der.p;
	X509 *root = d2i_X509(NULL, &p, (long)der.n);
	int r;

	if (c->ctx == NULL) {
		assert_int_equal(tls_client_context(&c->ctx), 0);
		X509_STORE_add_cert(SSL_CTX_get_cert_store(c->ctx), root);
	}
	X509_free(root);
	c->ssl = SSL_new(c->ctx);
	if (sni != NULL) {
		SSL_set_tlsext_host_name(c->ssl, sni);
		SSL_set1_host(c->ssl, sni);
	}
	if (c->alpn != NULL)
		assert_int_equal(
		    SSL_set_alpn_protos(c->ssl, (const uint8_t *)c->alpn,
			(unsigned)strlen(c->alpn)),
		    0);
	if (c->ticket != NULL)
		assert_int_equal(SSL_set_session(c->ssl, c->ticket), 1);
	SSL_set_max_proto_version(c->ssl, c->version);
	SSL_set_fd(c->ssl, c->g.fd);
	while ((r = SSL_connect(c->ssl)) != 1) {
		if (!again(c, r)) {
			c->failed = 1;
			return;
		}
	}
	c->failed = 0;
}

static inline void
tell(struct client *c, const char *text)
{
	int r;

	while ((r = SSL_write(c->ssl, text, (int)strlen(text))) <= 0)
		assert_true(again(c, r));
	turn(c->g.house);
}

static inline void
hear(struct client *c)
{
	int r, dry = 0;

	while (dry < 3) {
		r = SSL_read(c->ssl, c->g.got + c->g.n,
		    (int)(sizeof(c->g.got) - 1 - c->g.n));
		if (r > 0)
			c->g.n += (size_t)r;
		else if (!again(c, r))
			break;
		else
			dry++;
	}
	c->g.end = dry < 3;
	c->g.got[c->g.n] = '\0';
}

static inline void
go(struct client *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	leave(&c->g);
}

#endif
