/* SPDX-License-Identifier: ISC */
/* What for: X.509 certificates by OpenSSL. Trusts: OpenSSL; its caller for
 * names without foreign text. At a bound: an err, and an empty OpenSSL
 * error queue. */
#include "keys/cert.h"

#include "keys/ca.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <time.h>

#define SERIAL_BYTES 16
#define CN_MAX 64 /* ub-common-name */

/* OpenSSL leaves its reasons in a queue that the next TLS call would take
 * for its own. */
static int
failed(void)
{
	ERR_clear_error();
	return ERR_CRYPTO;
}

static int
set_serial(X509 *cert)
{
	unsigned char bytes[SERIAL_BYTES];
	BIGNUM *n = NULL;
	int r = ERR_CRYPTO;

	if (RAND_bytes(bytes, sizeof(bytes)) == 1 &&
	    (n = BN_bin2bn(bytes, sizeof(bytes), NULL)) != NULL &&
	    BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL)
		r = 0;
	BN_free(n);
	return r;
}

static int
add_entry(X509_NAME *name, int nid, const char *text)
{
	return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_ASC,
		   (const unsigned char *)text, -1, -1, 0) == 1
		   ? 0
		   : ERR_CRYPTO;
}

/* A host name longer than a CN may be is in the SAN alone. */
static int
set_subject(X509 *cert, const char *cn)
{
	X509_NAME *name = X509_get_subject_name(cert);
	int r = add_entry(name, NID_organizationName, "Hatcheck");

	if (r == 0 && strlen(cn) <= CN_MAX)
		r = add_entry(name, NID_commonName, cn);
	return r;
}

static int
fill(X509 *cert, const struct cert_frame *f)
{
	const X509 *issuer = f->issuer == NULL ? cert : f->issuer;

	if (X509_set_version(cert, X509_VERSION_3) != 1 ||
	    set_serial(cert) != 0 || set_subject(cert, f->name) != 0 ||
	    X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1 ||
	    ASN1_TIME_set(X509_getm_notBefore(cert), f->now - CA_BACKDATE) ==
		NULL ||
	    ASN1_TIME_set(X509_getm_notAfter(cert), f->until) == NULL ||
	    X509_set_pubkey(cert, f->key) != 1)
		return ERR_CRYPTO;
	return 0;
}

int
cert_new(const struct cert_frame *f, X509 **out)
{
	X509 *cert = X509_new();

	if (cert == NULL)
		return ERR_NOMEM;
	if (fill(cert, f) != 0) {
		X509_free(cert);
		return failed();
	}
	*out = cert;
	return 0;
}

int
cert_extend(X509 *cert, const X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *e = NULL;
	X509V3_CTX ctx;
	int r = 0;

	X509V3_set_ctx_nodb(&ctx);
	/* The context is only read. */
	X509V3_set_ctx(
	    &ctx, issuer == NULL ? cert : (X509 *)issuer, cert, NULL, NULL, 0);
	if ((e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value)) == NULL ||
	    X509_add_ext(cert, e, -1) != 1)
		r = failed();
	X509_EXTENSION_free(e);
	return r;
}

/* A dNSName, or an iPAddress of n zero bytes (address and mask: all). */

static GENERAL_NAME *
dns_name(const char *host)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();

	if (g == NULL || s == NULL || ASN1_STRING_set(s, host, -1) != 1) {
		GENERAL_NAME_free(g);
		ASN1_IA5STRING_free(s);
		return NULL;
	}
	GENERAL_NAME_set0_value(g, GEN_DNS, s);
	return g;
}

static GENERAL_NAME *
every_ip(int n)
{
	static const unsigned char zero[32];
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();

	if (g == NULL || s == NULL || ASN1_OCTET_STRING_set(s, zero, n) != 1) {
		GENERAL_NAME_free(g);
		ASN1_OCTET_STRING_free(s);
		return NULL;
	}
	GENERAL_NAME_set0_value(g, GEN_IPADD, s);
	return g;
}

int
cert_add_host(X509 *cert, const char *host)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *g = dns_name(host);
	int r = 0;

	if (names == NULL || g == NULL || sk_GENERAL_NAME_push(names, g) <= 0) {
		GENERAL_NAME_free(g);
		r = failed();
	} else if (X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) !=
		   1)
		r = failed();
	GENERAL_NAMES_free(names);
	return r;
}

/* Takes g. */
static int
push(STACK_OF(GENERAL_SUBTREE) * *list, GENERAL_NAME *g)
{
	GENERAL_SUBTREE *t = GENERAL_SUBTREE_new();

	if (*list == NULL)
		*list = sk_GENERAL_SUBTREE_new_null();
	if (g == NULL || t == NULL || *list == NULL ||
	    sk_GENERAL_SUBTREE_push(*list, t) <= 0) {
		GENERAL_NAME_free(g);
		GENERAL_SUBTREE_free(t);
		return failed();
	}
	GENERAL_NAME_free(t->base);
	t->base = g;
	return 0;
}

int
cert_constrain(X509 *cert, const char *const *permitted, size_t n)
{
	NAME_CONSTRAINTS *nc = NAME_CONSTRAINTS_new();
	int r = nc == NULL ? ERR_NOMEM : 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = push(&nc->permittedSubtrees, dns_name(permitted[i]));
	if (r == 0)
		r = push(&nc->excludedSubtrees, every_ip(8));
	if (r == 0)
		r = push(&nc->excludedSubtrees, every_ip(32));
	if (r == 0 &&
	    X509_add1_ext_i2d(cert, NID_name_constraints, nc, 1, 0) != 1)
		r = failed();
	NAME_CONSTRAINTS_free(nc);
	return r;
}

int
cert_sign(X509 *cert, EVP_PKEY *key)
{
	return X509_sign(cert, key, EVP_sha256()) > 0 ? 0 : failed();
}

int
cert_put_der(const X509 *cert, struct buf *out)
{
	int n = i2d_X509(cert, NULL);
	uint8_t *p = NULL;

	if (n <= 0 || n > CA_DER_MAX)
		return failed();
	int r = buf_reserve(out, (size_t)n, &p);
	if (r != 0)
		return r;
	if (i2d_X509(cert, &p) != n)
		return failed();
	buf_claim(out, (size_t)n);
	return 0;
}

int
cert_from_der(struct span der, X509 **out)
{
	const unsigned char *p = der.p;
	X509 *cert;

	if (der.n == 0 || der.n > CA_DER_MAX)
		return ERR_FORMAT;
	cert = d2i_X509(NULL, &p, (long)der.n);
	if (cert == NULL || p != der.p + der.n) {
		X509_free(cert);
		ERR_clear_error();
		return ERR_FORMAT;
	}
	*out = cert;
	return 0;
}

int
cert_until(const X509 *cert, int64_t *out)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
		return failed();
	*out = timegm(&tm);
	return 0;
}
