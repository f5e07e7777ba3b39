/* SPDX-License-Identifier: ISC */
/*
 * OpenSSL contexts as Hatcheck wants them, for both sides: TLS 1.2 and 1.3
 * only, AEAD suites with forward secrecy, no renegotiation, no
 * compression, no 0-RTT, no configuration file.
 */
#ifndef EGRESS_HTTP_TLS_H
#define EGRESS_HTTP_TLS_H

#include "lib/err.h"
#include "lib/span.h"

#include <openssl/ssl.h>

/* Initialise OpenSSL whole, without its configuration file, so that
 * nothing is opened or loaded after the jail. Call it before
 * jail_enter(). */
MUST_USE int tls_init(void);

/* A server: tickets with keys of this context alone, so they never resume
 * in another session's gate. By TLS 1.3 none is sent unasked (stream.h sends
 * one). ALPN: h2 is chosen when the client offers it, else http/1.1; any other
 * offer is refused by alert; no offer is fine. */
MUST_USE int tls_server_context(SSL_CTX **out);

/* A client that verifies chain, name and dates; trust is empty: the caller
 * adds it (X509_STORE of the context). No session cache. */
MUST_USE int tls_client_context(SSL_CTX **out);

/* One client connection to a canonical host (an IP literal, brackets and
 * all, is checked as an IP and sends no SNI): SNI, name check without
 * partial wildcards, ALPN http/1.1, and before it h2 if so. */
MUST_USE int tls_client(SSL_CTX *ctx, const char *host, bool h2, SSL **out);
/* What the server chose (for either end), after the handshake; nothing chosen
 * is HTTP/1.1. ERR_CRYPTO: something that was not offered. */
MUST_USE int tls_chosen(const SSL *ssl, bool offered_h2, bool *h2);
/* One server connection with a leaf, its key, and the intermediate to send
 * along. References are taken. A ticket resumes under the leaf that it was
 * given under, and under no other. */
MUST_USE int tls_server(
    SSL_CTX *ctx, X509 *leaf, EVP_PKEY *key, X509 *intermediate, SSL **out);

/* The newest OpenSSL error's reason, a constant string, and the queue is
 * emptied. For host logs only. */
const char *tls_why(void);

#endif
