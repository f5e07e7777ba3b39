/* SPDX-License-Identifier: ISC */
/* What for: trust anchors for upstream TLS. Trusts: the system's own
 * directory of them, and the owner's grants. At a bound: an error, and
 * nothing is connected. */
#include "egress/courier/anchors.h"

#include "egress/http/tls.h"

#include <openssl/pem.h>
#include <sodium.h>
#include <stdlib.h>

#define SYSTEM_ANCHORS "/etc/ssl/certs"

struct own {
	struct own *next;
	char *pem;
	SSL_CTX *ctx;
};

struct anchors {
	SSL_CTX *system;
	struct own *own;
};

/* Read as needed, by the hash of a name. */
static int
add_system(SSL_CTX *ctx)
{
	return X509_STORE_load_path(
		   SSL_CTX_get_cert_store(ctx), SYSTEM_ANCHORS) == 1
		   ? 0
		   : ERR_IO;
}

int
anchors_new(struct anchors **out)
{
	struct anchors *a = calloc(1, sizeof(*a));
	int r = a == NULL ? ERR_NOMEM : tls_client_context(&a->system);

	if (r == 0)
		r = add_system(a->system);
	if (r != 0) {
		anchors_free(a);
		return r;
	}
	*out = a;
	return 0;
}

void
anchors_free(struct anchors *a)
{
	if (a == NULL)
		return;
	anchors_forget(a);
	SSL_CTX_free(a->system);
	free(a);
}

void
anchors_forget(struct anchors *a)
{
	while (a->own != NULL) {
		struct own *o = a->own;
		a->own = o->next;
		SSL_CTX_free(o->ctx);
		free(o->pem);
		free(o);
	}
}

static int
add_pem(X509_STORE *store, const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509 *x;
	int n = 0, r = b == NULL ? ERR_NOMEM : 0;

	while (r == 0 && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
		r = X509_STORE_add_cert(store, x) == 1 ? 0 : ERR_NOMEM;
		X509_free(x);
		n++;
	}
	BIO_free(b);
	(void)tls_why(); /* the end of the text is an "error" too */
	return r != 0 ? r : n == 0 ? ERR_FORMAT : 0;
}

static int
make_own(struct anchors *a, const char *pem, SSL_CTX **out)
{
	struct own *o = calloc(1, sizeof(*o));
	int r;

	if (o == NULL)
		return ERR_NOMEM;
	o->pem = strdup(pem);
	r = o->pem == NULL ? ERR_NOMEM : tls_client_context(&o->ctx);
	if (r == 0)
		r = add_pem(SSL_CTX_get_cert_store(o->ctx), pem);
	if (r == 0)
		r = add_system(o->ctx);
	if (r != 0) {
		SSL_CTX_free(o->ctx);
		free(o->pem);
		free(o);
		return r;
	}
	o->next = a->own;
	a->own = o;
	*out = o->ctx;
	return 0;
}

int
anchors_context(struct anchors *a, const char *pem, SSL_CTX **out)
{
	struct own *o = a->own;

	if (pem == NULL) {
		*out = a->system;
		return 0;
	}
	while (o != NULL && strcmp(o->pem, pem) != 0)
		o = o->next;
	if (o == NULL)
		return make_own(a, pem, out);
	*out = o->ctx;
	return 0;
}

void
anchors_digest(const char *pem, uint8_t out[static ANCHORS_DIGEST])
{
	sodium_memzero(out, ANCHORS_DIGEST); /* the system's */
	if (pem != NULL)
		(void)crypto_generichash(out, ANCHORS_DIGEST,
		    (const uint8_t *)pem, strlen(pem), NULL, 0);
}
