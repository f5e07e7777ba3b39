/* SPDX-License-Identifier: ISC */
/*
 * What is publicly known of a credential: its name, kind, the hosts that
 * its owner bound it to, and how its placeholders look. Kept by the vault
 * beside the value; read by minter, courier and CLI. The JSON shape is in
 * docs/ARCHITECTURE.md, "Credential metadata". Never the value.
 */
#ifndef SCOPE_METADATA_H
#define SCOPE_METADATA_H

#include "scope/grant.h"

#include <jansson.h>

#define METADATA_JSON_MAX (64 * 1024)
#define METADATA_KIND_MAX 33
#define METADATA_NOTE_MAX 257
#define METADATA_BINDINGS_MAX 32
#define METADATA_ENV_MAX 16
#define METADATA_SLOT_TEXT_MAX 129
#define PLACEHOLDER_LENGTH_MIN 24
#define PLACEHOLDER_LENGTH_MAX 256
#define PLACEHOLDER_MAX (PLACEHOLDER_LENGTH_MAX + 1) /* with NUL */
#define PLACEHOLDER_FREE_MIN 16 /* random characters at the least */

/* Where a credential goes in a request. */
enum slot_type {
	SLOT_DEFAULT = 0, /* the binding named none: the kind's (only on the
			   * way into the vault, which fills it in) */
	SLOT_BEARER,	  /* Authorization: Bearer VALUE */
	SLOT_HEADER,	  /* name: prefix VALUE */
	SLOT_BASIC,	  /* Authorization: Basic base64(user:VALUE) */
	SLOT_QUERY	  /* ?name=VALUE */
};

struct slot {
	enum slot_type type;
	/* Header: a lower-case token that we do not own ourselves (no host,
	 * content-length, transfer-encoding, connection, ...). Query: RFC
	 * 3986 unreserved characters. */
	char name[METADATA_SLOT_TEXT_MAX];
	char prefix[METADATA_SLOT_TEXT_MAX]; /* SLOT_HEADER: printable */
	char user[METADATA_SLOT_TEXT_MAX];   /* SLOT_BASIC: no colon */
};

struct binding {
	struct grant_host *hosts; /* patterns with port */
	size_t n_hosts;
	struct slot slot;
};

enum placeholder_alphabet {
	PLACEHOLDER_BASE62,
	PLACEHOLDER_HEX, /* lower case */
	PLACEHOLDER_BASE64URL
};
struct placeholder_shape {
	char prefix[65]; /* [A-Za-z0-9_.-] */
	size_t length;	 /* of the whole, prefix included */
	enum placeholder_alphabet alphabet;
};

struct metadata {
	char name[GRANT_NAME_MAX];
	char kind[METADATA_KIND_MAX]; /* [a-z][a-z0-9-]*; the vault's table */
	uint32_t version;	      /* 0: not stored yet */
	int64_t created, rotated;     /* Unix seconds, 0: not stored yet */
	char note[METADATA_NOTE_MAX]; /* UTF-8 without control characters */
	struct binding *bindings;
	size_t n_bindings; /* 0: may be sent nowhere */
	struct placeholder_shape placeholder; /* "hck_", 40, base62 if none */
	char **env;			      /* [A-Z_][A-Z0-9_]* */
	size_t n_env;
	char preset[GRANT_NAME_MAX]; /* empty: none */
	bool unscrubbable; /* the owner accepts a value under 12 bytes */
	bool echoes; /* where it is sent, answers may show it: no ranges */
};

void metadata_init(struct metadata *m);
void metadata_free(struct metadata *m); /* what m owns, not m */

/* Strict: unknown or duplicate keys and wrong types are refused; name and
 * kind are required. why: a sentence. Runs metadata_check(). */
MUST_USE int metadata_from_json(
    const json_t *json, struct metadata *out, char *why, size_t size);
MUST_USE int metadata_parse(
    struct span json, struct metadata *out, char *why, size_t size);
/* Just "bindings", for credential.bind: replaces m's on success. */
MUST_USE int metadata_bindings_from_json(
    const json_t *array, struct metadata *m, char *why, size_t size);
MUST_USE int metadata_check(
    const struct metadata *m, char *why, size_t size);
/* A new reference, keys in the order above; NULL when memory is out. */
json_t *metadata_to_json(const struct metadata *m);

/* The slot of the first binding whose hosts hold host:port; NULL: this
 * credential must not be sent there. host canonical. */
const struct slot *metadata_slot_for(
    const struct metadata *m, const char *host, uint16_t port);
/* Does some binding hold every host that pattern:port can match? What the
 * minter asks of a grant's hosts. */
bool metadata_covers(
    const struct metadata *m, const char *pattern, uint16_t port);

const char *slot_type_name(enum slot_type t); /* "bearer", ... */

/* A placeholder of that shape out of random bytes: two for each character
 * (random.n >= 2 * length is always enough). ERR_TRUNCATED. */
MUST_USE int placeholder_make(const struct placeholder_shape *s,
    struct span random, char out[static PLACEHOLDER_MAX]);
/* Has value this shape? (A placeholder of another session has.) */
bool placeholder_looks_like(
    const struct placeholder_shape *s, struct span value);

#endif
