/* SPDX-License-Identifier: ISC */
/*
 * The session's CA: a root that the vault keeps for the session's life, an
 * intermediate that a gate holds for a day, leaves that the gate issues.
 * P-256 throughout; serial numbers are 128 random bits; times are Unix
 * seconds of the wall clock, and every notBefore lies an hour back.
 *
 *	vault:	ca_root_new -> (store key and certificate) -> ca_root_sign
 *	gate:	ca_key_new, ca_key_spki -> (vault) -> ca_issuer_open -> ca_leaf
 *
 * The root's private key is in ordinary OpenSSL memory only during the
 * calls that make or use it, and cleansed after.
 */
#ifndef KEYS_CA_H
#define KEYS_CA_H

#include "lib/buf.h"
#include "lib/secret.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#define CA_INTERMEDIATE_LIFE (24 * 3600)
#define CA_BACKDATE 3600
#define CA_DER_MAX 16384
#define CA_NAMES_MAX 256
/* What the intermediate is constrained to when a session has no host. */
#define CA_NO_HOST "no-host.invalid"

/* A root "Hatcheck session SESSION": CA:TRUE, pathlen 1, keyCertSign and
 * cRLSign, valid life_s from now. The certificate is appended to *cert. */
MUST_USE int ca_root_new(const char *session, int64_t now, int64_t life_s,
    struct keep **key, struct buf *cert);

/* An intermediate for a gate's key. names: canonical host patterns (a port
 * is no part of them): "*.x" permits "x" and so all below it, which is as
 * narrow as RFC 5280 can say; IP literals permit nothing. All IPv4 and IPv6
 * names are excluded. Never outlives the root. ERR_FORMAT: spki is no
 * P-256 key, or a name is no pattern; ERR_EXPIRED: the root is. */
MUST_USE int ca_root_sign(struct span root, struct span root_key,
    struct span spki, const char *const *names, size_t n_names, int64_t now,
    struct buf *cert);

/* The gate's key, and its public half as DER SubjectPublicKeyInfo. */
MUST_USE int ca_key_new(EVP_PKEY **out);
MUST_USE int ca_key_spki(const EVP_PKEY *key, struct buf *out);

/* An issuer of leaves. Takes a reference on key. Checks that intermediate
 * is for key and signed by root. It makes one key that all leaves share. */
struct ca_issuer;
MUST_USE int ca_issuer_open(struct span intermediate, struct span root,
    EVP_PKEY *key, int64_t now, struct ca_issuer **out);
void ca_issuer_free(struct ca_issuer *c);
/* Borrowed. */
EVP_PKEY *ca_issuer_leaf_key(const struct ca_issuer *c);
X509 *ca_issuer_intermediate(const struct ca_issuer *c);
X509 *ca_issuer_root(const struct ca_issuer *c);
/* When the intermediate ends: ask for a new one well before. */
int64_t ca_issuer_expires(const struct ca_issuer *c);

/* A leaf for one canonical host name (no pattern, no IP: ERR_FORMAT), EKU
 * serverAuth, valid as long as the intermediate. ERR_DENIED: outside its
 * constraints. ERR_EXPIRED. X509_free. */
MUST_USE int ca_leaf(
    const struct ca_issuer *c, const char *host, int64_t now, X509 **out);

/* DER certificate to PEM, for the guest's trust files. */
MUST_USE int ca_pem(struct span der, struct buf *out);

#endif
