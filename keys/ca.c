/* SPDX-License-Identifier: ISC */
/* What for: roots, intermediates, leaves. Trusts: OpenSSL; of a gate only
 * that its SPKI, checked here, is its own to spoil. At a bound: an err,
 * never a wider certificate. */
#include "keys/ca.h"

#include "keys/cert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#define SPKI_MAX 256
#define KEY_DER_MAX 1024
#define NAME_MAX_CN 64

struct ca_issuer {
	X509 *root, *intermediate;
	EVP_PKEY *key, *leaf_key;
	NAME_CONSTRAINTS *constraints;
	int64_t until;
};

static int
failed(int err)
{
	ERR_clear_error();
	return err;
}

int
ca_key_new(EVP_PKEY **out)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	if (key == NULL)
		return failed(ERR_CRYPTO);
	*out = key;
	return 0;
}

int
ca_key_spki(const EVP_PKEY *key, struct buf *out)
{
	int n = i2d_PUBKEY(key, NULL);
	uint8_t *p = NULL;

	if (n <= 0 || n > SPKI_MAX)
		return failed(ERR_CRYPTO);
	int r = buf_reserve(out, (size_t)n, &p);
	if (r != 0)
		return r;
	if (i2d_PUBKEY(key, &p) != n)
		return failed(ERR_CRYPTO);
	buf_claim(out, (size_t)n);
	return 0;
}

static bool
is_p256(EVP_PKEY *key)
{
	char group[32] = "";
	size_t n = 0;

	return EVP_PKEY_is_a(key, "EC") == 1 &&
	       EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1 &&
	       strcmp(group, "prime256v1") == 0;
}

/* Encoded again it must be the same bytes: the named curve, a whole point,
 * nothing behind. */
static bool
same_spki(const EVP_PKEY *key, struct span spki)
{
	struct buf *b = buf_new(SPKI_MAX);
	bool same =
	    b != NULL && ca_key_spki(key, b) == 0 && span_eq(buf_span(b), spki);

	buf_free(b);
	return same;
}

static int
spki_parse(struct span spki, EVP_PKEY **out)
{
	const unsigned char *p = spki.p;
	EVP_PKEY *key;

	if (spki.n == 0 || spki.n > SPKI_MAX)
		return ERR_FORMAT;
	key = d2i_PUBKEY(NULL, &p, (long)spki.n);
	if (key == NULL || !is_p256(key) || !same_spki(key, spki)) {
		EVP_PKEY_free(key);
		return failed(ERR_FORMAT);
	}
	*out = key;
	return 0;
}

/* The private half as DER, from and to locked memory. */

static int
key_save(const EVP_PKEY *key, struct keep **out)
{
	int n = i2d_PrivateKey(key, NULL);
	struct keep *k = NULL;

	if (n <= 0 || n > KEY_DER_MAX)
		return failed(ERR_CRYPTO);
	int r = keep_blank((size_t)n, &k);
	if (r != 0)
		return r;
	unsigned char *p = keep_bytes(k);
	if (i2d_PrivateKey(key, &p) != n) {
		keep_free(k);
		return failed(ERR_CRYPTO);
	}
	*out = k;
	return 0;
}

static int
key_load(struct span der, EVP_PKEY **out)
{
	const unsigned char *p = der.p;
	EVP_PKEY *key;

	if (der.n == 0 || der.n > KEY_DER_MAX)
		return ERR_FORMAT;
	key = d2i_AutoPrivateKey(NULL, &p, (long)der.n);
	if (key == NULL || p != der.p + der.n || !is_p256(key)) {
		EVP_PKEY_free(key);
		return failed(ERR_FORMAT);
	}
	*out = key;
	return 0;
}

/* The root. */

/* "Hatcheck session s-...", whose words the caller chose: checked, since
 * it becomes a name. */
static int
root_name(const char *session, char *out, size_t size)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl"
				      "mnopqrstuvwxyz0123456789-_.";
	int n = snprintf(out, size, "Hatcheck session %s", session);

	if (session[0] == '\0' || session[strspn(session, letters)] != '\0' ||
	    n < 0 || (size_t)n >= size)
		return ERR_ARGUMENT;
	return 0;
}

static int
root_cert(const struct cert_frame *f, struct buf *out)
{
	X509 *cert = NULL;
	int r;

	if ((r = cert_new(f, &cert)) == 0 &&
	    (r = cert_extend(cert, NULL, NID_basic_constraints,
		 "critical,CA:TRUE,pathlen:1")) == 0 &&
	    (r = cert_extend(cert, NULL, NID_key_usage,
		 "critical,keyCertSign,cRLSign")) == 0 &&
	    (r = cert_extend(cert, NULL, NID_subject_key_identifier, "hash")) ==
		0 &&
	    (r = cert_sign(cert, f->key)) == 0)
		r = cert_put_der(cert, out);
	X509_free(cert);
	return r;
}

