/* SPDX-License-Identifier: ISC */
/*
 * Building X.509 certificates, for ca.c alone: OpenSSL's calls behind verbs
 * that say what is meant. Each returns an err.
 */
#ifndef KEYS_CERT_H
#define KEYS_CERT_H

#include "lib/buf.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* A certificate in the making: v3, a random serial, subject
 * "O = Hatcheck, CN = name", valid from an hour before now until the given
 * time, for key. The issuer's name is set too (NULL: itself). */
struct cert_frame {
	const char *name;
	int64_t now, until;
	EVP_PKEY *key;
	const X509 *issuer;
};
MUST_USE int cert_new(const struct cert_frame *f, X509 **out);

/* An extension in OpenSSL's configuration syntax; value holds no foreign
 * text. issuer: for the authority key id. */
MUST_USE int cert_extend(
    X509 *cert, const X509 *issuer, int nid, const char *value);
/* One dNSName; host canonical. */
MUST_USE int cert_add_host(X509 *cert, const char *host);
/* Critical name constraints: permitted DNS names, no IP name at all. */
MUST_USE int cert_constrain(
    X509 *cert, const char *const *permitted, size_t n);
MUST_USE int cert_sign(X509 *cert, EVP_PKEY *key);

MUST_USE int cert_put_der(const X509 *cert, struct buf *out);
/* The whole of der, nothing after it. */
MUST_USE int cert_from_der(struct span der, X509 **out);
MUST_USE int cert_until(const X509 *cert, int64_t *out);

#endif
