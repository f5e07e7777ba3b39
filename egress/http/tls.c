/* SPDX-License-Identifier: ISC */
/* What for: OpenSSL set up once, the same for both sides.
 * Trusts: OpenSSL. Never its configuration file or environment.
 * At a bound: ERR_NOMEM or ERR_CRYPTO; nothing is loosened. */
#include "egress/http/tls.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define OPTIONS                                                 \
	(SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |      \
	    SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_SSLv3 | \
	    SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1)
#define READ_BUFFER 32768
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
/* A server chooses: first what costs least of what is worth as much as X25519
 * and P-256, which key exchange and leaf are. Processors have instructions for
 * SHA-256 and none for SHA-384, and a handshake hashes a lot. */
#define SERVED_CIPHERS "ECDHE+AES128+AESGCM:" CIPHERS
#define SERVED_SUITES                                    \
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:" \
	"TLS_CHACHA20_POLY1305_SHA256"

/* What we rather speak comes first. */
static const uint8_t served[] = "\x02h2\x08http/1.1";
static const uint8_t protocols[] = "\x08http/1.1";

const char *
tls_why(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *s = e == 0 ? NULL : ERR_reason_error_string(e);

	ERR_clear_error();
	return s == NULL ? "no reason given" : s;
}

int
tls_init(void)
{
	uint64_t crypto = OPENSSL_INIT_NO_LOAD_CONFIG |
			  OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
			  OPENSSL_INIT_ADD_ALL_CIPHERS |
			  OPENSSL_INIT_ADD_ALL_DIGESTS | OPENSSL_INIT_NO_ATEXIT;
	SSL_CTX *warm = NULL;
	int r;

	if (OPENSSL_init_crypto(crypto, NULL) != 1 ||
	    OPENSSL_init_ssl(
		OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS,
		NULL) != 1 ||
	    RAND_status() != 1)
		return ERR_CRYPTO;
	/* Makes OpenSSL fetch what it would fetch later. */
	if ((r = tls_server_context(&warm)) != 0)
		return r;
	SSL_CTX_free(warm);
	return 0;
}

static int
common(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, OPTIONS);
	/* A read takes what is there, not one record's head, then its body. */
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, READ_BUFFER);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
		       SSL_CTX_set_cipher_list(ctx, CIPHERS) == 1
		   ? 0
		   : ERR_CRYPTO;
}

static int
choose_protocol(SSL *ssl, const uint8_t **out, uint8_t *out_n,
    const uint8_t *in, unsigned in_n, void *arg)
{
	uint8_t *chosen;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, out_n, served,
		sizeof(served) - 1, in, in_n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

int
tls_server_context(SSL_CTX **out)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL)
		return ERR_NOMEM;
	if (common(ctx) != 0 ||
	    SSL_CTX_set_cipher_list(ctx, SERVED_CIPHERS) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, SERVED_SUITES) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_set_max_early_data(ctx, 0) != 1) {
		SSL_CTX_free(ctx);
		return ERR_CRYPTO;
	}
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	*out = ctx;
	return 0;
}

int
tls_client_context(SSL_CTX **out)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		return ERR_NOMEM;
	/* Yes: 0 is success here, unlike everywhere else in OpenSSL. */
	if (common(ctx) != 0 || SSL_CTX_set_alpn_protos(ctx, protocols,
				    sizeof(protocols) - 1) != 0) {
		SSL_CTX_free(ctx);
		return ERR_CRYPTO;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	*out = ctx;
	return 0;
}

static bool
is_ip(const char *host)
{
	return host[0] == '[' || strspn(host, "0123456789.") == strlen(host);
}

static int
expect_ip(SSL *ssl, const char *host)
{
	char ip[64];
	struct span s = span_str(host);

	if (s.n > 2 && s.p[0] == '[')
		s = span_of(s.p + 1, s.n - 2);
	return span_copy(s, ip, sizeof(ip)) == 0 &&
	       X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), ip) == 1;
}

static int
expect_name(SSL *ssl, const char *host)
{
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
				   X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	return SSL_set1_host(ssl, host) == 1 &&
	       SSL_set_tlsext_host_name(ssl, host) == 1;
}

int
tls_client(SSL_CTX *ctx, const char *host, bool h2, SSL **out)
{
	static const uint8_t both[] = "\x02h2\x08http/1.1";
	SSL *ssl = SSL_new(ctx);

	if (ssl == NULL)
		return ERR_NOMEM;
	if (!(is_ip(host) ? expect_ip(ssl, host) : expect_name(ssl, host))) {
		SSL_free(ssl);
		return ERR_CRYPTO;
	}
	/* 0 is success here, too. */
	if (h2 && SSL_set_alpn_protos(ssl, both, sizeof(both) - 1) != 0) {
		SSL_free(ssl);
		return ERR_CRYPTO;
	}
	SSL_set_connect_state(ssl);
	*out = ssl;
	return 0;
}

int
tls_chosen(const SSL *ssl, bool offered_h2, bool *h2)
{
	const uint8_t *name = NULL;
	unsigned n = 0;

	SSL_get0_alpn_selected(ssl, &name, &n);
	*h2 = offered_h2 && n == 2 && memcmp(name, "h2", 2) == 0;
	if (n == 0 || *h2 || (n == 8 && memcmp(name, "http/1.1", 8) == 0))
		return 0;
	return ERR_CRYPTO;
}

/* To whoever connects from now on. OpenSSL takes long over it, and mostly it is
 * what was presented before. */
static int
present(SSL_CTX *ctx, X509 *leaf, EVP_PKEY *key, X509 *intermediate)
{
	uint8_t id[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (SSL_CTX_get_app_data(ctx) == leaf)
		return 0; /* of which ctx has a reference */
	if (SSL_CTX_set_app_data(ctx, NULL) != 1 ||
	    X509_digest(leaf, EVP_sha256(), id, &n) != 1 ||
	    SSL_CTX_set_session_id_context(ctx, id, n) != 1 ||
	    SSL_CTX_use_certificate(ctx, leaf) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, key) != 1 ||
	    SSL_CTX_clear_chain_certs(ctx) != 1 ||
	    SSL_CTX_add1_chain_cert(ctx, intermediate) != 1 ||
	    SSL_CTX_set_app_data(ctx, leaf) != 1)
		return ERR_CRYPTO;
	return 0;
}

int
tls_server(
    SSL_CTX *ctx, X509 *leaf, EVP_PKEY *key, X509 *intermediate, SSL **out)
{
	int r = present(ctx, leaf, key, intermediate);
	SSL *ssl;

	if (r != 0)
		return r;
	if ((ssl = SSL_new(ctx)) == NULL)
		return ERR_NOMEM;
	SSL_set_accept_state(ssl);
	*out = ssl;
	return 0;
}