int
ca_root_new(const char *session, int64_t now, int64_t life_s, struct keep **key,
    struct buf *cert)
{
	char name[NAME_MAX_CN + 1];
	struct cert_frame f = {.name = name, .now = now, .until = now + life_s};
	struct keep *saved = NULL;
	int r;

	if (now <= 0 || life_s <= 0)
		return ERR_ARGUMENT;
	if ((r = root_name(session, name, sizeof(name))) != 0 ||
	    (r = ca_key_new(&f.key)) != 0 ||
	    (r = key_save(f.key, &saved)) != 0 ||
	    (r = root_cert(&f, cert)) != 0)
		goto out;
	*key = saved;
	saved = NULL;
out:
	keep_free(saved);
	EVP_PKEY_free(f.key); /* cleanses */
	return r;
}

/* The intermediate. */

/* What a pattern permits: its own name, or the part behind "*.". An IP
 * permits nothing (*out is NULL): no IP name is ever good here. */
static int
permitted_name(const char *pattern, const char **out)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	const char *name =
	    strncmp(pattern, "*.", 2) == 0 ? pattern + 2 : pattern;
	const char *dot = strrchr(name, '.');
	const char *last = dot == NULL ? name : dot + 1;

	*out = NULL;
	if (name[0] == '[')
		return 0;
	if (name[0] == '\0' || name[0] == '.' || last[0] == '\0' ||
	    strlen(name) > 253 || name[strspn(name, letters)] != '\0')
		return ERR_FORMAT;
	if (last[strspn(last, "0123456789")] != '\0')
		*out = name;
	return 0;
}

static int
constrain(X509 *cert, const char *const *patterns, size_t n)
{
	const char *names[CA_NAMES_MAX];
	size_t n_names = 0;

	if (n > CA_NAMES_MAX)
		return ERR_TOO_BIG;
	for (size_t i = 0; i < n; i++) {
		const char *name;

		if (permitted_name(patterns[i], &name) != 0)
			return ERR_FORMAT;
		if (name != NULL)
			names[n_names++] = name;
	}
	/* An empty list of permitted names would permit every one. */
	if (n_names == 0)
		names[n_names++] = CA_NO_HOST;
	return cert_constrain(cert, names, n_names);
}

static int
gate_name(char *out, size_t size)
{
	unsigned char id[8];

	if (RAND_bytes(id, sizeof(id)) != 1)
		return failed(ERR_CRYPTO);
	(void)snprintf(out, size,
	    "Hatcheck gate %02x%02x%02x%02x%02x%02x"
	    "%02x%02x",
	    id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7]);
	return 0;
}

static int
intermediate_cert(const struct cert_frame *f, EVP_PKEY *root_key,
    const char *const *patterns, size_t n, struct buf *out)
{
	X509 *cert = NULL;
	int r;

	if ((r = cert_new(f, &cert)) == 0 &&
	    (r = cert_extend(cert, f->issuer, NID_basic_constraints,
		 "critical,CA:TRUE,pathlen:0")) == 0 &&
	    (r = cert_extend(cert, f->issuer, NID_key_usage,
		 "critical,keyCertSign,cRLSign")) == 0 &&
	    (r = cert_extend(
		 cert, f->issuer, NID_ext_key_usage, "serverAuth")) == 0 &&
	    (r = cert_extend(
		 cert, f->issuer, NID_subject_key_identifier, "hash")) == 0 &&
	    (r = cert_extend(cert, f->issuer, NID_authority_key_identifier,
		 "keyid:always")) == 0 &&
	    (r = constrain(cert, patterns, n)) == 0 &&
	    (r = cert_sign(cert, root_key)) == 0)
		r = cert_put_der(cert, out);
	X509_free(cert);
	return r;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int
ca_root_sign(struct span root, struct span root_key, struct span spki,
    const char *const *names, size_t n_names, int64_t now, struct buf *cert)
{
	char name[NAME_MAX_CN + 1];
	struct cert_frame f = {.name = name, .now = now};
	X509 *issuer = NULL;
	EVP_PKEY *signer = NULL;
	int64_t root_until = 0;
	int r;

	if ((r = cert_from_der(root, &issuer)) != 0 ||
	    (r = key_load(root_key, &signer)) != 0 ||
	    (r = cert_until(issuer, &root_until)) != 0 ||
	    (r = spki_parse(spki, &f.key)) != 0 ||
	    (r = gate_name(name, sizeof(name))) != 0)
		goto out;
	if (X509_check_private_key(issuer, signer) != 1) {
		r = failed(ERR_CRYPTO);
		goto out;
	}
	if (now >= root_until) {
		r = ERR_EXPIRED;
		goto out;
	}
	f.issuer = issuer;
	f.until = earlier(now + CA_INTERMEDIATE_LIFE, root_until);
	r = intermediate_cert(&f, signer, names, n_names, cert);
out:
	EVP_PKEY_free(f.key);
	EVP_PKEY_free(signer);
	X509_free(issuer);
	return r;
}

/* Leaves. */

void
ca_issuer_free(struct ca_issuer *c)
{
	if (c == NULL)
		return;
	X509_free(c->root);
	X509_free(c->intermediate);
	EVP_PKEY_free(c->key);
	EVP_PKEY_free(c->leaf_key);
	NAME_CONSTRAINTS_free(c->constraints);
	free(c);
}

/* Is the intermediate for our key, signed by the root, a constrained CA? */
static int
issuer_check(struct ca_issuer *c)
{
	EVP_PKEY *root_key = X509_get0_pubkey(c->root);

	if (root_key == NULL || X509_verify(c->intermediate, root_key) != 1 ||
	    X509_check_private_key(c->intermediate, c->key) != 1 ||
	    X509_check_ca(c->intermediate) != 1)
		return failed(ERR_CRYPTO);
	c->constraints =
	    X509_get_ext_d2i(c->intermediate, NID_name_constraints, NULL, NULL);
	return c->constraints == NULL ? failed(ERR_CRYPTO) : 0;
}

int
ca_issuer_open(struct span intermediate, struct span root, EVP_PKEY *key,
    int64_t now, struct ca_issuer **out)
{
	struct ca_issuer *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return ERR_NOMEM;
	if (EVP_PKEY_up_ref(key) != 1) {
		free(c);
		return failed(ERR_CRYPTO);
	}
	c->key = key;
	if ((r = cert_from_der(intermediate, &c->intermediate)) != 0 ||
	    (r = cert_from_der(root, &c->root)) != 0 ||
	    (r = issuer_check(c)) != 0 ||
	    (r = cert_until(c->intermediate, &c->until)) != 0 ||
	    (r = now >= c->until ? ERR_EXPIRED : 0) != 0 ||
	    (r = ca_key_new(&c->leaf_key)) != 0) {
		ca_issuer_free(c);
		return r;
	}
	*out = c;
	return 0;
}

EVP_PKEY *
ca_issuer_leaf_key(const struct ca_issuer *c)
{
	return c->leaf_key;
}

X509 *
ca_issuer_intermediate(const struct ca_issuer *c)
{
	return c->intermediate;
}

X509 *
ca_issuer_root(const struct ca_issuer *c)
{
	return c->root;
}

int64_t
ca_issuer_expires(const struct ca_issuer *c)
{
	return c->until;
}

static int
leaf_cert(const struct ca_issuer *c, const struct cert_frame *f, X509 **out)
{
	X509 *cert = NULL;
	int r;

	if ((r = cert_new(f, &cert)) != 0 ||
	    (r = cert_extend(cert, f->issuer, NID_basic_constraints,
		 "critical,CA:FALSE")) != 0 ||
	    (r = cert_extend(cert, f->issuer, NID_key_usage,
		 "critical,digitalSignature")) != 0 ||
	    (r = cert_extend(
		 cert, f->issuer, NID_ext_key_usage, "serverAuth")) != 0 ||
	    (r = cert_extend(cert, f->issuer, NID_authority_key_identifier,
		 "keyid:always")) != 0 ||
	    (r = cert_add_host(cert, f->name)) != 0)
		goto fail;
	/* The check reads what check_purpose takes in of a whole cert. */
	if ((r = cert_sign(cert, c->key)) != 0)
		goto fail;
	r = ERR_DENIED;
	if (X509_check_purpose(cert, -1, -1) != 1 ||
	    NAME_CONSTRAINTS_check(cert, c->constraints) != X509_V_OK)
		goto fail;
	*out = cert;
	return 0;
fail:
	X509_free(cert);
	return failed(r);
}

int
ca_leaf(const struct ca_issuer *c, const char *host, int64_t now, X509 **out)
{
	struct cert_frame f = {.name = host,
	    .now = now,
	    .until = c->until,
	    .key = c->leaf_key,
	    .issuer = c->intermediate};
	const char *name = NULL;

	if (host[0] == '*' || permitted_name(host, &name) != 0 || name == NULL)
		return ERR_FORMAT;
	if (now >= c->until)
		return ERR_EXPIRED;
	return leaf_cert(c, &f, out);
}

int
ca_pem(struct span der, struct buf *out)
{
	X509 *cert = NULL;
	BIO *bio = NULL;
	char *text = NULL;
	int r = cert_from_der(der, &cert);

	if (r != 0)
		return r;
	if ((bio = BIO_new(BIO_s_mem())) == NULL ||
	    PEM_write_bio_X509(bio, cert) != 1)
		r = failed(ERR_CRYPTO);
	if (r == 0) {
		long n = BIO_get_mem_data(bio, &text);

		r = n <= 0 ? ERR_CRYPTO : buf_put(out, text, (size_t)n);
	}
	BIO_free(bio);
	X509_free(cert);
	return r;
}
